"""A classifier's rows as they were opened, and as a folder of ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from components.models.class_weights import Feature
from components.train.tensors import read_tensors
from components.train.weights_file import CLASSES, WeightsError, read_header
from components.transfer.source import SourceWeights
from components.vocab.classes import Vocabulary

SOURCE, NETWORK, FEATURE = "source.safetensors", "network.", "feature"
NO_NETWORK = "none"  # as feature: of a table
FEATURE_OF: dict[str, Feature | None] = {"head": "head", "trunk": "trunk", NO_NETWORK: None}


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedSource:
    """A classifier's rows, and what else its file holds of the network below them."""

    weights: SourceWeights
    feature: Feature | None  # that its rows read, where they are taken as they are; None: of a
    # table, which is of no network: the features of a detector that are as wide as its rows
    where: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])  # its network's; of a
    # classifier of ours the region head's, on which it stands; of a table none


def save_source(folder: Path, opened: OpenedSource) -> None:
    """Write rows, their classes and their network; equal ones give equal bytes."""
    source = opened.weights
    tensors = {"weight": source.weight} | {f"{NETWORK}{k}": v for k, v in opened.tensors.items()}
    if source.bias is not None:
        tensors["bias"] = source.bias
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(plain, folder / SOURCE, metadata={FEATURE: opened.feature or NO_NETWORK})
    source.vocabulary.write(folder / CLASSES)


def load_source(folder: Path) -> OpenedSource:
    """Return what `save_source` wrote.

    Raises:
        WeightsError: the file is not in that format, or has no rows.
        VocabularyError: the list of classes cannot be read.
    """
    path = folder / SOURCE
    feature = read_header(path).metadata.get(FEATURE)
    tensors = read_tensors(path)
    if "weight" not in tensors or feature not in FEATURE_OF:
        raise WeightsError(
            f"{path}: rows of a classifier; got {', '.join(list(tensors)[:3])} of feature "
            f"{feature}. Make it with vocabox."
        )
    return OpenedSource(
        weights=SourceWeights(
            vocabulary=Vocabulary.read(folder / CLASSES),
            weight=tensors["weight"],
            bias=tensors.get("bias"),
        ),
        feature=FEATURE_OF[feature],
        where=str(path),
        tensors={k.removeprefix(NETWORK): v for k, v in tensors.items() if k.startswith(NETWORK)},
    )
