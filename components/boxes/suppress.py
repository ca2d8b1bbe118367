"""From scores of every class to detections: threshold, suppress within a class, keep the top.

Only pairs of box and class above the floor are looked at, and their box is found by index: the
[P * K, 4] copy of all boxes (100 MB for 300 regions and 21,841 classes) is never made.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from components.boxes.geometry import area
from components.shapes import expect

FIRST_PAIRS = 2000  # of 200 boxes and 1,000 classes: 40 ms in place of 240 (two cores)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Detections of one picture, best first."""

    boxes: Tensor  # [Q, 4], pixels
    scores: Tensor  # [Q]
    classes: Tensor  # int64 [Q], column of the scores given
    not_finite: int = 0  # scores dropped for they, or their box, were NaN or infinite


def suppress(
    boxes_P4: Tensor, scores_PK: Tensor, *, iou: float = 0.5, top: int = 100, floor: float = 1e-4
) -> Kept:
    """Return the `top` best detections after non-maximum suppression within each class.

    Args:
        boxes_P4: one box a region, for all classes; empty boxes are dropped. What is not finite is
            dropped and counted: it would come first (torchvision sorts NaN above all).
        scores_PK: in [0, 1]. Only scores above `floor` count (paper 5 uses 1e-4: the softmax over
            many classes leaves little for each).
        iou: two boxes of a class that overlap by more are one; the better one stays.
        top: most detections kept.
        floor: least score, exclusive.
    """
    expect("boxes", boxes_P4, "P 4")
    expect("scores", scores_PK, "P K", P=len(boxes_P4))
    classes = scores_PK.shape[1]
    finite_PK = scores_PK.isfinite() & boxes_P4.isfinite().all(1)[:, None]
    alive_PK = finite_PK & (scores_PK > floor) & (area(boxes_P4) > 0)[:, None]
    k = torch.nonzero(alive_PK.flatten()).flatten()
    scores = scores_PK.flatten()[k]
    boxes, labels = boxes_P4[k // max(classes, 1)], k % max(classes, 1)
    keep = batched_nms(boxes, scores, labels, iou)[:top]
    lost = finite_PK.numel() - int(finite_PK.sum())
    return Kept(boxes=boxes[keep], scores=scores[keep], classes=labels[keep], not_finite=lost)


def suppress_for_people(
    boxes_P4: Tensor, scores_PK: Tensor, *, over: float, top: int, looked_at: int, floor: float
) -> Kept:
    """Return what `without_parts` leaves of the `looked_at` best of `suppress`, and sooner.

    Most pairs of box and class are never shown: the best FIRST_PAIRS of them are looked at first,
    and more only while fewer than `top` are left. What comes later in the order drops nothing that
    comes earlier, so that the answer is the same.
    """
    most, every = FIRST_PAIRS, scores_PK.numel()
    while True:
        few = scores_PK if most >= every else _best_pairs(scores_PK, most)
        kept = suppress(boxes_P4, few, top=looked_at, floor=floor)
        left = without_parts(kept, over=over, top=top)
        if most >= every or len(left.scores) == top or len(kept.scores) == looked_at:
            return left
        most *= 4


def _best_pairs(scores_PK: Tensor, most: int) -> Tensor:
    """Return the scores with all but the best ones, and those equal to the last of them, at 0."""
    least = scores_PK.flatten().nan_to_num(nan=0.0).topk(most).values[-1]
    return torch.where(scores_PK >= least, scores_PK, 0.0)


def without_parts(kept: Kept, *, over: float, top: int) -> Kept:
    """Drop boxes that are a part of a better one of their class, or have one inside them.

    A wheel in a bicycle, or a whole in its half, overlaps too little for `suppress`: that is by
    intersection over union. Of two boxes of a class whose intersection is more than `over` of the
    smaller one's area, the one that comes later in `kept` goes; one that went drops no others.
    Meant for pictures that people look at: what is dropped can be a true box of its own, in a
    crowd for example, so that evaluation does without it.

    Args:
        kept: best first, as `suppress` gives them; of up to a thousand.
        over: share of the smaller area, in [0, 1]; 1 keeps all.
        top: most detections kept, of those that stay.
    """
    boxes = kept.boxes
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    inside_QQ = (high - low).clamp(min=0).prod(2)
    own_Q = area(boxes)
    smaller_QQ = torch.minimum(own_Q[:, None], own_Q[None])
    same_QQ = kept.classes[:, None] == kept.classes[None]
    drops_QQ = (same_QQ & (inside_QQ > over * smaller_QQ) & (over < 1)).triu(diagonal=1)
    lost_Q, drops = np.zeros(len(boxes), bool), drops_QQ.cpu().numpy()
    for i in range(len(boxes)):
        if not lost_Q[i]:
            lost_Q |= drops[i]
    stay = torch.from_numpy(np.flatnonzero(~lost_Q)[:top]).to(boxes.device)
    return replace(kept, boxes=boxes[stay], scores=kept.scores[stay], classes=kept.classes[stay])
