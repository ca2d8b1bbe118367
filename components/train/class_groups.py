"""Ways of scoring as groups of rows: paper 5's two classifiers, a classifier's own rows, paper 4's.

Shapes: rows [M, G] of the classes asked for, biases [M].
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from components.models.class_weights import ClassGroup, ClassWeights, Feature
from components.models.scores import LinearScorer
from components.models.two_stage import Detector
from components.train.checkpoint import Record
from components.train.source_file import OpenedSource
from components.train.transfer_file import TransferRecord
from components.transfer.rows import ClassRows, LinearRows
from components.transfer.source import SourceError, SourceWeights
from components.vocab.classes import Vocabulary, name_of, union


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _SourceRow:
    """What a class has in a source."""

    row: Tensor  # [D]
    bias: Tensor | None
    shared: int = -1  # which of the transfer's shared classes it is, by its id


def decoupled(
    detector: Detector, record: Record, *, ids: Sequence[str] | None = None
) -> ClassWeights:
    """Return g and g-hat as two softmax groups; of some classes the scores stay the same.

    Raises:
        SourceError: none of the classes is the model's.
    """
    groups = {
        name: linear(scorer, known, ids)
        for name, scorer, known in (
            ("boxed", detector.scores.boxed, record.boxed),
            ("labelled", detector.scores.labelled, record.labelled),
        )
        if name in record.parts and len(known)
    }
    if not any(groups.values()):
        raise unknown_classes(list(ids or ()), taught(record))
    return ClassWeights(**groups)


def direct(
    source: OpenedSource,
    *,
    feature: Feature,
    ids: Sequence[str] | None = None,
    context: float = 0.0,
) -> ClassGroup | None:
    """Return a classifier's own rows as a softmax group over the classes asked for.

    Args:
        source: the classifier.
        feature: that its rows read.
        ids: classes; those it does not have are left out. None: all.
        context: share of the whole picture in a region's score.
    """
    taken = _chosen(source.weights, ids)
    if not len(taken.vocabulary):
        return None
    bias = torch.zeros(len(taken.vocabulary)) if taken.bias is None else taken.bias
    return ClassGroup(
        vocabulary=taken.vocabulary,
        weight=taken.weight,
        bias=bias,
        rule="softmax",
        feature=feature,
        context=context,
    )


def transferred(
    rows: ClassRows,
    record: TransferRecord,
    *,
    boxed: Vocabulary,
    source: OpenedSource | None = None,
    ids: Sequence[str] | None = None,
) -> ClassGroup:
    """Return the rows that a fitted transfer gives to classes, also to ones it never met.

    The boxed classes come first: shared ones by the source rows that the transfer was fitted
    with, others by their ordinary rows; then the source's.

    Args:
        rows: fitted.
        record: of it.
        boxed: the detector's boxed classes, for their names.
        source: rows of other classes, of the classifier that the transfer was fitted with.
        ids: classes to return, in this order; None: all.

    Raises:
        SourceError: the source is another than the transfer's, or has no biases and the transfer
            was fitted with them; or a class is not known.
    """
    raw, names = _raw_rows(rows, record, boxed, source)
    other = [i for i, row in zip(record.boxed, record.shared, strict=True) if row < 0]
    wanted = list(names) if ids is None else list(ids)
    if strange := [class_id for class_id in wanted if class_id not in names]:
        raise unknown_classes(strange, Vocabulary(ids=tuple(names), names=tuple(names.values())))
    given = [class_id for class_id in wanted if class_id in raw]
    made = _made(rows, [raw[class_id] for class_id in given])
    ordinary = rows.other()
    place = {class_id: i for i, class_id in enumerate([*given, *other])}
    order = [place[class_id] for class_id in wanted]
    shape = rows.adapter.shape
    plain = shape.kind == "identity" and not shape.layers
    return ClassGroup(
        vocabulary=Vocabulary(ids=tuple(wanted), names=tuple(names[i] for i in wanted)),
        weight=torch.cat([made.weight, ordinary.weight])[order],
        bias=torch.cat([made.bias, ordinary.bias])[order],
        rule=rows.row.rule,
        feature=record.feature,
        adapter=None if plain else rows.adapter,
    )


def _raw_rows(
    rows: ClassRows, record: TransferRecord, boxed: Vocabulary, source: OpenedSource | None
) -> tuple[dict[str, _SourceRow], dict[str, str]]:
    """Return what each class that has a source row has there, and the name of each class known."""
    known = dict(zip(boxed.ids, boxed.names, strict=True))
    names = {i: known.get(i, name_of(i)) for i in record.boxed}
    shared = [i for i, row in zip(record.boxed, record.shared, strict=True) if row >= 0]
    raw = {
        class_id: _SourceRow(row=rows.shared_source[k], bias=rows.source_bias[k], shared=k)
        for k, class_id in enumerate(shared)
    }
    if source is None:
        return raw, names
    given = source.weights
    if given.weight.shape[1] != record.inputs:
        raise SourceError(
            f"{source.where}: rows of another classifier than the transfer was fitted with; got "
            f"{given.weight.shape[1]} channels for {record.inputs}. Give rows of that one."
        )
    for i, (class_id, row) in enumerate(zip(given.vocabulary.ids, given.weight, strict=True)):
        if class_id in raw and not torch.equal(row, raw[class_id].row):
            raise SourceError(
                f"{source.where}: rows of another classifier than the transfer was fitted with; "
                f"got other numbers for class {class_id!r}. Give rows of that one."
            )
        if class_id not in names:
            bias = None if given.bias is None else given.bias[i]
            raw[class_id] = _SourceRow(row=row, bias=bias)
            names[class_id] = given.vocabulary.names[i]
    return raw, names


def _made(rows: ClassRows, classes: list[_SourceRow]) -> LinearRows:
    """Return the transfer's rows of classes; a class without a bias leaves all without."""
    biases = [one.bias for one in classes if one.bias is not None]
    none = torch.zeros(0)
    return rows.linear(
        torch.stack([one.row for one in classes]) if classes else torch.zeros(0, rows.inputs),
        bias_M=None if len(biases) < len(classes) else torch.stack(biases) if biases else none,
        shared_M=torch.tensor([one.shared for one in classes], dtype=torch.int64),
    )


def linear(scorer: LinearScorer, known: Vocabulary, ids: Sequence[str] | None) -> ClassGroup | None:
    """Return a classifier of ours as a softmax group; None where it knows none of the classes."""
    group = ClassGroup(
        vocabulary=known,
        weight=scorer.weight.detach(),
        bias=scorer.bias.detach(),
        rule="softmax",
    )
    return group if ids is None else group.only(ids)


def joined(before: ClassGroup | None, more: ClassGroup, *, where: str) -> ClassGroup:
    """Return the classes of two groups, `before` first; one that is in both has the row of `more`.

    A rival that is a class of theirs is no rival any more, and one of both is there once.

    Raises:
        SourceError: they are scored by different rules, on different features, or behind adapters
            that differ.
    """
    if before is None:
        return more
    for what in ("rule", "feature", "context", "features"):
        if (old := getattr(before, what)) != (new := getattr(more, what)):
            raise SourceError(
                f"{where}: rows that are scored as those that are there; got {what} {new}, and the "
                f"model has {old}. Add them to the model that these classes were added to."
            )
    if not _same_adapter(before, more):
        raise SourceError(
            f"{where}: rows of features that are mapped by one transfer; got another than the "
            "model's, and its classes would be scored by that. Add them by the transfer that the "
            "model was exported with."
        )
    ids = union(before.vocabulary, more.vocabulary)
    groups = (before, more)
    start = (0, len(before.bias))  # of each group's rows, in both together
    row: dict[str, int] = {}
    rival: dict[str, int] = {}
    nameless: list[int] = []
    for first, group in zip(start, groups, strict=True):
        named = len(group.bias) - len(group.rival_ids)
        row |= {i: first + k for k, i in enumerate(group.vocabulary.ids)}
        rival |= {i: first + k for k, i in enumerate(group.rival_ids, named)}
        nameless += range(first + len(group.vocabulary), first + named)
    rivals = [i for i in rival if i not in row]
    order = [*(row[i] for i in ids.ids), *nameless, *(rival[i] for i in rivals)]
    return replace(
        more,
        vocabulary=ids,
        weight=torch.cat([group.weight for group in groups])[order],
        bias=torch.cat([group.bias for group in groups])[order],
        rival_ids=tuple(rivals),
    )


def _same_adapter(before: ClassGroup, more: ClassGroup) -> bool:
    """Say whether two groups' rows score the same numbers of a feature."""
    old, new = before.adapter, more.adapter
    if old is None or new is None:
        return old is new
    mine, theirs = old.state_dict(), new.state_dict()
    return old.shape == new.shape and all(torch.equal(mine[k], theirs[k]) for k in mine)


def unknown_classes(ids: list[str], known: Vocabulary) -> SourceError:
    """Return the error of asking for classes that nobody has."""
    shown = ", ".join(map(repr, ids[:3])) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
    some = ", ".join(map(repr, known.ids[:3]))
    near = known.meant(ids[0]) if ids else None
    meant = f"; {ids[0]!r} may mean {near!r}" if near else ""
    return SourceError(
        f"classes: known to the model or to the source; got {len(ids)} that neither has: "
        f"{shown or 'none'}. There are {len(known)}, such as {some or 'none'}{meant}."
    )


def taught(record: Record) -> Vocabulary:
    """Return the classes that a model was taught."""
    none = Vocabulary(ids=(), names=())
    return union(
        record.boxed if "boxed" in record.parts else none,
        record.labelled if "labelled" in record.parts else none,
    )


def _chosen(source: SourceWeights, ids: Sequence[str] | None) -> SourceWeights:
    """Return these classes of a source, in this order; those it does not have are left out."""
    if ids is None:
        return source
    v = source.vocabulary
    place = {class_id: i for i, class_id in enumerate(v.ids)}
    kept = [place[class_id] for class_id in ids if class_id in place]
    return replace(
        source,
        vocabulary=Vocabulary(
            ids=tuple(v.ids[i] for i in kept), names=tuple(v.names[i] for i in kept)
        ),
        weight=source.weight[kept],
        bias=None if source.bias is None else source.bias[kept],
    )
