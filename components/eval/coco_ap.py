"""COCO average precision of boxes, overall and per class, by pycocotools.

Lin et al., Microsoft COCO, 2014: 101 recall points, IoU .50 to .95, 100 detections a picture. A
class without truth has no AP and takes no part in a mean.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from components.data.labelled import CROWD
from components.eval.detections import Detections, xywh


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """Boxes that are there, of all pictures of a test set."""

    sizes: np.ndarray  # int64 [N, 2] width, height
    image: np.ndarray  # int64 [R]
    category: np.ndarray  # int64 [R] position in the class ids
    boxes: np.ndarray  # float32 [R, 4] xyxy px
    flags: np.ndarray  # uint8 [R]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """One class: how many truths it has, and its AP; NaN where it has none."""

    truths: int
    AP: float
    AP50: float
    AP75: float
    precision50: tuple[float, ...] = field(default=(), compare=False, repr=False)
    """Precision at IoU .50, at recall 0, .01 ... 1: its mean is AP50. Empty without truth."""


METRICS = ("AP", "AP50", "AP75")
RECALLS = 101  # points of a curve


def score_classes(truth: Truth, found: Detections, *, ids: Sequence[str]) -> dict[str, ClassScore]:
    """Return each class's AP.

    Args:
        truth: with categories as positions in `ids`.
        found: detections, likewise; the best 100 of a class in a picture count.
        ids: the class ids.

    Raises:
        NotFiniteError: a score or a box is not finite.
    """
    counts = np.bincount(truth.category[(truth.flags & CROWD) == 0], minlength=len(ids))
    precision = _precision(truth, found.finite(), classes=len(ids))  # [T, R, K]
    scores: dict[str, ClassScore] = {}
    for k, class_id in enumerate(ids):
        if not counts[k]:
            nan = float("nan")
            scores[class_id] = ClassScore(truths=0, AP=nan, AP50=nan, AP75=nan)
            continue
        of_class = np.zeros((10, RECALLS)) if precision is None else precision[:, :, k].clip(0)
        at = of_class.mean(-1)
        scores[class_id] = ClassScore(
            truths=int(counts[k]),
            AP=float(at.mean()),
            AP50=float(at[0]),
            AP75=float(at[5]),
            precision50=tuple(of_class[0].tolist()),
        )
    return scores


def mean_over(scores: dict[str, ClassScore], ids: Sequence[str] | None = None) -> dict[str, float]:
    """Return AP, AP50 and AP75 as means over the classes named that have truth; NaN over none."""
    rows = [scores[i] for i in (scores if ids is None else ids) if i in scores]
    with_truth = [row for row in rows if row.truths]
    if not with_truth:
        return dict.fromkeys(METRICS, float("nan"))
    return {
        "AP": float(np.mean([row.AP for row in with_truth])),
        "AP50": float(np.mean([row.AP50 for row in with_truth])),
        "AP75": float(np.mean([row.AP75 for row in with_truth])),
    }


def _precision(truth: Truth, found: Detections, *, classes: int) -> np.ndarray | None:
    """Return precision [10 IoUs, 101 recalls, classes], -1 where undefined; None: no detections."""
    if not len(found):
        return None
    boxes = xywh(truth.boxes)
    annotations = [
        {"id": i + 1, "image_id": int(image), "category_id": int(c) + 1, "bbox": box,
         "area": box[2] * box[3], "iscrowd": int(bool(flag & CROWD)), "ignore": 0}
        for i, (image, c, box, flag) in enumerate(
            zip(truth.image, truth.category, boxes.tolist(), truth.flags.tolist(), strict=True)
        )
    ]  # fmt: skip
    results: Any = [
        {"image_id": int(i), "category_id": int(c) + 1, "bbox": box, "score": float(s)}
        for i, c, s, box in zip(
            found.image, found.category, found.score, xywh(found.boxes).tolist(), strict=True
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        reference = COCO()
        dataset: Any = {
            "images": [
                {"id": i, "width": int(w), "height": int(h)} for i, (w, h) in enumerate(truth.sizes)
            ],
            "annotations": annotations,
            "categories": [{"id": k + 1, "name": str(k)} for k in range(classes)],
        }
        reference.dataset = dataset
        reference.createIndex()
        evaluation = COCOeval(reference, reference.loadRes(results), "bbox")
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, 0]
