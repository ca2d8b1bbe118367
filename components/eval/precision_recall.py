"""Precision over recall at IoU .50: means over sets of classes, and which classes to show.

The curve of a set is the mean of its classes' curves, so the area below it is the set's AP50.
"""

from collections.abc import Collection, Mapping

import numpy as np

from components.eval.coco_ap import ClassScore


def mean_curve(
    scores: Mapping[str, ClassScore], ids: Collection[str] | None = None
) -> tuple[float, ...]:
    """Return precision [101] at recall 0, .01 ... 1 over the classes named that have truth."""
    rows = [scores[i].precision50 for i in (scores if ids is None else ids) if i in scores]
    with_truth = [row for row in rows if row]
    return tuple(np.mean(with_truth, 0).tolist()) if with_truth else ()


def few_classes(scores: Mapping[str, ClassScore], *, most: int) -> tuple[str, ...]:
    """Return at most `most` classes with truth, evenly from the best AP50 to the worst."""
    with_truth = [i for i, score in scores.items() if score.truths]
    ranked = sorted(with_truth, key=lambda i: (-scores[i].AP50, i))
    if len(ranked) <= most:
        return tuple(ranked)
    places = np.linspace(0, len(ranked) - 1, most).round().astype(int)
    return tuple(ranked[place] for place in places)
