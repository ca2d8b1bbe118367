"""Areas, overlaps and clipping of boxes.

Boxes are xyxy, absolute pixels. Shapes: P boxes against T truths.
"""

import torch
from torch import Tensor
from torchvision.ops import box_iou


def area(boxes_P4: Tensor) -> Tensor:
    """Return the area of each box in square pixels, [P]; 0 for a box turned inside out."""
    sides = (boxes_P4[:, 2:] - boxes_P4[:, :2]).clamp(min=0)
    return sides[:, 0] * sides[:, 1]


def overlap(boxes_P4: Tensor, truths_T4: Tensor) -> Tensor:
    """Return intersection over union, [P, T], in [0, 1]."""
    return box_iou(boxes_P4, truths_T4)


def covered(boxes_P4: Tensor, regions_T4: Tensor) -> Tensor:
    """Return the share of each box that lies inside each region, [P, T], in [0, 1]."""
    low = torch.maximum(boxes_P4[:, None, :2], regions_T4[None, :, :2])
    high = torch.minimum(boxes_P4[:, None, 2:], regions_T4[None, :, 2:])
    sides = (high - low).clamp(min=0)
    return sides[..., 0] * sides[..., 1] / area(boxes_P4).clamp(min=1e-6)[:, None]


def clip(boxes_P4: Tensor, size_2: Tensor) -> Tensor:
    """Clip boxes to an image of `size_2` = (height, width); [..., 4] with [..., 2] or [2]."""
    h, w = size_2[..., 0], size_2[..., 1]
    limit = torch.stack([w, h, w, h], dim=-1).to(boxes_P4.dtype)
    return torch.minimum(boxes_P4.clamp(min=0), limit)


def centers_inside(boxes_P4: Tensor, size_2: Tensor) -> Tensor:
    """Say which boxes have their centre in an image of `size_2` = (height, width), [P]."""
    x, y = (boxes_P4[:, 0] + boxes_P4[:, 2]) / 2, (boxes_P4[:, 1] + boxes_P4[:, 3]) / 2
    return (x >= 0) & (y >= 0) & (x < size_2[1]) & (y < size_2[0])
