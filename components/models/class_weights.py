"""What every way of scoring exports to: rows of weights, a bias, and the classes they are of.

Linear, cosine, transferred (paper 4) and decoupled scorers (paper 5) become the same two groups of
rows at most; a detector with them has the modules of Faster R-CNN, however the rows were made.
Shapes: P regions, C classes, E rivals, D features of a region, G features as rows score them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from components.models.scores import LinearScorer
from components.transfer.adapters import Adapter
from components.vocab.classes import Vocabulary

Rule = Literal["softmax", "sigmoid"]
Feature = Literal["head", "trunk"]
RULES: tuple[str, ...] = get_args(Rule)
FEATURES: tuple[str, ...] = get_args(Feature)


class ClassWeightsError(ValueError):
    """Rows, classes and settings that do not belong together."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassGroup:
    """Classes that are scored by one rule on one feature; float32 or float64."""

    vocabulary: Vocabulary  # C classes, of the first C rows
    weight: Tensor  # [C + E, G]; the last E rows are rivals: in the softmax, and not answered
    bias: Tensor  # [C + E]
    rule: Rule  # softmax: times the detector's foreground; sigmoid: a score that stands alone
    feature: Feature = "head"  # of a proposal, by the region head; or the trunk's, of the box found
    context: float = 0.0  # share of the whole picture in a region's score; of the trunk only
    adapter: Adapter | None = None  # features [P, D] -> [P, G] that the rows score
    rival_ids: tuple[str, ...] = ()  # of the last rows; rivals before them are of no known class

    def __post_init__(self) -> None:
        """Refuse what cannot be a group."""
        for name, got, values in (
            ("rule", self.rule, RULES),
            ("feature", self.feature, FEATURES),
        ):
            if got not in values:
                raise ClassWeightsError(
                    f"classes: {name} is one of {', '.join(values)}; got {got!r:.40}. "
                    "Use the vocabox that wrote it."
                )
        rows, classes = len(self.bias), len(self.vocabulary)
        if self.weight.ndim != 2 or self.bias.ndim != 1 or len(self.weight) != rows:
            raise ClassWeightsError(
                f"classes: weights [C, D] and a bias [C]; got {list(self.weight.shape)} and "
                f"{list(self.bias.shape)}. Export again."
            )
        if rows < classes or not classes:
            raise ClassWeightsError(
                f"classes: one row a class; got {rows} rows and {classes} class ids. Export again."
            )
        if self.rule == "sigmoid" and rows > classes:
            raise ClassWeightsError(
                f"classes: a sigmoid has no rivals; got {rows} rows for {classes} class ids. "
                "Export again."
            )
        others = set(self.rival_ids)
        if len(self.rival_ids) > rows - classes or len(others) < len(self.rival_ids):
            raise ClassWeightsError(
                f"classes: one rival of a class at most; got {len(self.rival_ids)} ids of rivals "
                f"for {rows - classes} rows. Export again."
            )
        if both := [class_id for class_id in self.vocabulary.ids if class_id in others]:
            raise ClassWeightsError(
                f"classes: none is its own rival; got {both[0]!r:.80} as both. Export again."
            )
        if not 0 <= self.context <= (1 if self.feature == "trunk" else 0):
            raise ClassWeightsError(
                f"classes: context is a share in [0, 1] of the trunk's feature; got "
                f"{self.context} of the {self.feature}'s. Export again."
            )
        if self.adapter is not None and self.adapter.shape.outputs != self.weight.shape[1]:
            raise ClassWeightsError(
                f"classes: rows of the adapter's width; got {self.weight.shape[1]} for "
                f"{self.adapter.shape.outputs}. Export again."
            )

    @property
    def features(self) -> int:
        """Return D, how many features of a region the group reads."""
        return self.weight.shape[1] if self.adapter is None else self.adapter.shape.features

    @property
    def rivals(self) -> int:
        """Return how many rows take part in the softmax without being answered."""
        return len(self.bias) - len(self.vocabulary)

    def only(self, ids: Sequence[str]) -> "ClassGroup | None":
        """Return these classes, in this order; None where the group knows none of them.

        Their scores stay what they were: in a softmax the others stay as rivals, by their ids.
        """
        v = self.vocabulary
        place = {class_id: i for i, class_id in enumerate(v.ids)}
        kept = [place[class_id] for class_id in ids if class_id in place]
        if not kept:
            return None
        chosen = set(kept)
        gone = [i for i in range(len(v)) if i not in chosen] if self.rule == "softmax" else []
        rows = [*kept, *range(len(v), len(self.bias)), *gone]
        return replace(
            self,
            vocabulary=Vocabulary(
                ids=tuple(v.ids[i] for i in kept), names=tuple(v.names[i] for i in kept)
            ),
            weight=self.weight[rows],
            bias=self.bias[rows],
            rival_ids=(*self.rival_ids, *(v.ids[i] for i in gone)),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassWeights:
    """All classes of a detector; a class of both groups gets the mean that `fuse` takes."""

    boxed: ClassGroup | None = None
    labelled: ClassGroup | None = None

    def __post_init__(self) -> None:
        """Refuse a detector without a class."""
        if not self.groups():
            raise ClassWeightsError("classes: no group of classes; got none. Export again.")

    def groups(self) -> dict[str, ClassGroup]:
        """Return the groups that are there, by name."""
        both = {"boxed": self.boxed, "labelled": self.labelled}
        return {name: group for name, group in both.items() if group is not None}

    def vocabulary(self, name: str) -> Vocabulary:
        """Return the classes of a group; none where it is not there."""
        group = self.groups().get(name)
        return Vocabulary(ids=(), names=()) if group is None else group.vocabulary

    def reads(self, feature: Feature) -> bool:
        """Say whether a group is scored on this feature."""
        return any(group.feature == feature for group in self.groups().values())


class GroupScorer(nn.Module):
    """One group as a module: an adapter and a linear layer."""

    def __init__(self, group: ClassGroup) -> None:
        super().__init__()
        self.rule, self.feature, self.context = group.rule, group.feature, group.context
        self.classes = len(group.vocabulary)
        self.adapter = nn.Identity() if group.adapter is None else group.adapter
        self.linear = LinearScorer(group.weight.shape[1], len(group.bias))
        with torch.no_grad():
            self.linear.weight = nn.Parameter(group.weight.clone())
            self.linear.bias = nn.Parameter(group.bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map features [..., D] to logits [..., C] of the classes that are answered."""
        return self.linear(self.adapter(x))[..., : self.classes]

    def probabilities(self, x: Tensor) -> Tensor:
        """Map features [P, D] to scores [P, C], in [0, 1]."""
        logits = self.linear(self.adapter(x))
        if self.rule == "sigmoid":
            return logits.sigmoid()
        return logits.softmax(1)[:, : self.classes]


class ExportedScorer(nn.Module):
    """Answers as `DecoupledScorer` does, from exported rows."""

    def __init__(self, weights: ClassWeights, *, foreground: LinearScorer) -> None:
        super().__init__()
        groups = weights.groups()
        self.with_foreground = any(group.rule == "softmax" for group in groups.values())
        self.alone = any(group.rule == "sigmoid" for group in groups.values())
        self.reads_trunk = weights.reads("trunk")
        self.context = max(group.context for group in groups.values())
        self.groups = nn.ModuleDict({n: GroupScorer(group) for n, group in groups.items()})
        self.labelled_feature = None if weights.labelled is None else weights.labelled.feature
        self.foreground = foreground if self.with_foreground else None

    def probabilities(
        self, x: Tensor, trunk: Tensor | None = None, whole: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return S_fg [P], and the scores [P, C] and [P, F] of the two groups.

        A sigmoid already says "there is one": beside one, a softmax is multiplied by the
        foreground here, and the S_fg returned is 1. So it counts once in every class, and what
        `fuse` makes of a class in both groups is the same.
        With a context c a score is (the region's)^(1-c) (the whole picture's)^c, as paper 5 joins
        two scores of a class: where both disagree, all of a region's scores are low.

        Args:
            x: features of the region head [P, D].
            trunk: features of the trunk [P, G]; needed where a group reads them.
            whole: those of the picture of each region [P, G]; needed where `context` is above 0.
        """
        ones = x.new_ones(len(x))
        fg = ones if self.foreground is None else self.foreground(x)[:, 0].sigmoid()
        found: dict[str, Tensor] = {}
        for name, group in self._groups().items():
            scores = _scores(group, x, trunk, whole)
            inside = self.alone and group.rule == "softmax"
            found[name] = fg[:, None] * scores if inside else scores
        none = x.new_zeros(len(x), 0)
        both = (found.get("boxed", none), found.get("labelled", none))
        return (ones if self.alone else fg, *both)

    def labelled(self, x: Tensor) -> Tensor:
        """Map features [..., D] of the labelled group to its logits [..., F]."""
        group = self._groups().get("labelled")
        return x[..., :0] if group is None else group(x)

    def _groups(self) -> Mapping[str, GroupScorer]:
        return {n: g for n, g in self.groups.items() if isinstance(g, GroupScorer)}


def _scores(group: GroupScorer, x: Tensor, trunk: Tensor | None, whole: Tensor | None) -> Tensor:
    """Return the scores [P, C] of a group, on the features that it reads."""
    if group.feature == "head":
        return group.probabilities(x)
    if trunk is None or (whole is None and group.context > 0):
        raise ClassWeightsError(
            "classes: a group reads features of the trunk; got none. Give `trunk` and `whole`."
        )
    near = group.probabilities(trunk)
    if whole is None or group.context == 0:
        return near
    return near ** (1 - group.context) * group.probabilities(whole) ** group.context
