"""Is there an object, and of which class: scores of regions, and how two classifiers agree.

Paper 5, section 3.2, Eq. 1-5. Shapes: P regions, C boxed classes, F labelled classes, K asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from components.vocab.classes import Vocabulary

BOXED_POWER, LABELLED_POWER = 2 / 3, 1 / 3  # Eq. 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Regions:
    """The regions of one picture; boxes in the pixels of the batch."""

    boxes: Tensor  # [P, 4]
    foreground: Tensor  # [P] Eq. 1, in [0, 1]
    boxed: Tensor  # [P, C] Eq. 2, each row sums to 1
    labelled: Tensor  # [P, F] Eq. 3, each row sums to 1


class LinearScorer(nn.Module):
    """A linear layer that may have no rows: a vocabulary can be empty."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, features) * 0.01)
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map features [P, D] to logits [P, classes]."""
        return nn.functional.linear(x, self.weight, self.bias)


class DecoupledScorer(nn.Module):
    """Foreground f (Eq. 1), boxed classes g (Eq. 2), labelled classes g-hat (Eq. 3).

    There is no background class: a region without an object is the foreground score's business.
    """

    def __init__(self, *, features: int, boxed: int, labelled: int) -> None:
        super().__init__()
        self.foreground = LinearScorer(features, 1)
        self.boxed = LinearScorer(features, boxed)
        self.labelled = LinearScorer(features, labelled)

    def probabilities(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return S_fg [P], S [P, C] and S-hat [P, F] of Eq. 1-3."""
        foreground = self.foreground(x)[:, 0].sigmoid()
        return foreground, self.boxed(x).softmax(1), self.labelled(x).softmax(1)


class UnknownClassError(ValueError):
    """A class is asked for that neither classifier knows."""


def fuse(
    regions: Regions,
    *,
    boxed: Vocabulary,
    labelled: Vocabulary,
    ids: Sequence[str],
    fuse: bool = True,
) -> Tensor:
    """Return the scores [P, K] of the classes asked for (Eq. 4-5).

    A class that both classifiers know gets S_fg S^(2/3) S-hat^(1/3); one that only one of them
    knows gets S_fg times that one's score, and never the power of a missing score. The
    foreground counts once: (S_fg S)^(2/3) (S_fg S-hat)^(1/3) is the same number.

    Args:
        regions: of one picture.
        boxed: classes of `regions.boxed`.
        labelled: classes of `regions.labelled`.
        ids: classes asked for, the order of the columns.
        fuse: False takes S-hat alone where it knows the class (paper 5, setup S2).

    Raises:
        UnknownClassError: neither vocabulary holds a class of `ids`.
    """
    asked = Vocabulary(ids=tuple(ids), names=tuple(ids))
    b, f = _columns(asked, boxed), _columns(asked, labelled)
    lost = [name for name, i, j in zip(ids, b, f, strict=True) if i < 0 and j < 0]
    if lost:
        raise UnknownClassError(
            f"scores: the detector has never seen {len(lost)} of {len(asked)} classes; "
            f"got {', '.join(map(repr, lost[:3]))}. Ask for classes of its vocabulary.json."
        )
    by_box, by_label = _take(regions.boxed, b), _take(regions.labelled, f)
    both = by_box**BOXED_POWER * by_label**LABELLED_POWER if fuse else by_label
    has_box, has_label = (b >= 0).to(by_box.device), (f >= 0).to(by_box.device)
    single = torch.where(has_label, by_label, by_box)
    return regions.foreground[:, None] * torch.where(has_box & has_label, both, single)


def _columns(asked: Vocabulary, known: Vocabulary) -> Tensor:
    return torch.from_numpy(asked.mapping(known))


def _take(scores: Tensor, columns: Tensor) -> Tensor:
    """Pick columns; those that are missing become 1, which no caller may use alone."""
    padded = torch.cat([scores, scores.new_ones(len(scores), 1)], 1)
    index = torch.where(columns >= 0, columns, scores.shape[1])
    return padded[:, index.to(scores.device)]
