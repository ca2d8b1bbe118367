"""The closed list of metric names: `<group>/<name>`, with `@<words>` for a set or a control."""

import re

NAMES = (
    "coco/AP", "coco/AP50", "coco/AP75",
    "seen/AP", "seen/AP50", "seen/AP75",
    "novel/AP", "novel/AP50", "novel/AP75",
    "coarse/AP", "coarse/AP50", "coarse/AP75",
    "fine/AP", "fine/AP50", "fine/AP75",
    "val/AP", "val/AP50", "val/AP75", "val/seen_AP50", "val/novel_AP50",
    "loc/top1", "loc/top5_classes", "loc/top5_boxes", "loc/gt_known",
    "loc/class_top1", "loc/fixed_box", "loc/whole_image",
    "train/loss", "train/loss_image", "train/loss_class", "train/loss_foreground",
    "train/loss_box", "train/loss_transfer", "train/loss_rpn_object", "train/loss_rpn_box",
    "train/lr",
    "transfer/kept_neighbors", "transfer/shared_mean", "transfer/shared_variance",
    "transfer/novel_mean", "transfer/novel_variance",
    "perf/images_s", "perf/data_wait",
    "cost/wall_s", "cost/cpu_s",
)  # fmt: skip


class MetricNameError(ValueError):
    """A metric that is not in the list: dashboards and searches would not find it."""


def check_name(name: str) -> str:
    """Return the name, or raise MetricNameError; what follows an @ names a set of classes."""
    stem, at, group = name.partition("@")
    if stem not in NAMES or (at and not re.fullmatch(r"[A-Za-z0-9_]{1,120}", group)):
        raise MetricNameError(
            f"metric: not in the list; got {name!r}. Add it to components/eval/metric_names.py."
        )
    return name
