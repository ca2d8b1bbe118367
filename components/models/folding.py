"""Fixed normalisation folded into the convolution before it: the same numbers in fewer passes.

y = g (W x + b - m) / s + c is one convolution with W g / s and (b - m) g / s + c. For a network
that is only looked at: the folded one cannot be trained or saved under its old names.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

NORMS = (nn.BatchNorm2d, FrozenBatchNorm2d)


def fold_norms(root: nn.Module) -> int:
    """Fold each batch normalisation that follows a convolution; return how many were folded.

    A pair stands side by side in one module, as in timm's blocks; what a normalisation does
    beside (an activation) stays. EfficientNet-Lite0 at 320 px: trunk 1.0 to 1.2 times as fast on
    one busy core, no detection changed by more than 1e-3 px in its test (2026-11).
    """
    folded = 0
    for module in list(root.modules()):
        children = list(module.named_children())
        for (_, conv), (name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, NORMS):
                _fold(conv, norm)
                setattr(module, name, _rest(norm))
                folded += 1
    return folded


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d | FrozenBatchNorm2d) -> None:
    with torch.no_grad():
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            cast("Tensor", norm.running_mean),
            cast("Tensor", norm.running_var),
            norm.eps,
            cast("Tensor", norm.weight),
            cast("Tensor", norm.bias),
        )


def _rest(norm: nn.Module) -> nn.Module:
    """Return what a normalisation of timm does after it normalised: drop and activate."""
    children = dict(norm.named_children())
    after = [children[name] for name in ("drop", "act") if name in children]
    return nn.Sequential(*after) if after else nn.Identity()
