"""A CSV table of image labels -> pictures with classes present and absent.

Every cell is text: "NA" and "null" are class names. `-name` says that a class is absent.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.data.check_table import Finding, Findings
from components.data.labelled import Contents, Labelled, Supervision
from components.data.sources.csv_rows import TableError, rows_of
from components.data.sources.label_problems import place_problem

if TYPE_CHECKING:
    from components.data.readers import CsvReader

SEPARATORS = ("|", ",", ";", "/", "+", "&", "\t", " ")  # what people put between labels
LEAST = 20  # classes from which their names say something of the separator
FEWER = 0.5  # share of the classes that are left if another separator is meant


@dataclass(frozen=True, slots=True)
class _Cell:
    """One kept row: its line, its picture, and the classes it names."""

    line: int
    image: str
    present: tuple[str, ...]
    absent: tuple[str, ...]


@dataclass(kw_only=True, slots=True)
class _Table:
    """What has been read of a table so far."""

    reader: "CsvReader"
    name: str
    found: Findings
    kept: list[_Cell] = field(default_factory=list[_Cell])
    classes: dict[str, str] = field(default_factory=dict[str, str])  # ids, each held once
    lines: dict[str, int] = field(default_factory=dict[str, int])  # plain path -> line
    rows: Counter[str] = field(default_factory=Counter[str])  # split -> rows, or "" -> all
    taken: Counter[str] = field(default_factory=Counter[str])  # filter -> rows it took

    def say(self, check: str, where: str, what: str, got: str, do: str) -> None:
        """Add a finding."""
        self.found.add(Finding(check=check, where=where, what=what, got=got, do=do))

    def take(self, line: int, cells: list[str], at: Mapping[str, int]) -> None:
        """Take in one row, or say what is wrong with it."""
        where, columns = f"{self.name}, line {line}", self.reader.columns
        if len(cells) != len(at):
            what = f"the header has {len(at)} columns"
            self.say("csv.syntax", where, what, str(len(cells)), "Mend the row.")
            return
        self.rows[cells[at[columns.split]] if columns.split else ""] += 1
        for column, values in self.reader.where.items():
            if cells[at[column]] not in values:
                self.taken[column] += 1
                return
        image = cells[at[columns.image]]
        if not image:
            self.say("name.bad", where, "no picture is named", "an empty cell",
                     "Name it or remove the row.")  # fmt: skip
        elif problem := place_problem(image, where):
            self.found.add(problem)
        elif (first := self.lines.setdefault(os.path.normpath(image), line)) != line:
            what = f"the picture stands on line {first} too"
            self.say("id.duplicate", where, what, repr(image), "Join the rows.")
        else:
            self.kept.append(self._cell(line, image, cells[at[columns.labels]], where))

    def _cell(self, line: int, image: str, cell: str, where: str) -> _Cell:
        names = [n.strip() for n in cell.split(self.reader.separator)] if cell.strip() else []
        if "-" in names:
            self.say("name.bad", where, "a minus without a class", f"{cell!r:.60}",
                     "Write -name, or remove it.")  # fmt: skip
        level = self.reader.level
        present = dict.fromkeys(f"{level}:{n}" for n in names if n and not n.startswith("-"))
        absent = dict.fromkeys(f"{level}:{n[1:]}" for n in names if n.startswith("-") and n != "-")
        for both in present.keys() & absent.keys():
            self.say("label.conflict", where, "a class is present and absent", repr(both),
                     "It is taken as unknown; keep one of them.")  # fmt: skip
        known = self.classes
        return _Cell(
            line,
            image,
            tuple(known.setdefault(c, c) for c in present if c not in absent),
            tuple(known.setdefault(c, c) for c in absent if c not in present),
        )


def read(reader: "CsvReader", files: Mapping[str, Path], found: Findings) -> Contents:
    """Return the pictures that `where` keeps, in the table's order.

    Args:
        reader: settings.
        files: `table` and `images`.
        found: takes every finding; all are there before the first picture is asked for.
    """
    table = _Table(reader=reader, name=files["table"].name, found=found)
    rows = 0
    try:
        lines = rows_of(files["table"], name=table.name)
        _, header = next(lines, (0, list[str]()))
        if problem := _columns(reader, header, table.name):
            found.add(problem)
            return Contents()
        at = {column: i for i, column in enumerate(header)}
        for rows, (line, cells) in enumerate(lines, 1):  # noqa: B007  rows is read below
            table.take(line, cells, at)
    except TableError as error:
        found.add(error.finding)
        return Contents()
    if not table.kept and not found.errors():
        taken = ", ".join(f"{column} took {count}" for column, count in table.taken.items())
        got = f"where {dict(reader.where)}{': ' if taken else ''}{taken}"
        what, do = f"no row is left of {rows}", "Loosen it, or look at the column's values."
        if not rows:
            what, got, do = "no picture in it", "a header and no row", "Add a row a picture."
        found.add(Finding(check="set.empty", where=table.name, what=what, got=got, do=do))
    used = {class_id for cell in table.kept for class_id in cell.present}
    for class_id in sorted(table.classes.keys() - used):
        table.say("label.empty_class", table.name, "a class that no picture shows", repr(class_id),
                  "Nothing of it is learnt; add labels, or leave it so.")  # fmt: skip
    if problem := _separator(table):
        found.add(problem)
    return Contents(
        pictures=_pictures(table.kept, files["images"]),
        classes=tuple(table.classes),
        rows=table.rows,
    )


def _separator(table: _Table) -> Finding | None:
    """Return why another separator may be meant.

    Most classes have one picture, and by that separator their names fall apart into far fewer.
    """
    times = Counter(class_id for cell in table.kept for class_id in cell.present)
    alone = sum(count == 1 for count in times.values())
    if len(times) < LEAST or alone <= len(times) / 2:
        return None
    names = [class_id.partition(":")[2] for class_id in times]
    apart = {
        mark: {part.strip() for name in names for part in name.split(mark)} - {""}
        for mark in SEPARATORS
    }
    mark = min(apart, key=lambda mark: len(apart[mark]))
    if len(apart[mark]) > FEWER * len(times):
        return None
    return Finding(
        check="label.separator",
        where=table.name,
        what="most classes have one picture",
        got=f"{len(times):,} classes of {len(table.kept):,} pictures, such as {names[0]!r:.60}",
        do=f"Is the separator right? With separator: {mark!r} there are {len(apart[mark]):,}.",
    )


def _columns(reader: "CsvReader", header: list[str], name: str) -> Finding | None:
    """Return what is wrong with the header."""
    wanted = [reader.columns.image, reader.columns.labels, *reader.where]
    if reader.columns.split is not None:
        wanted.append(reader.columns.split)
    missing = [column for column in dict.fromkeys(wanted) if column not in header]
    if missing:
        hint = "The first line names the columns; say under columns which of them are meant."
        if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
            hint = "Separate cells by commas."
        got = ", ".join(map(repr, header[:8])) or "no header"
        what = f"no column {', '.join(map(repr, missing))}"
        return Finding(check="csv.columns", where=name, what=what, got=got, do=hint)
    if twice := sorted({c for c in header if header.count(c) > 1}):
        return Finding(check="csv.columns", where=name, what="a column stands twice",
                       got=str(twice), do="Rename one.")  # fmt: skip
    return None


def _pictures(kept: list[_Cell], folder: Path) -> Iterator[Labelled]:
    for cell in kept:
        known = bool(cell.present or cell.absent)
        yield Labelled(
            source_name=cell.image,
            source_id=cell.image,
            path=folder / cell.image,
            supervision=Supervision.LABELLED if known else Supervision.UNLABELLED,
            boxes=np.zeros((0, 4), np.float32),
            flags=np.zeros(0, np.uint8),
            present=cell.present,
            absent=cell.absent,
        )
