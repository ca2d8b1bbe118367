"""Which detections are right at IoU .50, what they found, and how good each picture is.

Matching is COCO's: in one picture and class the best score comes first and takes the free truth it
overlaps most; what lies in a crowd is neither right nor wrong. Shapes: N pictures, R truths,
Q detections.
"""

from dataclasses import dataclass

import numpy as np

from components.data.labelled import CROWD
from components.eval.coco_ap import Truth
from components.eval.detections import Detections
from components.eval.localization import paired_iou, same_class

ENOUGH = 0.5  # IoU, inclusive


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts:
    """What became of each detection."""

    match: np.ndarray  # int64 [Q] the truth it found, or -1
    ignored: np.ndarray  # bool [Q] in a crowd of its class, and not right

    @property
    def right(self) -> np.ndarray:
        """Return bool [Q]: whether a detection found a truth."""
        return self.match >= 0


def judge(truth: Truth, found: Detections) -> Verdicts:
    """Match detections to truths of their own class."""
    crowd = (truth.flags & CROWD) != 0
    d, t = same_class(truth, found)
    overlap = paired_iou(found.boxes[d], truth.boxes[t])
    fits = (overlap >= ENOUGH) & ~crowd[t]
    match, taken = np.full(len(found), -1, np.int64), np.zeros(len(truth.image), bool)
    pairs_d, pairs_t, pairs_iou = d[fits], t[fits], overlap[fits]
    order = np.lexsort((-pairs_t, -pairs_iou, pairs_d, -found.score[pairs_d]))
    for i, j in zip(pairs_d[order].tolist(), pairs_t[order].tolist(), strict=True):
        if match[i] < 0 and not taken[j]:
            match[i], taken[j] = j, True
    ignored = np.zeros(len(found), bool)
    in_crowd = crowd[t] & (_share_inside(found.boxes[d], truth.boxes[t]) >= ENOUGH)
    ignored[d[in_crowd]] = True
    return Verdicts(match=match, ignored=ignored & (match < 0))


def picture_scores(truth: Truth, found: Detections, verdicts: Verdicts) -> np.ndarray:
    """Return the average precision float64 [N] of each picture, all classes in one list.

    The mean over a picture's truths of the precision at the rank where each was found, 0 where it
    was not; NaN for a picture without truth.
    """
    pictures = len(truth.sizes)
    objects = np.bincount(truth.image[(truth.flags & CROWD) == 0], minlength=pictures)
    counted = np.flatnonzero(~verdicts.ignored)
    order = counted[np.lexsort((-found.score[counted], found.image[counted]))]
    image, right = found.image[order], verdicts.right[order]
    first = np.searchsorted(image, image)  # where each detection's picture begins
    rank = np.arange(len(image)) - first + 1
    before = np.concatenate([[0], right.cumsum()])
    hits = before[1:] - before[first]
    gained = np.bincount(image, weights=right * hits / rank, minlength=pictures)
    return np.divide(gained, objects, out=np.full(pictures, np.nan), where=objects > 0)


def worst_and_best(scores_N: np.ndarray, truth: Truth, *, most: int) -> tuple[list[int], list[int]]:
    """Return the rows of the worst pictures and of the best, at most `most` each, none twice.

    Of equal scores the picture with more objects comes first, then the earlier one.
    """
    objects = np.bincount(truth.image[(truth.flags & CROWD) == 0], minlength=len(scores_N))
    rows = np.flatnonzero(np.isfinite(scores_N))
    best = rows[np.lexsort((rows, -objects[rows], -scores_N[rows]))].tolist()
    worst = rows[np.lexsort((rows, -objects[rows], scores_N[rows]))].tolist()
    count = min(most, len(rows) // 2) if len(rows) > 1 else len(rows)
    good = best[:count]
    return [row for row in worst if row not in good][:count], good


def _share_inside(boxes_Q4: np.ndarray, crowds_Q4: np.ndarray) -> np.ndarray:
    """Return the share [Q] of each box that lies in its crowd."""
    a, b = boxes_Q4.astype(np.float64), crowds_Q4.astype(np.float64)
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    inner, area = sides.clip(0).prod(1), (a[:, 2:] - a[:, :2]).prod(1)
    return np.divide(inner, area, out=np.zeros_like(inner), where=area > 0)
