"""Slow loops straight from the definitions, to hold the fast code against."""

import numpy as np


def iou(a: list[float], b: list[float], *, crowd: bool = False) -> float:
    """Intersection over union; over the area of `a` alone where `b` is a crowd."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return w * h / (area_a if crowd else area_a + area_b - w * h)


def average_precision(truths: list[dict], found: list[dict], *, threshold: float) -> float:
    """AP of one class. truths: image, box, crowd; found: image, box, score, in the order given."""
    positives = sum(not t["crowd"] for t in truths)
    if not positives:
        return float("nan")
    verdicts = []  # (score, right), crowds' detections left out
    for image in sorted({d["image"] for d in found}):
        here = sorted((d for d in found if d["image"] == image), key=lambda d: -d["score"])[:100]
        objects = [t for t in truths if t["image"] == image and not t["crowd"]]
        crowds = [t for t in truths if t["image"] == image and t["crowd"]]
        taken: set[int] = set()
        for d in here:
            best, match = threshold, None
            for i, t in enumerate(objects):
                overlap = iou(d["box"], t["box"])
                if i not in taken and overlap >= best:
                    best, match = overlap, i
            if match is not None:
                taken.add(match)
                verdicts.append((d["score"], True))
            elif not any(iou(d["box"], t["box"], crowd=True) >= threshold for t in crowds):
                verdicts.append((d["score"], False))
    verdicts.sort(key=lambda v: -v[0])  # stable: by image, then by place
    curve, right = [], 0
    for n, (_, good) in enumerate(verdicts, 1):
        right += good
        curve.append((right / positives, right / n))
    return float(
        np.mean(
            [
                max((precision for recall, precision in curve if recall >= r), default=0.0)
                for r in np.linspace(0, 1, 101)
            ]
        )
    )
