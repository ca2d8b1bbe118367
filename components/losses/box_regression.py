"""Smooth L1 of box deltas, as a sum over regions (Girshick, Fast R-CNN, 2015, Eq. 2-3)."""

from torch import Tensor
from torch.nn import functional

BETA = 1 / 9  # where the square ends and the straight line begins


def smooth_l1_sum(
    deltas_R4: Tensor, wanted_R4: Tensor, *, weights_R: Tensor | None = None, beta: float = BETA
) -> Tensor:
    """Return the sum over regions and corners, each region times its weight; 0 for none."""
    loss = functional.smooth_l1_loss(deltas_R4, wanted_R4, beta=beta, reduction="none").sum(1)
    return loss.sum() if weights_R is None else (loss * weights_R).sum()
