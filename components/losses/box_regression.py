"""Losses of boxes as sums over regions: smooth L1 of deltas; intervals of sides and offsets."""

import torch
from torch import Tensor
from torch.nn import functional

BETA = 1 / 9  # where the square ends and the straight line begins
OFFSET_BETA = 0.1  # the same of offsets, in intervals (Wang et al., 2020)


def smooth_l1_sum(
    deltas_R4: Tensor, wanted_R4: Tensor, *, weights_R: Tensor | None = None, beta: float = BETA
) -> Tensor:
    """Return the sum over regions and corners, each region times its weight; 0 for none.

    Girshick, Fast R-CNN, 2015, Eq. 2-3.
    """
    loss = functional.smooth_l1_loss(deltas_R4, wanted_R4, beta=beta, reduction="none").sum(1)
    return loss.sum() if weights_R is None else (loss * weights_R).sum()


def side_bins_sum(
    logits_R4K: Tensor,
    offsets_R4K: Tensor,
    bins_R4: Tensor,
    wanted_R4: Tensor,
    *,
    weights_R: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return two sums over regions and sides: of choosing intervals, and of offsets within them.

    Dissertation (paper 2), Eq. 3.5. Only the true interval's offset is taught.
    Differs: Eq. 3.3 prints the true interval's term alone, which every interval with a large
    logit would satisfy; the others' -log(1 - sigmoid) is added, as in any binary cross-entropy.

    Args:
        logits_R4K: of K intervals of the sides x1, y1, x2, y2.
        offsets_R4K: said of each interval, in intervals.
        bins_R4: int64, the true intervals.
        wanted_R4: the true offsets.
        weights_R: of each region; 1 by default.
    """
    target = torch.zeros_like(logits_R4K).scatter_(2, bins_R4[..., None], 1.0)
    chosen = functional.binary_cross_entropy_with_logits(logits_R4K, target, reduction="none")
    said_R4 = offsets_R4K.gather(2, bins_R4[..., None])[..., 0]
    fine = functional.smooth_l1_loss(said_R4, wanted_R4, beta=OFFSET_BETA, reduction="none")
    sums = chosen.sum((1, 2)), fine.sum(1)
    if weights_R is not None:
        sums = sums[0] * weights_R, sums[1] * weights_R
    return sums[0].sum(), sums[1].sum()
