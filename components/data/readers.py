"""The label formats a config may name: settings of each, and the reader behind it.

A source in a config says where files lie; its reader says how they are read. Only the second is
part of a result's identity: the bytes of the files are, their places are not.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import MinLen

from components.data.check_table import Findings, Severity
from components.data.sources.label_problems import DataError, file_problems

if TYPE_CHECKING:
    from components.data.labelled import Contents, Labelled

Files = Mapping[str, Path]  # role -> file or folder
Text = Annotated[str, MinLen(1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoReader:
    """COCO instances."""

    kind: Literal["coco"] = "coco"
    level: Text
    box_format: Literal["xywh", "xyxy"] = "xywh"
    unannotated: Literal["no_box", "unlabelled"] = "no_box"
    thin: Literal["list", "error"] = "list"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldersReader:
    """One folder a class."""

    kind: Literal["folders"] = "folders"
    level: Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Names of the columns of a table of image labels."""

    image: str = "image"  # of the picture's path, from `images`
    labels: str = "labels"  # of its labels
    split: str | None = None  # of the part a row belongs to; must be there if named


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvReader:
    """A table of image labels."""

    kind: Literal["csv"] = "csv"
    level: Text
    columns: Columns = field(default_factory=Columns)
    separator: Text = "|"  # between the labels of one picture; -name is a class known absent
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)  # column -> values kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Coco:
    """A COCO instances file: boxes. Paths start from the config's folder."""

    kind: Literal["coco"] = "coco"
    annotations: str  # instances JSON
    images: str  # folder that the names of pictures start from
    level: Text  # of the classes: coarse, fine, ...; ids are <level>:<name>
    box_format: Literal["xywh", "xyxy"] = "xywh"  # left, top, width, height; or two corners
    unannotated: Literal["no_box", "unlabelled"] = "no_box"  # a picture without annotation holds
    # no object, or was never looked at
    thin: Literal["list", "error"] = "list"  # boxes with a side under 1 px: say so, or stop

    @property
    def reader(self) -> CocoReader:
        """Return how the files are read."""
        return CocoReader(
            level=self.level,
            box_format=self.box_format,
            unannotated=self.unannotated,
            thin=self.thin,
        )

    @property
    def files(self) -> dict[str, str]:
        """Return role -> place."""
        return {"annotations": self.annotations, "images": self.images}


@dataclass(frozen=True, kw_only=True, slots=True)
class Folders:
    """Pictures in one folder a class: image labels."""

    kind: Literal["folders"] = "folders"
    images: str  # folder of class folders
    level: Text  # of the classes: coarse, fine, ...; ids are <level>:<name>

    @property
    def reader(self) -> FoldersReader:
        """Return how the files are read."""
        return FoldersReader(level=self.level)

    @property
    def files(self) -> dict[str, str]:
        """Return role -> place."""
        return {"images": self.images}


@dataclass(frozen=True, kw_only=True, slots=True)
class Csv:
    """A CSV table of image labels."""

    kind: Literal["csv"] = "csv"
    table: str  # CSV with a header
    images: str  # folder that the names of pictures start from
    level: Text  # of the classes: coarse, fine, ...; ids are <level>:<name>
    columns: Columns = field(default_factory=Columns)
    separator: Text = "|"  # between the labels of one picture; -name is a class known absent
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)  # column -> values; only rows
    # that have one of them are kept

    @property
    def reader(self) -> CsvReader:
        """Return how the files are read."""
        return CsvReader(
            level=self.level, columns=self.columns, separator=self.separator, where=self.where
        )

    @property
    def files(self) -> dict[str, str]:
        """Return role -> place."""
        return {"table": self.table, "images": self.images}


def _coco(reader: CocoReader, files: Files, found: Findings) -> "Contents":
    from components.data.sources.coco import read

    return read(reader, files, found)


def _folders(reader: FoldersReader, files: Files, found: Findings) -> "Contents":
    from components.data.sources.folders import read

    return read(reader, files, found)


def _csv(reader: CsvReader, files: Files, found: Findings) -> "Contents":
    from components.data.sources.labels_csv import read

    return read(reader, files, found)


SOURCES: "dict[str, Callable[[Any, Files, Findings], Contents]]" = {
    "coco": _coco,
    "folders": _folders,
    "csv": _csv,
}
READERS: dict[str, Callable[..., CocoReader | FoldersReader | CsvReader]] = {
    "coco": CocoReader,
    "folders": FoldersReader,
    "csv": CsvReader,
}
SAID_EARLY: tuple[tuple[Severity, str], ...] = (("W", "label.separator"),)  # before a run


@dataclass(kw_only=True, slots=True)
class Listed:
    """What the label files of one source list, and what is wrong with them."""

    problems: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])  # what may be wrong with the settings
    pictures: int = 0
    missing: list[str] = field(default_factory=list[str])  # pictures with no file
    there: list[Path] = field(default_factory=list[Path])  # files of the others
    taught: list[Path] = field(default_factory=list[Path])  # those of them that training draws
    classes: tuple[str, ...] = ()  # ids that the source names
    used: Counter[str] = field(default_factory=Counter[str])  # class id -> boxes and labels
    first: dict[str, str] = field(default_factory=dict[str, str])  # class id -> its first picture
    boxes: Counter[str] = field(default_factory=Counter[str])  # class id -> boxes, without crowds
    labels: Counter[str] = field(default_factory=Counter[str])  # class id -> pictures it is said of


def places(source: Coco | Folders | Csv, root: Path) -> dict[str, Path]:
    """Return role -> absolute place of a source's files; `root` is what its paths start from."""
    return {role: Path(os.path.abspath(root / place)) for role, place in source.files.items()}


def pictures_of(
    reader: CocoReader | FoldersReader | CsvReader, files: Files
) -> "Iterator[Labelled]":
    """Return the pictures of a source whose labels hold no error.

    Raises:
        DataError: with every error of the files, before the first picture.
    """
    return iter(_contents(reader, files, Findings()).pictures)


def _contents(
    reader: CocoReader | FoldersReader | CsvReader, files: Files, found: Findings
) -> "Contents":
    contents = SOURCES[reader.kind](reader, files, found)
    if errors := found.errors():
        raise DataError(errors)
    return contents


def look_over(source: Coco | Folders | Csv, root: Path) -> Listed:
    """Read a source's label files whole and see whether its pictures are there; decode nothing.

    Args:
        source: from a config.
        root: the folder that relative paths start from.
    """
    from components.data.labelled import teaches

    listed, found = Listed(), Findings()
    files = places(source, root)
    listed.problems = [str(problem) for problem in file_problems(files)]
    if listed.problems:
        return listed
    try:
        contents = _contents(source.reader, files, found)
        listed.classes = contents.classes
        for sample in contents.pictures:
            listed.pictures += 1
            if sample.path.exists():
                listed.there.append(sample.path)
                listed.taught += [sample.path] * teaches(sample)
            else:
                listed.missing.append(sample.source_name)
            flags = sample.flags.tolist()
            listed.boxes.update(c for c, f in zip(sample.classes, flags, strict=True) if f == 0)
            listed.labels.update(sample.present)
            for class_id in (*sample.classes, *sample.present):
                listed.used[class_id] += 1
                listed.first.setdefault(class_id, sample.source_name)
    except DataError as error:
        listed.problems = list(error.problems)
        return listed
    listed.warnings = [str(one) for check in SAID_EARLY for one in found.first.get(check, ())]
    if len(listed.missing) == listed.pictures:
        listed.problems = [
            f"images: none of the {listed.pictures} listed pictures is there; got folder "
            f"{files['images']}. Name the folder that the label file's names start from."
        ]
    return listed
