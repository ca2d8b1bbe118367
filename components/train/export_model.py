"""A detector, and rows of classes from anywhere -> a model directory with classes.safetensors.

Nothing is trained. Every scorer ends as rows: the two classifiers of paper 5 as they are, a fitted
transfer (paper 4) as its network's rows for any classes of its source, a classifier's own rows.
"""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from components.models.class_weights import ClassGroup, ClassWeights
from components.models.scores import DecoupledScorer
from components.models.two_stage import Detector
from components.train.checkpoint import ModelError, Record, read_detector, read_record, save_model
from components.train.class_file import read_classes
from components.train.class_groups import (
    decoupled,
    joined,
    linear,
    taught,
    transferred,
    unknown_classes,
)
from components.train.own_rows import as_they_are, no_context, take_trunk_feature
from components.train.source_file import OpenedSource
from components.train.take_place import take_place
from components.train.transfer_file import FittedTransfer, save_transfer
from components.train.weights_file import CLASS_WEIGHTS, MODEL_WEIGHTS
from components.vocab.classes import Vocabulary, union
from components.vocab.shared_classes import under_two_ids

Own = Literal["all", "lacking"]
SCORERS = ("boxed", "labelled")  # parts of a model that exported classes stand for


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written."""

    folder: Path
    classes: int
    groups: dict[str, int]  # classes of each
    left_out: tuple[str, ...]  # classes of the model that the exported one does not name
    two_ids: tuple[tuple[str, str], ...]  # classes found under an id of the boxes and another one


def export_model(
    model: Path,
    *,
    out: Path,
    source: OpenedSource | None = None,
    fitted: FittedTransfer | None = None,
    ids: Sequence[str] | None = None,
    own: Own = "all",
    context: float = 0.0,
) -> Exported:
    """Write a model directory that scores by exported rows, whole or not at all.

    Without a source or a transfer the model's own classes are written. With a transfer, its boxed
    classes and those of the source, all by the transfer's rows. With a source alone, the boxed
    classes as they are and the source's rows as they are (*direct*), by softmax. Of a model that
    was exported all classes stay, and the new ones join those of their kind: one that is there by
    a transfer, or by a source, has the new row; one of boxes and of a source is as `own` says.

    Args:
        model: a model directory with all parts of a detector.
        out: a folder; replaced if it is there.
        source: rows of classes to add.
        fitted: how source rows become the detector's. Without it rows that are of no network,
            those of a table, are scored on the features that are as wide as they are: the
            trunk's, else the head's.
        ids: classes to write; None: all. The scores of the model's own do not depend on it; a
            softmax over a source's is over those written.
        own: which of the model's boxed classes are kept beside rows as they are: all, which are
            then fused with the source's of the same id, or those that the source lacks.
        context: share of the whole picture in a region's score, for a classifier's own rows:
            pictures of one thing are named better by it, the smaller things of a scene worse.

    Raises:
        ModelError, SourceError, WeightsError: they cannot be used, or not together.
    """
    record = _finder_record(model)
    before = read_classes(model / CLASS_WEIGHTS) if (model / CLASS_WEIGHTS).is_file() else None
    if context and (source is None or fitted is not None):
        raise no_context(context)
    detector = read_detector(model, record)
    carried = detector.trunk_feature is not None
    add = _weights if before is None else partial(_more, before)
    weights = add(detector, record, source=source, fitted=fitted, ids=ids, own=own, context=context)
    if weights.reads("trunk"):
        where, tensors = _network(source, fitted)
        take_trunk_feature(
            detector, tensors, backbone=record.backbone, carried=carried, where=where
        )
    _write(model, out, detector=detector, record=record, weights=weights, fitted=fitted)
    written = _of(weights)
    known, every = taught(record) if before is None else _of(before), set(written.ids)
    twice = () if source is None else under_two_ids(source.weights.vocabulary, record.boxed)
    return Exported(
        folder=out,
        classes=len(written),
        groups={name: len(group.vocabulary) for name, group in weights.groups().items()},
        left_out=tuple(i for i in known.ids if i not in every) if ids is None else (),
        two_ids=tuple(pair for pair in twice if every.issuperset(pair)),
    )


def _weights(
    detector: Detector,
    record: Record,
    *,
    source: OpenedSource | None,
    fitted: FittedTransfer | None,
    ids: Sequence[str] | None,
    own: Own,
    context: float,
) -> ClassWeights:
    """Return all classes to be written, by the transfer, by the source's rows, or as they are."""
    if fitted is not None:
        boxed = record.boxed
        rows = transferred(fitted.rows, fitted.record, boxed=boxed, source=source, ids=ids)
        return ClassWeights(boxed=rows)
    _check_known(record, source, ids)
    if source is None:
        return decoupled(detector, record, ids=ids)
    added = as_they_are(detector, source, ids=ids, context=context)
    return ClassWeights(boxed=_own_rows(detector, record, source, ids, own), labelled=added)


def _more(
    before: ClassWeights,
    detector: Detector,
    record: Record,
    *,
    source: OpenedSource | None,
    fitted: FittedTransfer | None,
    ids: Sequence[str] | None,
    own: Own,
    context: float,
) -> ClassWeights:
    """Return the classes of an exported model, and more."""
    groups: dict[str, ClassGroup | None] = dict(before.groups())
    if fitted is not None:
        rows = transferred(fitted.rows, fitted.record, boxed=record.boxed, source=source)
        groups["boxed"] = joined(before.boxed, rows, where="the transfer")
    elif source is not None:
        added = as_they_are(detector, source, ids=None, context=context)
        assert added is not None, "a source has classes"  # noqa: S101
        if before.labelled is not None and added.feature == "trunk":
            added = replace(added, context=context or before.labelled.context)
        groups["labelled"] = joined(before.labelled, added, where=source.where)
        if before.boxed is not None and own == "lacking":
            theirs = set(added.vocabulary.ids)
            kept = [i for i in before.boxed.vocabulary.ids if i not in theirs]
            groups["boxed"] = before.boxed.only(kept)
    weights = ClassWeights(**groups)
    if ids is None:
        return weights
    _refuse_strange(ids, _of(weights))
    return ClassWeights(**{name: group.only(ids) for name, group in weights.groups().items()})


def _of(weights: ClassWeights) -> Vocabulary:
    return union(weights.vocabulary("boxed"), weights.vocabulary("labelled"))


def _finder_record(model: Path) -> Record:
    """Return the record of a detector that classes can be exported of."""
    record = read_record(model)
    if "proposals" not in record.parts:
        raise ModelError(
            f"{model}: trained to classify, not to find boxes; got parts "
            f"{', '.join(record.parts)}. Name the model of stage 2."
        )
    return record


def _own_rows(
    detector: Detector,
    record: Record,
    source: OpenedSource,
    ids: Sequence[str] | None,
    own: Own,
) -> ClassGroup | None:
    """Return the boxed classes that are kept as they are, beside rows of a classifier."""
    if not len(record.boxed):
        return None
    kept = record.boxed.ids if ids is None else ids
    theirs = set(source.weights.vocabulary.ids) if own == "lacking" else set()
    return linear(detector.scores.boxed, record.boxed, [i for i in kept if i not in theirs])


def _network(
    source: OpenedSource | None, fitted: FittedTransfer | None
) -> tuple[str, Mapping[str, Tensor]]:
    """Return where rows on features of the trunk come from, and what is known of their network."""
    if fitted is not None:
        return "transfer", fitted.trunk_feature
    return (CLASS_WEIGHTS, {}) if source is None else (source.where, source.tensors)


def _check_known(record: Record, source: OpenedSource | None, ids: Sequence[str] | None) -> None:
    """Refuse to be asked for classes that neither the model nor the source has."""
    known = taught(record)
    if source is not None:  # its rows stand for the labelled classes
        own = tuple(i for i in known.ids if i in set(record.boxed.ids))
        known = union(Vocabulary(ids=own, names=own), source.weights.vocabulary)
    if ids is not None:
        _refuse_strange(ids, known)


def _refuse_strange(ids: Sequence[str], known: Vocabulary) -> None:
    strange = [class_id for class_id in ids if class_id not in set(known.ids)]
    if strange or not ids:
        raise unknown_classes(strange, known)


def _write(
    model: Path,
    out: Path,
    *,
    detector: Detector,
    record: Record,
    weights: ClassWeights,
    fitted: FittedTransfer | None,
) -> None:
    """Write the folder beside its place, and move it there when it is whole.

    A fitted transfer goes with it, so that more classes can be added to what was exported.
    """
    digest = hashlib.sha256((model / MODEL_WEIGHTS).read_bytes()).hexdigest()
    met = record.boxed.ids if fitted is None else fitted.record.boxed
    training: dict[str, Any] = {
        "boxed": list(met),  # classes that had boxes, whatever group they are in now
        **record.training,
        "exported_from": {MODEL_WEIGHTS: digest},
    }
    foreground, detector.exported = detector.scores.foreground, None
    detector.scores = DecoupledScorer(features=detector.row.head, boxed=0, labelled=0)
    detector.scores.foreground = foreground
    of_classes = replace(
        record,
        boxed=weights.vocabulary("boxed"),
        labelled=weights.vocabulary("labelled"),
        parts=tuple(part for part in record.parts if part not in SCORERS),
        training=training,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        half = Path(scratch) / "half"
        half.mkdir()
        save_model(half, detector, of_classes, classes=weights)
        if fitted is not None:
            save_transfer(half, fitted)
        take_place(half, out, scratch=Path(scratch))
