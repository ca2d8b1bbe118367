"""One source looked at whole: labels, then every picture; counted, with every finding told.

Nothing is kept of a picture but its digest and the names of its classes.
Shapes: R boxes of one picture, xyxy in its pixels.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from components.data.check_pictures import Glance, Pictures
from components.data.check_table import Finding, Findings
from components.data.labelled import CROWD, Labelled, Supervision
from components.data.readers import SOURCES, CocoReader, CsvReader, FoldersReader
from components.data.sources.coco_boxes import LEAST, ROUNDING, THIN
from components.data.sources.label_problems import file_problems
from components.vocab.classes import name_of

LABELS = ("annotations", "table", "images")  # what holds the labels: the first that is there
SAY_EVERY = 100  # pictures
SAME = 0.99  # IoU above which two boxes of a class cover the same place
CROWDED = 1000  # boxes of a picture above which only equal ones are found
WHOLE = 0.5  # share of boxes that are the whole picture, above which it is told

Part = Literal["train", "scored", "file"]  # scored: apart from `train`, which knows its classes


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A source to be checked."""

    name: str  # dotted path in a config, or the file as the user named it
    part: Part
    reader: CocoReader | CsvReader | FoldersReader
    files: Mapping[str, Path]
    overlap: Literal["E", "W"] = "E"  # how grave it is that a picture is trained on too
    packed_in: str = ""  # the set it is packed into with others; none: it is not packed
    most_bad: float = 1.0  # share of that set's pictures that may be left out


@dataclass(kw_only=True, slots=True)
class Counted:
    """What a source holds."""

    name: str
    kind: str
    pictures: int = 0
    left: int = 0  # pictures that packing would leave out
    boxes: int = 0
    crowd: int = 0  # boxes
    thin: int = 0  # boxes with a side under 1 px
    whole: int = 0  # boxes that are the whole picture
    without_box: int = 0  # pictures of a source of boxes
    labels: int = 0  # image labels, present
    rows: dict[str, int] = field(default_factory=dict[str, int])  # of a table, by split
    classes: tuple[str, ...] = ()  # ids that the source names
    used: Counter[str] = field(default_factory=Counter[str])  # ids -> boxes and labels
    first: dict[str, str] = field(default_factory=dict[str, str])  # ids -> the first picture
    listed: set[str] = field(default_factory=set[str])  # names of pictures
    digests: Mapping[bytes, str] = field(default_factory=dict[bytes, str])  # -> the first picture
    taught: Mapping[bytes, str] = field(default_factory=dict[bytes, str])  # those training draws


def check_source(
    given: Given, *, glance: Glance, found: Findings, say: Callable[[int], None]
) -> Counted:
    """Read a source once, count it, and tell what is found.

    Args:
        given: the source.
        glance: how closely pictures are looked at.
        found: takes the findings.
        say: told how many pictures are looked at.
    """
    counted = Counted(name=given.name, kind=given.reader.kind)
    if problems := file_problems(given.files):
        for problem in problems:
            lost = problem.check == "file.missing" and given.part == "file"
            found.add(replace(problem, do="Check the path.") if lost else problem)
        return counted
    listed = SOURCES[given.reader.kind](given.reader, given.files, found)
    counted.classes, counted.rows = listed.classes, dict(listed.rows)
    name = next(given.files[role] for role in LABELS if role in given.files).name
    pictures = Pictures(name=name, folder=given.files["images"], glance=glance, found=found)
    counted.digests, counted.taught = pictures.digests, pictures.taught
    for sample in listed.pictures:
        where = f"{name}, {sample.source_name}"
        _count(sample, counted)
        _twice(sample, where, found)
        pictures.look(sample, where)
        if counted.pictures % SAY_EVERY == 0:
            say(counted.pictures)
    say(counted.pictures)
    counted.left = pictures.left
    if counted.boxes >= LEAST and counted.whole > WHOLE * counted.boxes:
        found.add(Finding(check="box.huge_share", where=name, what="most boxes are whole pictures",
                          got=f"{counted.whole} of {counted.boxes}",
                          do="Give them as image labels if nobody drew them."))  # fmt: skip
    return counted


def _count(sample: Labelled, counted: Counted) -> None:
    counted.pictures += 1
    counted.listed.add(sample.source_name)
    boxes = sample.boxes
    sides = boxes[:, 2:] - boxes[:, :2]
    counted.boxes += len(boxes)
    counted.crowd += int(((sample.flags & CROWD) > 0).sum())
    counted.thin += int((sides < THIN).any(1).sum())
    if sample.width is not None and sample.height is not None:
        size = np.array([sample.width, sample.height], np.float32)
        counted.whole += int((sides >= size - ROUNDING).all(1).sum())
    counted.without_box += not len(boxes) and sample.supervision == Supervision.BOXED
    counted.labels += len(sample.present)
    for class_id in (*sample.classes, *sample.present):
        counted.used[class_id] += 1
        counted.first.setdefault(class_id, sample.source_name)


def _twice(sample: Labelled, where: str, found: Findings) -> None:
    """Tell of boxes of one class and kind that cover the same place."""
    count = len(sample.boxes)
    if count < 2:
        return
    kinds = {key: i for i, key in enumerate(sorted(set(sample.classes)))}
    kind = np.array([kinds[c] for c in sample.classes]) * 256 + sample.flags
    if count > CROWDED:
        rows = np.concatenate([sample.boxes, kind[:, None]], 1)
        times = count - len(np.unique(rows, axis=0))
    else:
        times = int((np.triu(_overlap(sample.boxes) > SAME, 1) & (kind[:, None] == kind)).any(0)
                    .sum())  # fmt: skip
    if times:
        found.add(Finding(check="box.duplicate", where=where, times=times,
                          what="a box covers the same place as another of its class",
                          got=f"{times} of {count} boxes", do="Keep one of them."))  # fmt: skip


def _overlap(boxes_R4: np.ndarray) -> np.ndarray:
    """Return the IoU of each pair, [R, R]; 0 where a box has no area."""
    low = np.maximum(boxes_R4[:, None, :2], boxes_R4[None, :, :2])
    high = np.minimum(boxes_R4[:, None, 2:], boxes_R4[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    area = (boxes_R4[:, 2:] - boxes_R4[:, :2]).prod(1)
    either = area[:, None] + area - shared
    return np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)


def check_classes(counted: Counted, *, known: Collection[str], of: str, found: Findings) -> None:
    """Tell which classes of a source are not among those known, with the nearest name.

    Args:
        counted: of the source.
        known: class ids.
        of: what knows them, in words.
        found: takes the findings.
    """
    unknown = sorted(set(counted.used) - set(known))
    levels = {class_id.partition(":")[0] for class_id in (*known, *unknown)}
    shown = name_of if len(levels) == 1 else str  # the level is said where it may be the mistake
    names = sorted(map(shown, known))
    for class_id in unknown:
        near = difflib.get_close_matches(shown(class_id), names, n=1)
        do = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(names[:8])}."
        found.add(
            Finding(
                check="label.unknown_class",
                where=f"{counted.name}, {counted.first[class_id]}",
                what=f"a class that is not in {of}",
                got=repr(shown(class_id)),
                do=do,
                times=counted.used[class_id],
            )
        )
