"""COCO instances JSON -> pictures with boxes. Class strings are category names.

Boxes come as x, y, width, height, 0-based pixels. Pictures without annotation are negatives
unless the settings say that they are unlabelled. The file is read piece by piece, its sections in
any order.
"""

import os
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.data.check_table import Finding, Findings
from components.data.labelled import CROWD, Contents, Labelled, Supervision
from components.data.sources.coco_boxes import corners
from components.data.sources.coco_columns import Columns, is_id, orphan
from components.data.sources.label_problems import place_problem, text_problem
from components.data.sources.strict_json import BEGINS, JsonError, Piece, pieces

if TYPE_CHECKING:
    from components.data.readers import CocoReader

SECTIONS = ("images", "annotations", "categories")
LOOKS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"image_id", "category_id", "score"}), "detection results"),
    (frozenset({"image_id", "caption"}), "captions"),
    (frozenset({"image_id", "segments_info"}), "panoptic segments"),
)


@dataclass(frozen=True, slots=True)
class _Image:
    file_name: Any
    width: Any
    height: Any

    @property
    def sides(self) -> tuple[int, int] | None:
        """Return (width, height) as the file says, if it does."""
        for side in (self.width, self.height):
            if not isinstance(side, int | float) or isinstance(side, bool) or side < 1 or side % 1:
                return None
        return int(self.width), int(self.height)


@dataclass(kw_only=True, slots=True)
class _File:
    """What has been read of a file so far."""

    name: str
    found: Findings
    keys: list[str] = field(default_factory=list[str])
    sections: Counter[str] = field(default_factory=Counter[str])  # lists -> values in them
    images: dict[Hashable, _Image] = field(default_factory=dict[Hashable, _Image])
    classes: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any])  # id -> name
    twice: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])  # ids, by section
    boxes: Columns = field(default_factory=Columns)

    def take(self, piece: Piece) -> None:
        """Take in one value of the file."""
        key, value = piece.key, piece.value
        if key is None:
            raise JsonError(_no_object(piece, self.name))
        if piece.place in (None, BEGINS):
            self.keys.append(key)
            if piece.place == BEGINS:
                self.sections[key] = 0
            return
        if key not in SECTIONS:
            return
        self.sections[key] += 1
        if key == "annotations":
            if self.sections[key] == 1 and isinstance(value, dict):
                _of_instances(value, self.name)
            self.boxes.take(value, self.name, self.found)
            return
        if not isinstance(value, dict) or not is_id(value.get("id")):
            self.found.add(Finding(check="id.missing", where=f"{self.name}, {key}[{piece.place}]",
                                   what="no id", got=f"{value!r:.60}",
                                   do="Give each its own id."))  # fmt: skip
            return
        own, known = value["id"], self.images if key == "images" else self.classes
        if own in known:
            self.twice.setdefault(key, []).append(own)
        elif key == "images":
            size = value.get("width"), value.get("height")
            self.images[own] = _Image(value.get("file_name"), *size)
        else:
            self.classes[own] = value.get("name")


def read(reader: "CocoReader", files: Mapping[str, Path], found: Findings) -> Contents:
    """Return the pictures and classes of an instances file, in the file's order.

    Args:
        reader: settings.
        files: `annotations` and `images`.
        found: takes every finding; all are there before the first picture is asked for.
    """
    file = _File(name=files["annotations"].name, found=found)
    try:
        for piece in pieces(files["annotations"]):
            file.take(piece)
    except JsonError as error:
        found.add(error.finding)
        return Contents()
    if problem := _not_instances(file):
        found.add(problem)
        return Contents()
    _ids(file)
    _files(file)
    _orphans(file)
    places = {image_id: i for i, image_id in enumerate(file.images)}
    order = np.array([places.get(i, -1) for i in file.boxes.pictures], np.int64)
    sides = np.array([file.images[i].sides or (np.nan,) * 2 if i in places else (np.nan,) * 2
                      for i in file.boxes.pictures], np.float64).reshape(-1, 2)  # fmt: skip
    ends, good = corners(file.boxes, sides, reader, name=file.name, found=found)
    _classes(file, good)
    ids = {own: f"{reader.level}:{name}" for own, name in file.classes.items()}
    pictures = _pictures(reader, file, ids, files["images"], _Boxes(ends, good, order))
    return Contents(pictures=pictures, classes=tuple(dict.fromkeys(ids.values())))


def _no_object(piece: Piece, name: str) -> Finding:
    if piece.place is None:
        got, do = type(piece.value).__name__, "Give an object with images, annotations and "
    else:
        first = frozenset(piece.value) if isinstance(piece.value, dict) else frozenset[str]()
        got = next((what for keys, what in LOOKS if keys <= first), "a list")
        do = "Give the file with images, annotations and "
    return Finding(check="coco.not_coco", where=name, what="expected COCO instances", got=got,
                   do=f"{do}categories.")  # fmt: skip


def _of_instances(first: dict[str, Any], name: str) -> None:
    """Raise where the first annotation is one of another task."""
    looks = next((what for known, what in LOOKS if known <= first.keys()), "")
    if looks and "bbox" not in first:
        raise JsonError(
            Finding(
                check="coco.not_coco",
                where=name,
                what="not COCO instances: annotations hold no bbox",
                got=f"keys {', '.join(map(str, first))}",
                do=f"It looks like {looks}. Give an instances file.",
            )
        )


def _not_instances(file: _File) -> Finding | None:
    """Return why a file is no instances file, if it is none."""
    check, do = "coco.not_coco", "Give an instances file."
    if wrong := [s for s in SECTIONS if s not in file.sections]:
        what = f"not COCO instances: {', '.join(wrong)} must be lists that are there"
        got = f"keys {', '.join(sorted(file.keys)[:20]) or 'none'}"
    elif not file.sections["images"]:
        check, what, got = "set.empty", "no picture in it", "images: []"
        do = "Give a file with pictures."
    elif not file.sections["categories"] and file.sections["annotations"]:
        what, got = "no categories", "categories: [] beside annotations"
    else:
        return None
    return Finding(check=check, where=file.name, what=what, got=got, do=do)


def _ids(file: _File) -> None:
    file.twice["annotations"] = file.boxes.twice()
    for section in SECTIONS:
        if twice := list(dict.fromkeys(file.twice.get(section, ()))):
            file.found.add(
                Finding(
                    check="id.duplicate",
                    where=f"{file.name}, {section}",
                    what="an id stands twice",
                    got=f"{len(twice)} such ids: {', '.join(f'{i!s:.40}' for i in twice[:5])}",
                    do="Give each its own.",
                    times=len(twice),
                )
            )


def _files(file: _File) -> None:
    """Say which images name no file, one that another names too, or sides that are none."""
    first: dict[str, Any] = {}
    for own, image in file.images.items():
        where = f"{file.name}, image {own}"
        if problem := _name(image.file_name, where):
            file.found.add(problem)
        elif (other := first.setdefault(os.path.normpath(image.file_name), own)) != own:
            file.found.add(Finding(check="id.duplicate", where=where, got=repr(image.file_name),
                                   what=f"image {other} has this file_name too",
                                   do="Join their annotations."))  # fmt: skip
        given = [side for side in (image.width, image.height) if side is not None]
        if given and image.sides is None:
            got = f"{image.width!r:.20} x {image.height!r:.20}"
            what = "width and height are no whole numbers of pixels"
            do = "Write the picture's own size, or leave both out."
            file.found.add(Finding(check="image.size", where=where, what=what, got=got, do=do))


def _name(file_name: Any, where: str) -> Finding | None:
    if not isinstance(file_name, str) or not file_name:
        return Finding(check="name.bad", where=where, what="no file_name", got=f"{file_name!r:.60}",
                       do="Name the picture's file.")  # fmt: skip
    return place_problem(file_name, where)


def _orphans(file: _File) -> None:
    """Take annotations of unknown pictures and classes out of use, and say which they are."""
    for thing, column, interned, known in (
        ("picture", file.boxes.picture, file.boxes.pictures, file.images),
        ("class", file.boxes.category, file.boxes.categories, file.classes),
    ):
        lost = {place: own for own, place in interned.items() if own not in known}
        if not lost:
            continue
        for row, place in enumerate(column):
            if place in lost:
                where = file.boxes.where(row, file.name)
                file.found.add(orphan(lost[place], thing, where))
                column[row] = -1


def _classes(file: _File, good: np.ndarray) -> None:
    """Say which classes have no name, one that another has, or no box."""
    used = set(np.unique(np.asarray(file.boxes.category)[good]).tolist())
    boxed = {own for own, place in file.boxes.categories.items() if place in used}
    first: dict[str, Any] = {}
    for own, title in file.classes.items():
        where = f"{file.name}, category {own}"
        if not isinstance(title, str) or not title.strip():
            file.found.add(Finding(check="name.bad", where=where, what="no name",
                                   got=f"{title!r:.40}", do="Name the class."))  # fmt: skip
            continue
        if problem := text_problem(title, where):
            file.found.add(problem)
        elif (other := first.setdefault(title, own)) != own:
            file.found.add(
                Finding(
                    check="class.duplicate_name",
                    severity="E" if {own, other} & boxed else "W",
                    where=where,
                    what=f"category {other} has this name too",
                    got=repr(title),
                    do="Rename one, or join them.",
                )
            )
        elif own not in boxed:
            do = "Nothing of it is learnt; add boxes, or leave it so."
            file.found.add(
                Finding(
                    check="label.empty_class",
                    where=where,
                    what="no box of it",
                    got=repr(title),
                    do=do,
                )
            )


@dataclass(frozen=True, slots=True)
class _Boxes:
    corners: np.ndarray  # float32 [B, 4]
    good: np.ndarray  # bool [B]
    order: np.ndarray  # int64: place of each interned picture in the file's images, or -1


def _pictures(
    reader: "CocoReader", file: _File, ids: Mapping[Any, str], folder: Path, boxes: _Boxes
) -> Iterator[Labelled]:
    rows = np.flatnonzero(boxes.good)
    picture = boxes.order[np.asarray(file.boxes.picture)[rows]] if len(rows) else rows
    sort = np.argsort(picture, kind="stable")
    rows, ends = rows[sort], np.searchsorted(picture[sort], np.arange(len(file.images) + 1))
    class_ids = [ids.get(own, "") for own in file.boxes.categories]
    crowd = np.asarray(file.boxes.crowd).astype(np.uint8)
    bare = Supervision.BOXED if reader.unannotated == "no_box" else Supervision.UNLABELLED
    for i, (image_id, image) in enumerate(file.images.items()):
        if _name(image.file_name, ""):
            continue
        own = rows[ends[i] : ends[i + 1]]
        width, height = image.sides or (None, None)
        yield Labelled(
            source_name=image.file_name,
            source_id=str(image_id),
            path=folder / image.file_name,
            supervision=Supervision.BOXED if len(own) else bare,
            width=width,
            height=height,
            boxes=boxes.corners[own],
            classes=tuple(class_ids[file.boxes.category[row]] for row in own.tolist()),
            flags=crowd[own] * np.uint8(CROWD),
        )
