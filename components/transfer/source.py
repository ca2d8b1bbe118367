"""A classifier's rows with their classes: checks, one scale a channel, and who is shared.

Paper 4, section 3. Shapes: K classes of the source, D channels of a row, C boxed classes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from components.transfer.methods import WIDEST
from components.vocab.classes import Vocabulary
from components.vocab.shared_classes import why_apart


class SourceError(ValueError):
    """A classifier's rows cannot be taken, or do not go with the boxed classes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceWeights:
    """The last layer of a classifier, or any embedding of classes; row k is class k."""

    vocabulary: Vocabulary  # K classes, in the order of the rows
    weight: Tensor  # float32 [K, D]
    bias: Tensor | None = None  # float32 [K]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standard:
    """Mean and deviation of each channel over the classes of a source."""

    mean: Tensor  # [D]
    std: Tensor  # [D]

    def apply(self, weight_MD: Tensor) -> Tensor:
        """Return rows [M, D] of any classes, each channel less its mean, over its deviation."""
        return (weight_MD - self.mean) / self.std


def standardise(weight_KD: Tensor) -> Standard:
    """Return mean and deviation of each channel over the classes, with K - 1 (section 3).

    A channel that no class tells from another has deviation 1 here: it becomes 0 and not NaN.
    """
    std_D = weight_KD.std(0) if len(weight_KD) > 1 else torch.zeros_like(weight_KD[0])
    return Standard(
        mean=weight_KD.mean(0), std=torch.where(_constant(weight_KD), torch.ones(()), std_D)
    )


def check(source: SourceWeights, *, where: str) -> None:
    """Refuse rows that no transfer may be fitted on.

    Two classes may have one name (ImageNet has two cranes); two of one id no `Vocabulary` holds.

    Args:
        source: what was read.
        where: it came from, for the message.

    Raises:
        SourceError: another number of rows or biases than classes, another type than float32, NaN
            or infinity, fewer than two classes, more channels than WIDEST, or a channel that is
            the same for all classes.
    """
    weight, classes = source.weight, len(source.vocabulary)
    if weight.ndim != 2 or len(weight) != classes:
        raise SourceError(
            f"{where}: one row a class; got rows {list(weight.shape)} for {classes} classes. "
            "Give the class list that the classifier was trained with, in its order."
        )
    if source.bias is not None and list(source.bias.shape) != [classes]:
        raise SourceError(
            f"{where}: one bias a class; got {list(source.bias.shape)} for {classes} classes. "
            "Give the bias of the same layer, or none."
        )
    if classes < 2 or weight.shape[1] < 1:
        raise SourceError(
            f"{where}: two classes or more; got rows {list(weight.shape)}. Give the last layer of "
            "a classifier of many classes."
        )
    if weight.shape[1] > WIDEST:
        raise SourceError(
            f"{where}: rows have at most {WIDEST} channels; got rows {list(weight.shape)}. Give "
            "the last layer of a classifier, or fewer channels."
        )
    for name, tensor in (("rows", weight), ("biases", source.bias)):
        if tensor is not None:
            _check_numbers(tensor, name=name, source=source, where=where)
    flat = torch.nonzero(_constant(weight)).flatten().tolist()
    if flat:
        raise SourceError(
            f"{where}: {len(flat)} of {weight.shape[1]} channels are the same for all {classes} "
            f"classes; got channel {flat[0]}, always {float(weight[0, flat[0]]):g}. Such a channel "
            "tells no class from another. Give rows that were trained, all of one classifier."
        )


def shared(source: Vocabulary, boxed: Vocabulary) -> Tensor:
    """Return int64 [C]: the source's row of each boxed class, or -1 for one it does not have.

    Classes are one when their ids are. A boxed class that only its name ties to the source, under
    another id (`coarse:dog` and `fine:dog`), is refused: taken as two classes the detector would
    learn one of them and be asked for the other. It is no such case where another boxed class of
    that name does have the source's id.

    Raises:
        SourceError: a class is in both under two ids, or no boxed class is in the source.
    """
    if reason := why_apart(source, boxed):
        raise SourceError(reason)
    return torch.from_numpy(boxed.mapping(source))


def _constant(weight_KD: Tensor) -> Tensor:
    """Return bool [D]: channels whose rows are all equal; a deviation may round to more than 0."""
    return weight_KD.amax(0) == weight_KD.amin(0)


def _check_numbers(tensor: Tensor, *, name: str, source: SourceWeights, where: str) -> None:
    if tensor.dtype != torch.float32:
        raise SourceError(
            f"{where}: {name} are float32; got {str(tensor.dtype).removeprefix('torch.')}. "
            "Convert them."
        )
    bad = ~(tensor.abs() < math.inf)
    if bool(bad.any()):
        first = int(torch.nonzero(bad)[0][0])
        raise SourceError(
            f"{where}: {name} are finite; got NaN or infinity {int(bad.sum())} times, first at "
            f"class {source.vocabulary.ids[first]!r}. Give weights of a training that ended well."
        )
