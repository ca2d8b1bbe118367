"""What a detector calls the objects that are there: their own class, another, or nothing.

A detection speaks of the one truth of its picture that it overlaps most, by an IoU of .50 or more
and whatever its class; of all that speak of a truth the best score says its class. Every truth
counts once, so a row of the table sums to its class's truths. Crowds are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.data.labelled import CROWD
from components.eval.coco_ap import Truth
from components.eval.detections import Detections
from components.eval.localization import paired_iou
from components.eval.verdicts import ENOUGH

NOTHING = -1  # no detection fits
HOW: tuple[str, ...] = ("right", "within", "across", "unsorted", "nothing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """How often objects of one class were called another, or the same; None is nothing."""

    true: str
    said: str | None
    count: int


def called(truth: Truth, found: Detections) -> np.ndarray:
    """Return int64 [R]: the class that is said of each truth, or NOTHING."""
    said = np.full(len(truth.image), NOTHING, np.int64)
    single = np.flatnonzero((truth.flags & CROWD) == 0)
    single = single[np.argsort(truth.image[single], kind="stable")]
    order = np.lexsort((-found.score, found.image))  # equal scores keep their order
    for image in np.unique(truth.image[single]).tolist():
        here = single[slice(*np.searchsorted(truth.image[single], [image, image + 1]))]
        of_image = order[slice(*np.searchsorted(found.image[order], [image, image + 1]))]
        said[here] = _of_picture(truth, here, found, of_image)
    return said


def _of_picture(
    truth: Truth, here: np.ndarray, found: Detections, ranked: np.ndarray
) -> np.ndarray:
    """Return the classes said of one picture's truths; `ranked` are its detections, best first."""
    said = np.full(len(here), NOTHING, np.int64)
    d, t = np.repeat(ranked, len(here)), np.tile(here, len(ranked))
    overlap = paired_iou(found.boxes[d], truth.boxes[t]).reshape(-1, len(here))
    same = (found.category[d] == truth.category[t]).reshape(-1, len(here))
    for i, row in enumerate(overlap):
        if row.max() >= ENOUGH:
            equal = np.flatnonzero(row == row.max())  # of twins the one of its own class
            best = equal[np.argmax(same[i, equal])]
            if said[best] == NOTHING:
                said[best] = found.category[ranked[i]]
    return said


def table(truth: Truth, said_R: np.ndarray, *, ids: Sequence[str]) -> list[Said]:
    """Return how often each class was called what: most frequent first, then by name."""
    single = (truth.flags & CROWD) == 0
    pairs = np.stack([truth.category[single], said_R[single]], 1)
    unique, counts = np.unique(pairs, axis=0, return_counts=True)
    distinct: list[tuple[int, int]] = unique.tolist()
    rows = [
        Said(true=ids[true], said=None if said == NOTHING else ids[said], count=count)
        for (true, said), count in zip(distinct, counts.tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: (-row.count, row.true, row.said or ""))


def shares(rows: Sequence[Said], *, kinds: Mapping[str, str]) -> dict[str, int]:
    """Return how many truths were called right, within (of one kind), across, unsorted, nothing.

    Args:
        rows: from `table`.
        kinds: class id -> its kind; a wrong class is `unsorted` where one of the two has none.
    """
    counts: dict[str, int] = dict.fromkeys(HOW, 0)
    for row in rows:
        counts[_how(row, kinds)] += row.count
    return counts


def _how(row: Said, kinds: Mapping[str, str]) -> str:
    if row.said is None:
        return "nothing"
    if row.said == row.true:
        return "right"
    if row.true not in kinds or row.said not in kinds:
        return "unsorted"
    return "within" if kinds[row.true] == kinds[row.said] else "across"
