"""Box <-> deltas: shifts in units of the box's sides, logarithms of the sides' ratios.

Ren et al., Faster R-CNN, 2015, section 3.1.2; weights as in torchvision and detectron2.
"""

import math

import torch
from torch import Tensor

from components.boxes.geometry import wide

WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of a second stage; a proposal network uses 1, 1, 1, 1
LONGEST = math.log(1000 / 16)  # of the logarithm of a side's ratio: exp stays finite


def encode(truths_P4: Tensor, boxes_P4: Tensor, *, weights: tuple[float, ...] = WEIGHTS) -> Tensor:
    """Return the deltas [P, 4] that move each box onto its truth; boxes need sides above 0."""
    truths_P4, boxes_P4 = wide(truths_P4), wide(boxes_P4)
    size = boxes_P4[:, 2:] - boxes_P4[:, :2]
    center = boxes_P4[:, :2] + size / 2
    wanted = truths_P4[:, 2:] - truths_P4[:, :2]
    shift = (truths_P4[:, :2] + wanted / 2 - center) / size
    return torch.cat([shift, torch.log(wanted / size)], 1) * shift.new_tensor(weights)


def decode(deltas_P4: Tensor, boxes_P4: Tensor, *, weights: tuple[float, ...] = WEIGHTS) -> Tensor:
    """Return the boxes that the deltas move to; shapes [..., 4]. The inverse of `encode`."""
    deltas_P4, boxes_P4 = wide(deltas_P4), wide(boxes_P4)
    deltas = deltas_P4 / deltas_P4.new_tensor(weights)
    size = boxes_P4[..., 2:] - boxes_P4[..., :2]
    center = boxes_P4[..., :2] + size / 2 + deltas[..., :2] * size
    half = deltas[..., 2:].clamp(max=LONGEST).exp() * size / 2
    return torch.cat([center - half, center + half], -1)
