"""What a transfer kept of a source: which classes stay neighbours, and how long activations are.

Paper 4, section 5.3, Figure 4 and Table 3. Shapes: K classes of the source, D channels of its
rows, G of a detector's, Q classes asked about.
Differs: the paper does not say which nearness; here it is the cosine of rows less their mean over
the classes, the one that NN takes its nearest class by.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from components.transfer.mappings import NetworkRows
from components.transfer.networks import activations
from components.transfer.rows import ClassRows
from components.transfer.source import SourceError, standardise

SAMPLED, FARTHEST = 20, 200  # classes asked about and neighbours counted in Figure 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """Mean and variance of L2 norms, by section 5.3; `shared` have boxes, `novel` have none."""

    shared_mean: float
    shared_variance: float
    novel_mean: float
    novel_variance: float


def kept_neighbors(
    source_KD: Tensor, *, rows_KG: Tensor, asked_Q: Tensor, most: int = FARTHEST
) -> list[float]:
    """Return how many of a class's k nearest are the same in both, for k = 1, 2, ... `most`.

    Args:
        source_KD: the source's rows.
        rows_KG: rows made of them, of the same classes.
        asked_Q: int64, classes whose counts are averaged; see `drawn`.
        most: largest k; at most K - 1, as a class is not its own neighbour.
    """
    last = len(source_KD) - 1
    counts = torch.zeros(last + 1, dtype=torch.float64)
    for at in asked_Q.tolist():
        # A class is among the k nearest in both from the larger of its two places on.
        place = torch.maximum(_places(source_KD, at), _places(rows_KG, at))
        place = torch.cat([place[:at], place[at + 1 :]])
        counts += torch.bincount(place, minlength=last + 1)
    kept = counts[:last].cumsum(0) / len(asked_Q)
    return kept[:most].tolist()


def drawn(classes: int, *, count: int = SAMPLED, seed: int) -> Tensor:
    """Return int64 [Q]: classes drawn to be asked about, at most as many as there are."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(classes, generator=generator)[:count].sort().values


@torch.no_grad()
def activation_lengths(rows: ClassRows, *, source_KD: Tensor) -> Lengths:
    """Return the norms of the encoder's activations over shared and over novel classes (Table 3).

    Args:
        rows: fitted, of a method that has a network.
        source_KD: all rows of the source that it was fitted with, in the same order.

    Raises:
        SourceError: the method has no network, or every class is shared.
    """
    network = rows.mapping
    if not isinstance(network, NetworkRows):
        raise SourceError(
            f"{rows.cfg.method}: no network whose activations could be measured; got fixed or "
            "ordinary rows. Ask for a method of the WTN family."
        )
    novel = torch.ones(len(source_KD), dtype=torch.bool)
    novel[rows.shared_at.cpu()] = False
    if not novel.any():
        raise SourceError(
            f"{rows.cfg.method}: activations of shared and of novel classes are compared; got no "
            "novel class. Give a source that knows more classes than have boxes."
        )
    given = standardise(source_KD).apply(source_KD) if network.takes == "standard" else source_KD
    was_training = rows.training
    rows.eval()
    lengths = activations(network.encoder, given.to(rows.mean)).norm(dim=1).cpu().double()
    rows.train(was_training)
    shared, rest = lengths[~novel], lengths[novel]
    return Lengths(
        shared_mean=float(shared.mean()),
        shared_variance=float(shared.var(correction=0)),
        novel_mean=float(rest.mean()),
        novel_variance=float(rest.var(correction=0)),
    )


def _places(rows_KG: Tensor, at: int) -> Tensor:
    """Return int64 [K]: each class's place among the neighbours of class `at`, from 0."""
    unit = functional.normalize(rows_KG - rows_KG.mean(0), dim=1)
    near = (unit @ unit[at]).index_fill(0, torch.tensor([at]), -torch.inf)
    places = torch.empty(len(near), dtype=torch.int64)
    places[near.argsort(descending=True, stable=True)] = torch.arange(len(near))
    return places
