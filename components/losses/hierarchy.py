"""Sigmoid loss of regions over classes that contain each other: a dog is an animal too.

Paper 4, section 5.1: labels expanded by the hierarchy, binary cross-entropies. A region of class y
wants 1 at y and at all above it, through any of its parents; what is below y may or may not be
true and is left out; the rest, and all of a background region, wants 0:
  sum over c with t_c >= 0 of BCE(x_c, t_c), divided by 1 + the number of classes above y.
Differs: a sum; the published code takes twice the mean over regions, which is the caller's to do.
Shapes: R regions, C classes, E pairs of classes, P pairs of region and class.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from components.vocab.class_graph import ClassGraph
from components.vocab.sparse_rows import Rows

BACKGROUND = -1  # label of a region that shows nothing, as is any below 0
YES, NO, LEFT_OUT = 1, 0, -1  # targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Relatives:
    """What is above and below each class, as tensors in one place."""

    above: "_Rows"
    below: "_Rows"

    @classmethod
    def of(cls, graph: ClassGraph) -> "Relatives":
        """Return the relatives of a graph whose classes are those of the scores, in their order."""
        return cls(above=_Rows.of(graph.ancestors), below=_Rows.of(graph.descendants))

    def to(self, device: torch.device | str) -> "Relatives":
        """Return the same in another place."""
        return Relatives(above=self.above.to(device), below=self.below.to(device))

    def expand(self, labels_R: Tensor) -> Tensor:
        """Return int8 [R, C]: YES at the label and above, LEFT_OUT below, NO elsewhere.

        Args:
            labels_R: int64, 0 .. C-1, or BACKGROUND: NO everywhere.
        """
        targets = labels_R.new_full((len(labels_R), len(self.above)), NO, dtype=torch.int8)
        shown = torch.nonzero(labels_R >= 0)[:, 0]
        labels = labels_R[shown]
        targets[shown, labels] = YES
        for rows, value in ((self.above, YES), (self.below, LEFT_OUT)):
            places, classes = rows.gather(labels)
            targets[shown[places], classes] = value
        return targets


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """`Rows` of positions, as tensors."""

    starts: Tensor  # int64 [C + 1]
    columns: Tensor  # int64 [E]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, rows: Rows) -> "_Rows":
        """Return rows as tensors."""
        return cls(starts=torch.as_tensor(rows.starts), columns=torch.as_tensor(rows.columns))

    def to(self, device: torch.device | str) -> "_Rows":
        """Return the same in another place."""
        return _Rows(starts=self.starts.to(device), columns=self.columns.to(device))

    def counts(self, at: Tensor) -> Tensor:
        """Return int64: how long these rows are."""
        return self.starts[at + 1] - self.starts[at]

    def gather(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Return int64 [P] places in `at`, and int64 [P] the columns of those rows."""
        sizes = self.counts(at)
        places = torch.repeat_interleave(torch.arange(len(at), device=at.device), sizes)
        first = self.starts[at] - (sizes.cumsum(0) - sizes)  # of a row, less what came before it
        return places, self.columns[first[places] + torch.arange(len(places), device=at.device)]


def hierarchy_sum(
    logits_RC: Tensor, labels_R: Tensor, *, relatives: Relatives, weights_R: Tensor | None = None
) -> Tensor:
    """Return the sum over regions of the loss above, times a weight each; 0 for no region.

    Args:
        logits_RC: scores before the sigmoid.
        labels_R: int64, 0 .. C-1, or BACKGROUND.
        relatives: of these C classes.
        weights_R: of the regions; None: 1 each.
    """
    targets = relatives.expand(labels_R)
    wanted = targets.clamp(min=NO).to(logits_RC.dtype)
    terms = functional.binary_cross_entropy_with_logits(logits_RC, wanted, reduction="none")
    sums = terms.masked_fill(targets == LEFT_OUT, 0.0).sum(1)
    above = relatives.above.counts(labels_R.clamp(min=0)) * (labels_R >= 0)
    each = sums / (1 + above)
    return each.sum() if weights_R is None else (each * weights_R).sum()
