"""Somebody's weights and their class list -> a folder in our safe form; nothing is guessed.

The folder holds `backbone.safetensors` (every tensor, under its own name), `vocabulary.json` (the
class of each row of the classifier, in its order), and `backbone.json`: digests of both, of the
file they came from, and what was checked. No time, host or path is in them.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from components.models.choices import NETWORKS, PACKAGED
from components.train.foreign import check_numbers, check_trunk, check_types, pair, timm_tensors
from components.train.foreign_file import Opened, open_foreign
from components.train.rows_header import CLASSIFIERS
from components.train.take_place import take_place
from components.train.tensors import constant_channels
from components.train.weights_file import (
    ABOUT,
    CLASSES,
    CONVERTED,
    listed,
    read_header,
    wrong_types,
)
from components.vocab.class_list import difference, read_class_list
from components.vocab.classes import Vocabulary, VocabularyError


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """What was made of a file."""

    weights: Path
    tensors: int
    classes: int
    classifier: str  # name of its weight; empty: the file has none
    warnings: tuple[str, ...]


def convert_file(source: Path, *, classes: Path, out: Path, network: str | None) -> Converted:
    """Write the safe form of a file into a folder, whole or not at all.

    Args:
        source: .safetensors, or a pickle of a state_dict; it is opened in a child.
        classes: one class id a line, or JSON; one for each row of the classifier.
        out: a folder; replaced if it is there.
        network: a name of NETWORKS that the tensors must fit; None leaves that to whoever uses
            them.

    Raises:
        WeightsError, VocabularyError: the file, the list, or the two together cannot be used.
        MissingExtraError: timm is not installed, and `network` needs it.
    """
    vocabulary = read_class_list(classes)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        half = Path(scratch) / "half"
        half.mkdir()
        opened = open_foreign(source, scratch=Path(scratch))
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        tensors = _named_as_in_timm(opened.tensors, digest, network=network)
        check_numbers(tensors, where=source)
        classifier = _same_classes(opened, tensors, vocabulary, list_at=classes, source=source)
        weights = half / CONVERTED
        save_file(tensors, weights, metadata={"format": "pt"})
        header = read_header(weights)
        check_types(header.tensors, wrong_types(header), where=source)
        if network is not None:
            check_trunk(weights, NETWORKS[network], where=source)
        vocabulary.write(half / CLASSES)
        _write_record(half, digest=digest, network=network, classifier=classifier)
        take_place(half, out, scratch=Path(scratch))
    return Converted(
        weights=out / CONVERTED,
        tensors=len(tensors),
        classes=len(vocabulary),
        classifier=classifier,
        warnings=tuple(_warnings(opened, tensors, classifier)),
    )


def _named_as_in_timm(
    tensors: dict[str, Tensor], digest: str, *, network: str | None
) -> dict[str, Tensor]:
    """Give the one known file whose names differ from the network's the names it has there."""
    known = [p for p in PACKAGED.values() if p.sha256 == digest and p.backbone == network]
    return pair(tensors, timm_tensors(), where=known[0].package) if known else tensors


def _same_classes(
    opened: Opened,
    tensors: Mapping[str, Tensor],
    vocabulary: Vocabulary,
    *,
    list_at: Path,
    source: Path,
) -> str:
    """Return the classifier's name after its rows were found to be the classes of the list."""
    give = "Give the list that the weights were trained with, in its order."
    if opened.classes is not None and opened.classes != vocabulary.ids:
        raise VocabularyError(
            f"{list_at}: not the classes that {source} names itself; got "
            f"{difference(opened.classes, vocabulary.ids)}. {give}"
        )
    found = next((name for name in CLASSIFIERS if name in tensors), "")
    if found and len(tensors[found]) != len(vocabulary):
        raise VocabularyError(
            f"{list_at}: one class for each row of the classifier; got {len(vocabulary)} classes, "
            f"and {found} has {len(tensors[found])} rows. {give}"
        )
    return found


def _write_record(half: Path, *, digest: str, network: str | None, classifier: str) -> None:
    names = (CONVERTED, CLASSES)
    digests = {name: hashlib.sha256((half / name).read_bytes()).hexdigest() for name in names}
    about = {
        "version": 1,
        "network": network,
        "classifier": classifier,
        "source": {"sha256": digest},
        "digests": digests,
    }
    (half / ABOUT).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


def _warnings(opened: Opened, tensors: Mapping[str, Tensor], classifier: str) -> list[str]:
    said: list[str] = []
    if flat := constant_channels(tensors):
        said.append(f"channels that hold one number only, in {len(flat)} tensors: {listed(flat)}.")
    if not classifier:
        said.append("no classifier was found in the file: the class list is kept as it is.")
    if opened.left_out:
        said.append(f"left out, for they are no tensors: {listed(list(opened.left_out))}.")
    return said
