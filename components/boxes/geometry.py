"""Areas, overlaps and clipping of boxes.

Boxes are xyxy, absolute pixels. Shapes: P boxes against T truths. Half precision holds neither
areas (300 x 300 is infinite) nor coordinates (1001 is 1000): it is widened to float32.
"""

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """Return float32 for a narrower type, and anything else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def area(boxes_P4: Tensor) -> Tensor:
    """Return the area of each box in square pixels, [P]; 0 for a box turned inside out."""
    boxes = wide(boxes_P4)
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
    return sides[:, 0] * sides[:, 1]


def overlap(boxes_P4: Tensor, truths_T4: Tensor) -> Tensor:
    """Return intersection over union, [P, T], in [0, 1]; 0 for two boxes without area."""
    boxes, truths = wide(boxes_P4), wide(truths_T4)
    inner = _inner(boxes, truths)
    outer = area(boxes)[:, None] + area(truths) - inner
    return inner / outer.clamp(min=torch.finfo(outer.dtype).tiny)


def covered(boxes_P4: Tensor, regions_T4: Tensor) -> Tensor:
    """Return the share of each box that lies inside each region, [P, T], in [0, 1]."""
    boxes, regions = wide(boxes_P4), wide(regions_T4)
    return _inner(boxes, regions) / area(boxes).clamp(min=1e-6)[:, None]


def clip(boxes_P4: Tensor, size_2: Tensor) -> Tensor:
    """Clip boxes to an image of `size_2` = (height, width); [..., 4] with [..., 2] or [2]."""
    h, w = size_2[..., 0], size_2[..., 1]
    limit = torch.stack([w, h, w, h], dim=-1).to(boxes_P4.dtype)
    return torch.minimum(boxes_P4.clamp(min=0), limit)


def centers_inside(boxes_P4: Tensor, size_2: Tensor) -> Tensor:
    """Say which boxes have their centre in an image of `size_2` = (height, width), [P]."""
    x, y = (boxes_P4[:, 0] + boxes_P4[:, 2]) / 2, (boxes_P4[:, 1] + boxes_P4[:, 3]) / 2
    return (x >= 0) & (y >= 0) & (x < size_2[1]) & (y < size_2[0])


def _inner(boxes_P4: Tensor, others_T4: Tensor) -> Tensor:
    """Return the area that each box shares with each other, [P, T]."""
    low = torch.maximum(boxes_P4[:, None, :2], others_T4[None, :, :2])
    high = torch.minimum(boxes_P4[:, None, 2:], others_T4[None, :, 2:])
    sides = (high - low).clamp(min=0)
    return sides[..., 0] * sides[..., 1]
