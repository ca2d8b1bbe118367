"""Features of a region as they are scored: left alone, normalised, or with a correction.

Paper 4, section 5.2 (ZSD: cosine). Shapes: R regions, F features of a region, G features scored.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.transfer.methods import MOST_LAYERS, WIDEST

Kind = Literal["identity", "cosine", "residual"]
TEMPERATURE = 10.0  # of the cosine at the start
RESIDUAL_WIDTH, RESIDUAL_DROPOUT = 256, 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """All that an adapter is built from; plain values, so that a file can hold it.

    Raises:
        ValueError: sizes that no adapter has; a file can say any.
    """

    kind: Kind
    features: int  # F
    layers: tuple[int, ...] = ()  # widths of learned layers before, each with a ReLU
    outputs: int  # G

    def __post_init__(self) -> None:
        """Refuse widths out of [1, WIDEST], and more than MOST_LAYERS layers."""
        sizes = (self.features, *self.layers, self.outputs)
        wrong: list[object] = [n for n in sizes if type(n) is not int or not 1 <= n <= WIDEST]
        if wrong or len(self.layers) > MOST_LAYERS:
            got = repr(wrong[0]) if wrong else f"{len(self.layers)} layers"
            raise ValueError(
                f"adapter: {MOST_LAYERS} layers of 1 to {WIDEST} channels at most; got {got:.20}"
            )

    @property
    def width(self) -> int:
        """Return how many features the learned layers give."""
        return self.layers[-1] if self.layers else self.features


class Cosine(nn.Module):
    """P x over its length, times a temperature: with normalised rows, a cosine."""

    def __init__(self, *, features: int, outputs: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, outputs)
        self.temperature = nn.Parameter(torch.tensor(TEMPERATURE))

    def forward(self, x_RF: Tensor) -> Tensor:
        """Return features [R, G] of one length."""
        return self.temperature * functional.normalize(self.project(x_RF), dim=1)


class Residual(nn.Module):
    """x + T(x), T two layers; the last starts at 0, so that nothing is changed at the start."""

    def __init__(self, *, features: int) -> None:
        super().__init__()
        last = nn.Linear(RESIDUAL_WIDTH, features)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.LayerNorm(features),
            nn.Linear(features, RESIDUAL_WIDTH),
            nn.ReLU(),
            nn.Dropout(RESIDUAL_DROPOUT),
            last,
        )

    def forward(self, x_RF: Tensor) -> Tensor:
        """Return features [R, F]."""
        return x_RF + self.layers(x_RF)


class Adapter(nn.Module):
    """Learned layers, if there are any, then one of the kinds; layers start as torch's do."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        widths = (shape.features, *shape.layers)
        self.shape = shape
        self.layers = nn.Sequential()
        for here, there in itertools.pairwise(widths):
            self.layers.extend([nn.Linear(here, there), nn.ReLU()])
        self.last = KINDS[shape.kind](shape)

    def forward(self, x_RF: Tensor) -> Tensor:
        """Return features [R, G] as they are scored."""
        return self.last(self.layers(x_RF))


def _identity(shape: Shape) -> nn.Module:
    del shape
    return nn.Identity()


def _cosine(shape: Shape) -> nn.Module:
    return Cosine(features=shape.width, outputs=shape.outputs)


def _residual(shape: Shape) -> nn.Module:
    return Residual(features=shape.width)


KINDS = {"identity": _identity, "cosine": _cosine, "residual": _residual}
