"""Localization of one class a picture: is the class right, and is the box.

Paper 5, sections 4.3-4.4: a picture counts when the class is right and the box overlaps one true
box of it by more than half (strictly). Two readings of "top-5" differ by points, so both have a
name: the best box of each of the five best classes, or the five best detections.
"""

from dataclasses import dataclass

import numpy as np

from components.data.labelled import CROWD
from components.eval.coco_ap import Truth
from components.eval.detections import Detections

ENOUGH = 0.5  # IoU, exclusive
FIXED = 0.7  # share of both sides of the fixed box in the middle


@dataclass(frozen=True, kw_only=True, slots=True)
class Localized:
    """What a detector says of pictures with one class each."""

    best: Detections  # the best box of each of the five best classes, a picture
    given: Detections  # the best box of the true class, one a picture
    detections: Detections  # after suppression


def localization(truth: Truth, found: Localized) -> dict[str, float]:
    """Return shares of pictures: top1, top5 in both readings, gt_known, and two fixed boxes.

    `class_top1` looks at the class alone; `fixed_box` and `whole_image` at a box that no detector
    made: the middle 70 % of both sides, and the picture. NaN where there is no picture.

    Raises:
        NotFiniteError: a score or a box is not finite.
    """
    for said in (found.best, found.given, found.detections):
        said.finite()
    truth = _without_crowds(truth)
    first = _ranked(found.best, 1)
    fixed = _fixed(truth.sizes, FIXED)
    whole = _fixed(truth.sizes, 1.0)
    return {
        "loc/top1": _share(truth, first),
        "loc/class_top1": _right_classes(truth, first),
        "loc/top5_classes": _share(truth, _ranked(found.best, 5)),
        "loc/top5_boxes": _share(truth, _ranked(found.detections, 5)),
        "loc/gt_known": _share(truth, found.given),
        "loc/fixed_box": _share(truth, _as_true(truth, fixed)),
        "loc/whole_image": _share(truth, _as_true(truth, whole)),
    }


def paired_iou(a_Q4: np.ndarray, b_Q4: np.ndarray) -> np.ndarray:
    """Return the IoU [Q] of boxes pair by pair."""
    a, b = a_Q4.astype(np.float64), b_Q4.astype(np.float64)
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    inner = sides.clip(0).prod(1)
    outer = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - inner
    return np.divide(inner, outer, out=np.zeros_like(inner), where=outer > 0)


def _ranked(found: Detections, top: int) -> Detections:
    """Return the `top` best of each picture; equal scores keep their order."""
    order = np.lexsort((-found.score, found.image))
    image = found.image[order]
    first = np.searchsorted(image, image)
    return found.where(order[np.arange(len(order)) - first < top])


def _hits(truth: Truth, found: Detections) -> np.ndarray:
    """Return the pictures that hold a detection of the right class in the right place."""
    d, t = same_class(truth, found)
    good = paired_iou(found.boxes[d], truth.boxes[t]) > ENOUGH
    return np.unique(found.image[d[good]])


def _without_crowds(truth: Truth) -> Truth:
    single = (truth.flags & CROWD) == 0
    return Truth(
        sizes=truth.sizes,
        image=truth.image[single],
        category=truth.category[single],
        boxes=truth.boxes[single],
        flags=truth.flags[single],
    )


def same_class(truth: Truth, found: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs (detection, truth) of one picture and one class, as two index arrays."""
    wanted, said = _keys(truth, found)
    order = np.argsort(wanted, kind="stable")
    first = np.searchsorted(wanted[order], said, "left")
    counts = np.searchsorted(wanted[order], said, "right") - first
    d = np.repeat(np.arange(len(said)), counts)
    within = np.arange(len(d)) - np.repeat(counts.cumsum() - counts, counts)
    return d, order[np.repeat(first, counts) + within]


def _keys(truth: Truth, found: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Return one number a truth and one a detection: equal for equal picture and class."""
    classes = 1 + max(truth.category.max(initial=0), found.category.max(initial=0))
    return truth.image * classes + truth.category, found.image * classes + found.category


def _share(truth: Truth, found: Detections) -> float:
    return _part(len(_hits(truth, found)), truth)


def _right_classes(truth: Truth, first: Detections) -> float:
    wanted, said = _keys(truth, first)
    return _part(int(np.isin(said, wanted).sum()), truth)


def _part(count: int, truth: Truth) -> float:
    return count / len(truth.sizes) if len(truth.sizes) else float("nan")


def _fixed(sizes_N2: np.ndarray, share: float) -> np.ndarray:
    sides = sizes_N2.astype(np.float64)
    margin = sides * (1 - share) / 2
    return np.concatenate([margin, sides - margin], 1).astype(np.float32)


def _as_true(truth: Truth, boxes_N4: np.ndarray) -> Detections:
    """Return one detection a truth: its class, and the box of its picture."""
    return Detections(
        image=truth.image,
        category=truth.category,
        score=np.ones(len(truth.image), np.float32),
        boxes=boxes_N4[truth.image],
    )
