"""Cross-entropies as sums over regions or images.

Paper 5, section 3.2: softmax for the classes of a region, a sigmoid for "is there an object".
"""

import torch
from torch import Tensor
from torch.nn import functional


def softmax_sum(logits_RC: Tensor, labels_R: Tensor, *, weights_R: Tensor | None = None) -> Tensor:
    """Return the sum over regions of -log softmax at the label, times a weight; 0 for none."""
    loss = functional.cross_entropy(logits_RC, labels_R, reduction="none")
    return loss.sum() if weights_R is None else (loss * weights_R).sum()


def soft_targets(present: Tensor, owners: Tensor, *, rows: int, classes: int) -> Tensor:
    """Return targets [rows, classes]: 1/n at each of the n classes present in a row.

    Args:
        present: int64 [P], classes.
        owners: int64 [P], the row that each belongs to.
        rows: how many rows; one without classes stays 0.
        classes: how many classes.
    """
    target = torch.zeros(rows, classes, device=present.device)
    target[owners, present] = 1.0
    return target / target.sum(1, keepdim=True).clamp(min=1)


def soft_softmax_sum(logits_NF: Tensor, targets_NF: Tensor) -> Tensor:
    """Return the sum over images of the cross-entropy with soft targets."""
    return -(targets_NF * functional.log_softmax(logits_NF, 1)).sum()


def sigmoid_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of binary cross-entropies; targets in [0, 1], same shape."""
    return functional.binary_cross_entropy_with_logits(
        logits, targets.to(logits.dtype), reduction="sum"
    )
