"""Parameter groups, optimizers that step together, and the rate as a function of the step."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW, Optimizer

MOMENTUM = 0.9  # of SGD


class Optimizers:
    """Optimizers over parameters of their own that step as one; a group's `peak` is its rate.

    Gradients are clipped for each apart: the reconstruction loss of a transfer network is twenty
    times as loud as a detector's losses, and would silence them.
    """

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = tuple(parts)
        self._part = {id(p): part for part in self.parts for p in _of(part)}

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Return the groups of all, in order."""
        return [group for part in self.parts for group in part.param_groups]

    def parameters(self) -> list[Tensor]:
        """Return the parameters of all, in order."""
        return [p for part in self.parts for p in _of(part)]

    def state_of(self, parameter: Tensor) -> dict[str, Any]:
        """Return what its optimizer keeps of a parameter; may be written to."""
        return self._part[id(parameter)].state[parameter]

    def clip(self, norm: float) -> float:
        """Clip the gradients of each part to a norm; return the largest norm there was.

        NaN is the largest of all: Python's own `max` would take it or leave it, by its place.
        """
        norms = [float(clip_grad_norm_(_of(part), norm)) for part in self.parts]
        return float(torch.tensor(norms, dtype=torch.float64).max())

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Step all."""
        for part in self.parts:
            part.step()


def _of(part: Optimizer) -> list[Tensor]:
    return [p for group in part.param_groups for p in group["params"]]


def optimizer_for(
    model: nn.Module,
    *,
    trunk: nn.Module,
    lr: float,
    backbone_lr: float | None,
    weight_decay: float,
    kind: str = "adamw",
    apart: Sequence[Optimizer] = (),
) -> Optimizers:
    """Return optimizers over what requires a gradient: a group for the trunk, one for the rest.

    Each group keeps its own peak rate under `peak`; see `rate`.

    Args:
        model: what is trained.
        trunk: the part of it that has a rate of its own.
        lr: peak rate.
        backbone_lr: of the trunk; None: lr.
        weight_decay: of both.
        kind: a key of KINDS.
        apart: optimizers of parameters of the model that are theirs alone; they step along.
    """
    theirs = {id(p) for part in apart for p in _of(part)}
    in_trunk = {id(p) for p in trunk.parameters()}
    wanted = [p for p in model.parameters() if p.requires_grad and id(p) not in theirs]
    groups = [
        ([p for p in wanted if id(p) not in in_trunk], lr),
        ([p for p in wanted if id(p) in in_trunk], lr if backbone_lr is None else backbone_lr),
    ]
    named = [{"params": params, "lr": peak, "peak": peak} for params, peak in groups if params]
    return Optimizers([KINDS[kind](named, weight_decay), *apart])


def _adamw(groups: list[dict[str, Any]], weight_decay: float) -> Optimizer:
    return AdamW(groups, weight_decay=weight_decay, fused=True)  # one kernel for all tensors


def _sgd(groups: list[dict[str, Any]], weight_decay: float) -> Optimizer:
    return SGD(groups, momentum=MOMENTUM, weight_decay=weight_decay)


KINDS = {"adamw": _adamw, "sgd": _sgd}


def rate(step: int, *, steps: int, warmup: int) -> float:
    """Return the share of the peak rate at a step: a straight rise, then half a cosine.

    Args:
        step: from 0.
        steps: of the whole training; the cosine ends there.
        warmup: steps of the rise; 0 for none.
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def set_rate(optimizer: Optimizers, share: float) -> float:
    """Set every group to its peak times `share`; return the first group's rate."""
    groups = optimizer.param_groups
    for group in groups:
        group["lr"] = group["peak"] * share
    return float(groups[0]["lr"])


def freeze(modules: Iterable[nn.Module]) -> None:
    """Take modules out of training."""
    for module in modules:
        module.requires_grad_(requires_grad=False)
