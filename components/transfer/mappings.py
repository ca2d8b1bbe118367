"""Ways to a class's row: by a network for all classes, per class and by neighbours, or as it is.

Paper 4, sections 3, 4 and 5.2. Shapes: M classes asked for, S classes shared with the boxes, D
channels of a source's row, G of a detector's.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.transfer.networks import Net, decoder, encoder
from components.transfer.source import Standard

ROW_STD = 0.01  # of ordinary rows at the start


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """Rows of a source for some classes, and its channels' means and deviations."""

    raw: Tensor  # [M, D]
    by: Standard

    @property
    def standard(self) -> Tensor:
        """Return the rows [M, D], each channel standardised over the classes of the source."""
        return self.by.apply(self.raw)

    @property
    def centred(self) -> Tensor:
        """Return the rows [M, D] less the mean over the classes of the source."""
        return self.raw - self.by.mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """What a mapping is built for."""

    inputs: int  # D
    outputs: int  # G
    shared: int  # S
    neighbors: int


class RowMapping(Protocol):
    """Rows of a detector from rows of a source."""

    def of_shared(self, given: Given) -> Tensor:
        """Return rows [S, G] of the shared classes, in their order, with gradients."""
        ...

    def of_any(self, given: Given, *, shared: Given, same_M: Tensor) -> Tensor:
        """Return rows [M, G]; `same_M` is which shared class each one is, or -1."""
        ...


class NetworkRows(nn.Module):
    """One network T for all classes: rows T(W), T(W~) or W + T(W~)."""

    def __init__(
        self,
        sizes: Sizes,
        *,
        net: Net,
        takes: Literal["raw", "standard"],
        adds: Literal["nothing", "row"] = "nothing",
        mirror: Literal["none", "decoder"] = "none",
    ) -> None:
        super().__init__()
        self.takes, self.adds = takes, adds
        self.encoder = encoder(sizes.inputs, sizes.outputs, net=net)
        mirrored = mirror == "decoder"
        self.decoder = decoder(sizes.inputs, sizes.outputs, net=net) if mirrored else None

    def encode(self, given: Given) -> Tensor:
        """Return T's output [M, G]."""
        return self.encoder(given.standard if self.takes == "standard" else given.raw)

    def added(self, encoded_MG: Tensor, given: Given) -> Tensor:
        """Return rows [M, G] from T's output."""
        return given.raw + encoded_MG if self.adds == "row" else encoded_MG

    def of_shared(self, given: Given) -> Tensor:
        """Return the network's rows."""
        return self.added(self.encode(given), given)

    def of_any(self, given: Given, *, shared: Given, same_M: Tensor) -> Tensor:
        """Return the network's rows: it treats all classes alike."""
        del shared, same_M
        return self.of_shared(given)


class NearestRows(nn.Module):
    """An ordinary row a shared class; another class has that of the nearest (NN)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.rows_SG = nn.Parameter(torch.randn(sizes.shared, sizes.outputs) * ROW_STD)

    def of_shared(self, given: Given) -> Tensor:
        """Return the rows learned."""
        del given
        return self.rows_SG

    def of_any(self, given: Given, *, shared: Given, same_M: Tensor) -> Tensor:
        """Return each class's own row, or that of the class nearest in cosine."""
        nearest_M = cosines(given, shared).argmax(1)
        return self.rows_SG[torch.where(same_M >= 0, same_M, nearest_M)]


class ShiftedRows(nn.Module):
    """A source's row and a shift: learned per shared class, else the neighbours' mean (LSDA).

    A learned projection of the source's row stands for it where a detector's rows are of another
    width.
    """

    def __init__(self, sizes: Sizes, *, weights: Literal["equal", "visual"]) -> None:
        super().__init__()
        equal = sizes.inputs == sizes.outputs
        self.weights, self.neighbors = weights, min(sizes.neighbors, sizes.shared)
        self.project = (
            nn.Identity() if equal else nn.Linear(sizes.inputs, sizes.outputs, bias=False)
        )
        self.shifts_SG = nn.Parameter(torch.zeros(sizes.shared, sizes.outputs))

    def of_shared(self, given: Given) -> Tensor:
        """Return each class's row with its own shift."""
        return self.project(given.raw) + self.shifts_SG

    def of_any(self, given: Given, *, shared: Given, same_M: Tensor) -> Tensor:
        """Return each class's row with its own shift, or with the mean of its neighbours'."""
        near = cosines(given, shared).topk(self.neighbors, dim=1)
        closeness = near.values.clamp(min=1e-6)
        if self.weights == "equal":
            closeness = torch.ones_like(closeness)
        share = closeness / closeness.sum(1, keepdim=True)
        mean_MG = (share[:, :, None] * self.shifts_SG[near.indices]).sum(1)
        own_MG = self.shifts_SG[same_M.clamp(min=0)]
        return self.project(given.raw) + torch.where((same_M >= 0)[:, None], own_MG, mean_MG)


class FixedRows(nn.Module):
    """The source's rows as they are, or centred and of length 1; nothing is learned."""

    def __init__(self, *, form: Literal["raw", "unit"]) -> None:
        super().__init__()
        self.form = form

    def of_shared(self, given: Given) -> Tensor:
        """Return the rows."""
        return given.raw if self.form == "raw" else functional.normalize(given.centred, dim=1)

    def of_any(self, given: Given, *, shared: Given, same_M: Tensor) -> Tensor:
        """Return the rows."""
        del shared, same_M
        return self.of_shared(given)


def cosines(given: Given, shared: Given) -> Tensor:
    """Return [M, S]: the cosine between centred source rows."""
    ours, theirs = (functional.normalize(g.centred, dim=1) for g in (given, shared))
    return ours @ theirs.T
