"""Box <-> intervals of its four sides: which of K intervals a side belongs to, and where in it.

Dissertation (paper 2), section 3.3.2, Eq. 3.3-3.5. A side's segment is perpendicular to it and is
cut into K intervals; the classifier that picks one tells how sure it is of the place (the quality
v of Eq. 3.4), which a regression of deltas does not.
The text leaves the segment's length open. Here it is that of side-aware boundary localization
(Wang et al., 2020): the box is enlarged about its centre by `scale`, and the segment of a side
runs from the enlarged box's side to the centre. Intervals are counted from outside inwards.
Shapes: P boxes; sides in the order x1, y1, x2, y2; K intervals a side.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from components.boxes.geometry import wide
from components.shapes import expect

BINS, SCALE = 30, 1.7  # K as in section 3.4.1; at this scale 96 % of the true sides of boxes with
# IoU >= .5 lie in their segment, all of those with IoU >= .7


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """Where the truth's sides lie in the segments of a box."""

    bins: Tensor  # int64 [P, 4], interval of each side, 0 is the outermost
    offsets: Tensor  # [P, 4], from the interval's centre to the truth's side, in intervals: to the
    # right and down above 0, in [-.5, .5] inside the segment and beyond it where the side is


@dataclass(frozen=True, kw_only=True, slots=True)
class Localized:
    """Boxes whose sides were found, and how sure their finding is."""

    boxes: Tensor  # [P, 4] pixels
    quality: Tensor  # [P] v, in (0, 1)


def encode_sides(truths_P4: Tensor, boxes_P4: Tensor, *, bins: int, scale: float) -> Sides:
    """Return the interval and offset of each truth's sides; boxes need sides above 0.

    A side outside its segment takes the interval at that end, and its offset carries the rest.
    """
    truths_P4, boxes_P4 = wide(truths_P4), wide(boxes_P4)
    step_P4 = _step(boxes_P4, bins=bins, scale=scale)
    inward_P4 = (truths_P4 - _edge(boxes_P4, scale=scale)) / step_P4
    found_P4 = inward_P4.floor().clamp(0, bins - 1)
    offsets_P4 = (inward_P4 - (found_P4 + 0.5)) * step_P4.sign()
    return Sides(bins=found_P4.long(), offsets=offsets_P4)


def decode_sides(
    logits_P4K: Tensor, offsets_P4K: Tensor, boxes_P4: Tensor, *, scale: float
) -> Localized:
    """Return boxes from the best interval of each side and that interval's offset.

    Differs: Eq. 3.4 prints the largest of the logits t; v is compared and multiplied with
    probabilities (section 3.3.3), so that it is the largest of their sigmoids.

    Args:
        logits_P4K: of the intervals; the largest is taken, the first of equal ones.
        offsets_P4K: of each interval, in intervals, as `Sides.offsets`.
        boxes_P4: the boxes that are localized, pixels.
        scale: as they were encoded with.
    """
    bins = logits_P4K.shape[-1]
    expect("logits", logits_P4K, "P 4 K", P=len(boxes_P4))
    expect("offsets", offsets_P4K, "P 4 K", P=len(boxes_P4), K=bins)
    boxes_P4, logits_P4K = wide(boxes_P4), wide(logits_P4K)
    best_P4, found_P4 = logits_P4K.max(2)
    offsets_P4 = wide(offsets_P4K).gather(2, found_P4[..., None])[..., 0]
    step_P4 = _step(boxes_P4, bins=bins, scale=scale)
    centers_P4 = _edge(boxes_P4, scale=scale) + (found_P4 + 0.5) * step_P4
    return Localized(
        boxes=centers_P4 + offsets_P4 * step_P4.abs(), quality=best_P4.sigmoid().mean(1)
    )


def _edge(boxes_P4: Tensor, *, scale: float) -> Tensor:
    """Return the sides [P, 4] of the enlarged boxes, where the segments begin."""
    half = (boxes_P4[:, 2:] - boxes_P4[:, :2]) * scale / 2
    center = (boxes_P4[:, :2] + boxes_P4[:, 2:]) / 2
    return torch.cat([center - half, center + half], 1)


def _step(boxes_P4: Tensor, *, bins: int, scale: float) -> Tensor:
    """Return the width [P, 4] of an interval, below 0 where it is counted to the left or up."""
    width = (boxes_P4[:, 2:] - boxes_P4[:, :2]) * scale / 2 / bins
    return torch.cat([width, -width], 1)
