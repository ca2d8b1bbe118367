"""Parameter groups, AdamW, and the learning rate as a function of the step."""

import math
from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW


def optimizer_for(
    model: nn.Module,
    *,
    trunk: nn.Module,
    lr: float,
    backbone_lr: float | None,
    weight_decay: float,
) -> AdamW:
    """Return AdamW over what requires a gradient: a group for the trunk, one for the rest.

    Each group keeps its own peak rate under `peak`; see `rate`.
    """
    in_trunk = {id(p) for p in trunk.parameters()}
    wanted = [p for p in model.parameters() if p.requires_grad]
    groups = [
        ([p for p in wanted if id(p) not in in_trunk], lr),
        ([p for p in wanted if id(p) in in_trunk], lr if backbone_lr is None else backbone_lr),
    ]
    return AdamW(
        [{"params": params, "lr": peak, "peak": peak} for params, peak in groups if params],
        weight_decay=weight_decay,
        fused=True,  # one kernel for all tensors, on CPU and GPU
    )


def rate(step: int, *, steps: int, warmup: int) -> float:
    """Return the share of the peak rate at a step: a straight rise, then half a cosine.

    Args:
        step: from 0.
        steps: of the whole training; the cosine ends there.
        warmup: steps of the rise; 0 for none.
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def set_rate(optimizer: AdamW, share: float) -> float:
    """Set every group to its peak times `share`; return the first group's rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    return float(optimizer.param_groups[0]["lr"])


def freeze(modules: Iterable[nn.Module]) -> None:
    """Take modules out of training."""
    for module in modules:
        module.requires_grad_(requires_grad=False)
