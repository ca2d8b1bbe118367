"""Noisy anchors: how clean each object anchor is, as its soft label and its weight.

Dissertation (paper 2), section 2.4, Eq. 2.3-2.6, and the code published with it (henrylee2570 /
NoisyAnchor), whose form `released` differs in every part but the idea.
Shapes: Q anchors that are objects, all of one picture: means are over a picture's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from components.boxes.geometry import wide
from components.losses.noisy_anchors import Form, NoisyAnchors, SoftLoss

SHARPEST = 1 - 1e-4  # f(x) = 1 / (1 - x) is taken of no more
ALPHA, GAMMA = 0.5, 2.0  # of the focal losses


@dataclass(frozen=True, kw_only=True, slots=True)
class Clean:
    """What an object anchor is told, and how much it counts; no gradient goes through either."""

    label: Tensor  # [Q] in [0, 1]
    weight: Tensor  # [Q], mean 1 over the picture


def cleanliness(place_Q: Tensor, confidence_Q: Tensor, cfg: NoisyAnchors) -> Clean:
    """Return soft labels and weights of one picture's object anchors.

    Args:
        place_Q: IoU of each refined anchor with its object, in [0, 1].
        confidence_Q: score of the object's class, in [0, 1].
        cfg: form, alpha and gamma; what it turns off is 1.
    """
    place_Q, confidence_Q = wide(place_Q.detach()), wide(confidence_Q.detach())
    one = torch.ones_like(place_Q)
    label_of, weight_of = FORMS[cfg.form]
    some = len(place_Q) > 0
    return Clean(
        label=label_of(place_Q, confidence_Q, cfg) if cfg.soft_labels and some else one,
        weight=weight_of(place_Q, confidence_Q, cfg) if cfg.reweight and some else one,
    )


def reweighted_sum(loss_Q: Tensor, weight_Q: Tensor, *, form: Form) -> Tensor:
    """Return the sum of losses times weights; in form `released` scaled to the plain sum."""
    total = (loss_Q * weight_Q).sum()
    if form == "paper":
        return total
    plain, weighted = loss_Q.detach().sum(), total.detach()
    return total * torch.where(weighted > 0, plain / weighted.clamp(min=_tiny(plain)), 1.0)


def soft_loss(logits: Tensor, targets: Tensor, *, kind: SoftLoss) -> Tensor:
    """Return the loss of each logit against a target in [0, 1], same shape.

    bce: its least is at the target. focal_released: both terms of the focal loss, mixed by the
    target, as published; its least is drawn to .5 (target .85: .657). focal_quality: BCE times
    |target - p| ^ 2 (Li et al., 2020), its least is at the target. At 0 and 1 the two agree up to
    alpha. (`torchvision.ops.sigmoid_focal_loss` mixes p itself and is none of them.)
    """
    return SOFT_LOSSES[kind](logits, targets.to(logits.dtype))


def _paper_label(place_Q: Tensor, confidence_Q: Tensor, cfg: NoisyAnchors) -> Tensor:
    return _mix(place_Q, confidence_Q, cfg)  # Eq. 2.3


def _paper_weight(place_Q: Tensor, confidence_Q: Tensor, cfg: NoisyAnchors) -> Tensor:
    raised = _mix(_spread(place_Q), _spread(confidence_Q), cfg) ** cfg.gamma  # Eq. 2.4
    return raised / raised.mean()


def _released_label(place_Q: Tensor, confidence_Q: Tensor, cfg: NoisyAnchors) -> Tensor:
    """Each part over its mean, then stretched to [mean of place, 1]; the best is 1."""
    mixed = _mix(_over_mean(place_Q), _over_mean(confidence_Q), cfg)
    low, high = mixed.min(), mixed.max()
    share = torch.where(high > low, (mixed - low) / (high - low).clamp(min=_tiny(mixed)), 1.0)
    least = place_Q.mean()
    return least + share * (1 - least)


def _released_weight(place_Q: Tensor, confidence_Q: Tensor, cfg: NoisyAnchors) -> Tensor:
    return _mix(_over_mean(_spread(place_Q)), _over_mean(_spread(confidence_Q)), cfg)


def _mix(place_Q: Tensor, confidence_Q: Tensor, cfg: NoisyAnchors) -> Tensor:
    return cfg.alpha * place_Q + (1 - cfg.alpha) * confidence_Q


def _spread(x: Tensor) -> Tensor:
    """Return f(x) = 1 / (1 - x), finite at 1."""
    return 1 / (1 - x.clamp(max=SHARPEST))


def _over_mean(x: Tensor) -> Tensor:
    return x / x.mean().clamp(min=_tiny(x))


def _tiny(x: Tensor) -> float:
    return torch.finfo(x.dtype).tiny


def _bce(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def _focal_released(logits: Tensor, targets: Tensor) -> Tensor:
    p = logits.sigmoid()
    yes = ALPHA * (1 - p) ** GAMMA * functional.softplus(-logits)
    no = (1 - ALPHA) * p**GAMMA * functional.softplus(logits)
    return targets * yes + (1 - targets) * no


def _focal_quality(logits: Tensor, targets: Tensor) -> Tensor:
    return (targets - logits.sigmoid()).abs() ** GAMMA * _bce(logits, targets)


Part = Callable[[Tensor, Tensor, NoisyAnchors], Tensor]
FORMS: dict[Form, tuple[Part, Part]] = {  # soft label, weight
    "paper": (_paper_label, _paper_weight),
    "released": (_released_label, _released_weight),
}
SOFT_LOSSES: dict[SoftLoss, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": _bce,
    "focal_released": _focal_released,
    "focal_quality": _focal_quality,
}
