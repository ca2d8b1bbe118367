"""A model directory: model.safetensors, model.json, vocabulary.json. Weights, never code.

What `vocabox export` wrote has classes.safetensors beside them, which stands for the scorers.

The bytes are a function of the weights and the settings: no time, no host, no path.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from components.models.choices import Backbone, Lite0, Resnet, Small
from components.models.class_weights import ClassWeights
from components.models.folding import fold_norms
from components.models.two_stage import Detector, build
from components.train.class_file import read_classes, write_classes
from components.train.tensors import fit_tensors, read_tensors
from components.train.weights_file import (
    CLASS_WEIGHTS,
    CLASSES,
    DamagedError,
    WeightsError,
    compare_digests,
    read_record_file,
)
from components.train.weights_file import MODEL_RECORD as RECORD
from components.train.weights_file import MODEL_WEIGHTS as WEIGHTS
from components.vocab.class_list import difference
from components.vocab.classes import Vocabulary, union

SCORE_RULE = "foreground * boxed^(2/3) * labelled^(1/3); one of them where the other is missing"
KINDS: dict[str, type[Small | Resnet | Lite0]] = {"small": Small, "resnet": Resnet, "lite0": Lite0}
MODULES = ("trunk", "pyramid", "proposals", "region_head", "refine")  # that move on whole
STAGE1_PARTS = ("trunk", "pyramid", "region_head", "labelled")
POOLED_PARTS = ("trunk",)
NONE = Vocabulary(ids=(), names=())
TRUNK_FEATURE = "trunk_feature."  # begins its names among the tensors
ALL_PARTS = (*MODULES, "foreground", "boxed", "labelled")


class ModelError(ValueError):
    """A folder is no model directory, or not one of this version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What model.json says beside the weights."""

    backbone: Backbone
    boxed: Vocabulary
    labelled: Vocabulary
    size: int  # px: long side of the scenes it was trained on
    parts: tuple[str, ...]  # of ALL_PARTS: those that are trained, and move on to a next stage
    dtype: str = "float32"
    training: dict[str, Any] = field(default_factory=dict)  # plain values: stage, digests


def save_model(
    folder: Path, detector: Detector, record: Record, *, classes: ClassWeights | None = None
) -> None:
    """Write a model directory; `folder` exists. Equal weights and record give equal bytes.

    Args:
        folder: is filled.
        detector: with the rows of its scorers, or without any where there are `classes`.
        record: what is said of it.
        classes: exported ones; the record's boxed and labelled classes are theirs.
    """
    path = folder / WEIGHTS
    tensors = {k: v.detach().cpu().contiguous() for k, v in detector.state_dict().items()}
    save_file(tensors, path, metadata={"format": "pt"})  # one key: the order of two is not fixed
    row = detector.row
    files = [WEIGHTS]
    if classes is not None:
        write_classes(folder / CLASS_WEIGHTS, classes)
        files.append(CLASS_WEIGHTS)
    body = {
        "version": 1,
        "backbone": asdict(record.backbone),
        "boxed": list(record.boxed.ids),
        "labelled": list(record.labelled.ids),
        "size": record.size,
        "mean": list(row.mean),
        "std": list(row.std),
        "pad_to": row.pad_to,
        "score_rule": SCORE_RULE,
        "parts": list(record.parts),
        "dtype": record.dtype,
        "training": record.training,
        "digests": {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in files},
    }
    (folder / RECORD).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
    for name in files:  # safetensors makes files that only their owner reads
        shutil.copymode(folder / RECORD, folder / name)
    union(record.boxed, record.labelled).write(folder / CLASSES)


def read_record(folder: Path) -> Record:
    """Read model.json and the vocabulary, and check the weights' digest.

    Raises:
        ModelError: a file is missing, or of another version.
        DamagedError: a file changed since it was written.
    """
    for name in (WEIGHTS, RECORD, CLASSES):
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: no {name}; got a folder that is no model. Train first.")
    body = read_record_file(folder / RECORD)
    if body.get("version") != 1:
        raise ModelError(
            f"{folder / RECORD}: version 1 is read here; got {body.get('version')!r}. "
            "Use the vocabox that wrote it."
        )
    try:
        digests = body["digests"]
        compare_digests(folder, {WEIGHTS: digests[WEIGHTS]})
        _check_classes(folder, digests)
        boxed, labelled = body["boxed"], body["labelled"]
        known = _vocabulary(folder, boxed=boxed, labelled=labelled)
        kind = KINDS[body["backbone"]["kind"]]
        return Record(
            backbone=kind(**body["backbone"]),
            boxed=_subset(known, boxed),
            labelled=_subset(known, labelled),
            size=int(body["size"]),
            parts=tuple(body["parts"]),
            dtype=str(body["dtype"]),
            training=body["training"],
        )
    except (KeyError, TypeError) as error:
        raise DamagedError(
            f"{folder / RECORD}: changed since it was written; got no usable {error}. "
            "Restore the file, or train again."
        ) from error


def load_model(folder: Path) -> tuple[Detector, Record]:
    """Return the detector of a model directory, to be looked at only, and its record.

    Fixed normalisations are folded, so it can be neither trained nor saved again; training goes
    on by `continue_from`.

    Raises:
        ModelError: the folder is no model directory.
        WeightsError: its tensors do not fit the network that its record describes.
    """
    record = read_record(folder)
    detector = read_detector(folder, record)
    if (folder / CLASS_WEIGHTS).is_file():
        classes = read_classes(folder / CLASS_WEIGHTS)
        _check_fit(folder / CLASS_WEIGHTS, detector, record, classes)
        detector.score_by(classes)
        detector.to(DTYPES[record.dtype])
    fold_norms(detector.trunk)
    if detector.trunk_feature is not None:
        fold_norms(detector.trunk_feature)
    return detector.eval(), record


def read_detector(folder: Path, record: Record) -> Detector:
    """Return the detector of a model directory as it was saved, to be exported.

    Its scorers have no rows, but for the foreground's, where exported classes stand for them.

    Raises:
        WeightsError: its tensors do not fit the network that its record describes.
    """
    tensors = read_tensors(folder / WEIGHTS)
    exported = (folder / CLASS_WEIGHTS).is_file()
    boxed, labelled = (NONE, NONE) if exported else (record.boxed, record.labelled)
    detector = build(record.backbone, boxed=boxed, labelled=labelled)
    if any(name.startswith(TRUNK_FEATURE) for name in tensors):
        detector.add_trunk_feature()
    detector.to(DTYPES[record.dtype])
    fit_tensors(detector, tensors, where=str(folder / WEIGHTS))
    return detector


def continue_from(detector: Detector, folder: Path, *, backbone: Backbone) -> tuple[str, ...]:
    """Copy the trained parts of a model directory into a detector; return their names.

    Scorers are copied class by class: a class the folder does not know keeps its fresh weights.

    Raises:
        ModelError: the folder is no model directory, or of another backbone.
        WeightsError: a part does not fit.
    """
    record = read_record(folder)
    if record.backbone != backbone:
        raise ModelError(
            f"{folder}: the model to start from has another backbone; got {record.backbone}, "
            f"wanted {backbone}. Train stage 1 with the backbone of stage 2."
        )
    tensors = read_tensors(folder / WEIGHTS)
    for part in record.parts:
        if part in MODULES:
            own = _below(tensors, f"{part}.")
            fit_tensors(detector.get_submodule(part), own, where=f"{folder / WEIGHTS}: {part}")
        else:
            _copy_rows(detector, _below(tensors, f"scores.{part}."), part=part, record=record)
    return record.parts


def _copy_rows(
    detector: Detector, tensors: Mapping[str, Tensor], *, part: str, record: Record
) -> None:
    scorer = detector.scores.get_submodule(part)
    if part == "foreground":
        fit_tensors(scorer, tensors, where=part)
        return
    mine, theirs = (
        (detector.boxed, record.boxed) if part == "boxed" else (detector.labelled, record.labelled)
    )
    found = torch.from_numpy(mine.mapping(theirs))
    here = torch.nonzero(found >= 0).flatten()
    with torch.no_grad():
        for name, own in scorer.named_parameters():
            own[here] = tensors[name][found[here]].to(own)


def _check_classes(folder: Path, digests: Mapping[str, str]) -> None:
    """Compare exported classes with the record; a file of that name alone is not taken."""
    if CLASS_WEIGHTS in digests:
        compare_digests(folder, {CLASS_WEIGHTS: digests[CLASS_WEIGHTS]})
    elif (folder / CLASS_WEIGHTS).exists():
        raise DamagedError(
            f"{folder / CLASS_WEIGHTS}: not a part of this model; got a file that {RECORD} does "
            "not name. Take it away, or make the folder again with vocabox export."
        )


def _check_fit(path: Path, detector: Detector, record: Record, classes: ClassWeights) -> None:
    """Refuse classes that are not the record's, or that read other features than there are."""
    if classes.reads("trunk") and detector.trunk_feature is None and detector.row.trunk_feature:
        plain = detector.add_trunk_feature()
        if plain.state_dict():
            raise WeightsError(
                f"{path}: reads features of the trunk; got a {WEIGHTS} without their layers. "
                "Export again."
            )
    trunk = detector.trunk_feature
    widths = {"head": detector.row.head, "trunk": 0 if trunk is None else trunk.width}
    for name, known in (("boxed", record.boxed), ("labelled", record.labelled)):
        found = classes.vocabulary(name)
        if found.ids != known.ids:
            raise WeightsError(
                f"{path}: not the {name} classes that {RECORD} names; got "
                f"{difference(known.ids, found.ids)}. Export again."
            )
    for name, group in classes.groups().items():
        if group.features != widths[group.feature]:
            raise WeightsError(
                f"{path}: {name} reads {group.features} features of the {group.feature}; got "
                f"{widths[group.feature]} of this detector. Export again."
            )


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _vocabulary(folder: Path, *, boxed: list[str], labelled: list[str]) -> Vocabulary:
    """Read the vocabulary; its classes are those of the record, in that order."""
    known = Vocabulary.read(folder / CLASSES)
    wanted = tuple(dict.fromkeys([*boxed, *labelled]))
    if known.ids != wanted:
        raise DamagedError(
            f"{folder / CLASSES}: not the classes that {RECORD} names; got "
            f"{difference(wanted, known.ids)}. Restore the file, or train again."
        )
    return known


def _subset(known: Vocabulary, ids: list[str]) -> Vocabulary:
    names = dict(zip(known.ids, known.names, strict=True))
    return Vocabulary(ids=tuple(ids), names=tuple(names[i] for i in ids))


DTYPES = {"float32": torch.float32, "float64": torch.float64}
