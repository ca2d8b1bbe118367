"""Networks from a classifier's rows to a detector's: WTN, WTN+, and the autoencoder's two halves.

Paper 4, sections 3 and 4. Shapes: M classes, D channels of a source's row, G of a detector's.
Differs: GroupNorm has 32 groups as in the paper where each then holds 16 channels or more, else
fewer; the paper's layers have 2,048 channels. The encoder's scale of GroupNorm starts at 0, as in
the paper's code: a detector begins with rows of 0. It is not stuck there, since LeakyReLU passes
a gradient at 0 and ReLU none.
"""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

GROUPS, GROUP_CHANNELS = 32, 16
SLOPE, PLAIN_SLOPE = 0.01, 0.1  # of LeakyReLU; of the network without norm (Hu et al., 2018)
DECODER_STD = 0.001

Norm = Literal["group", "batch", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Net:
    """What tells one encoder from another."""

    norm: Norm = "group"
    dropout: float = 0.0  # after the activation
    half: int = 1  # hidden channels are D over this


def groups_of(channels: int) -> int:
    """Return the number of groups of GroupNorm: 32, or the next power of two that fits."""
    groups = math.gcd(GROUPS, channels)
    while groups > 1 and channels // groups < GROUP_CHANNELS:
        groups //= 2
    return groups


def encoder(inputs: int, outputs: int, *, net: Net) -> nn.Sequential:
    """Return T: [M, D] -> [M, G]; with a norm, 0 at the start.

    Its parts are the first layer, the norm, the activation, dropout, and the last layer.
    """
    hidden = max(inputs // net.half, 1)
    first = nn.Linear(inputs, hidden, bias=net.norm == "none")
    last = nn.Linear(hidden, outputs)
    if net.norm == "none":
        for layer in (first, last):
            nn.init.kaiming_normal_(layer.weight, a=PLAIN_SLOPE)
            nn.init.zeros_(layer.bias)
        return nn.Sequential(
            first, nn.Identity(), nn.LeakyReLU(PLAIN_SLOPE), nn.Dropout(net.dropout), last
        )
    norm = _norm(net.norm, hidden)
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(first, norm, nn.LeakyReLU(SLOPE), nn.Dropout(net.dropout), last)


def decoder(inputs: int, outputs: int, *, net: Net) -> nn.Sequential:
    """Return G, the mirror of T: [M, G] -> [M, D]; nearly 0 at the start.

    `inputs` and `outputs` are D and G, as of the encoder that it goes with.
    """
    hidden = max(inputs // net.half, 1)
    last = nn.Linear(hidden, inputs)
    nn.init.normal_(last.weight, std=DECODER_STD)
    nn.init.zeros_(last.bias)
    first = nn.Linear(outputs, hidden, bias=False)
    return nn.Sequential(first, _norm(net.norm, hidden), nn.LeakyReLU(SLOPE), last)


def activations(layers: nn.Sequential, rows_MD: Tensor) -> Tensor:
    """Return what an encoder's activation gives, [M, H]: Table 3 is about their lengths."""
    return layers[:3](rows_MD)


def _norm(norm: Norm, hidden: int) -> nn.GroupNorm | nn.BatchNorm1d:
    return nn.BatchNorm1d(hidden) if norm == "batch" else nn.GroupNorm(groups_of(hidden), hidden)
