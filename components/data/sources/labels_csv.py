"""A CSV table of image labels -> pictures with classes present and absent.

Every cell is text: "NA" and "null" are class names. `-name` says that a class is absent.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.data.labelled import Labelled, Supervision
from components.data.sources.label_problems import DataError, few, place_problem

if TYPE_CHECKING:
    from components.data.readers import CsvReader


def read(reader: "CsvReader", files: Mapping[str, Path]) -> Iterator[Labelled]:
    """Return the pictures that `where` keeps, in the table's order.

    Raises:
        DataError: with every problem of the table, before the first picture.
    """
    table, name = files["table"], files["table"].name
    rows = _rows(table, name)
    header = rows[0][1] if rows else []
    _columns(reader, header, name)
    at = {column: i for i, column in enumerate(header)}
    problems: list[str] = []
    kept: list[Labelled] = []
    seen: dict[str, int] = {}
    for line, cells in rows[1:]:
        where = f"{name}, line {line}"
        if len(cells) != len(header):
            problems.append(
                f"{where}: the header has {len(header)} columns; got {len(cells)}. Mend the row."
            )
            continue
        if any(cells[at[column]] not in values for column, values in reader.where.items()):
            continue
        image = cells[at[reader.columns.image]]
        problem = place_problem(image, where) if image else f"{where}: no picture is named; got " \
            "an empty cell. Name it or remove the row."  # fmt: skip
        if image in seen:
            problem = f"{where}: the picture stands on line {seen[image]} too; got {image!r}. " \
                "Join the rows."  # fmt: skip
        if problem:
            problems.append(problem)
            continue
        seen[image] = line
        labelled, problem = _labelled(reader, cells[at[reader.columns.labels]], image, files, where)
        if problem:
            problems.append(problem)
        else:
            kept.append(labelled)
    if not problems and not kept:
        problems.append(
            f"{name}: no row is left of {len(rows) - 1}; got where {dict(reader.where)}. "
            "Loosen it, or look at the column's values."
        )
    if problems:
        raise DataError(few(problems, of=name))
    return iter(kept)


def _rows(table: Path, name: str) -> list[tuple[int, list[str]]]:
    """Return (line, cells) of each row that is not empty."""
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError([f"{name}: not UTF-8; got byte {error.start}. Save it as UTF-8."]) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise DataError(
            [f"{name}, line {reader.line_num}: not CSV; got {error}. Close its quotes, and quote "
             "cells that hold commas."]
        ) from None  # fmt: skip


def _columns(reader: "CsvReader", header: list[str], name: str) -> None:
    wanted = [reader.columns.image, reader.columns.labels, *reader.where]
    if reader.columns.split is not None:
        wanted.append(reader.columns.split)
    missing = [column for column in dict.fromkeys(wanted) if column not in header]
    if missing:
        hint = "The first line names the columns; say under columns which of them are meant."
        if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
            hint = "Separate cells by commas."
        raise DataError(
            [f"{name}: no column {', '.join(map(repr, missing))}; got "
             f"{', '.join(map(repr, header[:8])) or 'no header'}. {hint}"]
        )  # fmt: skip
    twice = sorted({c for c in header if header.count(c) > 1})
    if twice:
        raise DataError([f"{name}: a column stands twice; got {twice}. Rename one."])


def _labelled(
    reader: "CsvReader", cell: str, image: str, files: Mapping[str, Path], where: str
) -> tuple[Labelled, str | None]:
    names = [n.strip() for n in cell.split(reader.separator)] if cell.strip() else []
    present = tuple(f"{reader.level}:{n}" for n in names if n and not n.startswith("-"))
    absent = tuple(f"{reader.level}:{n[1:]}" for n in names if n.startswith("-") and n != "-")
    both = set(present) & set(absent)
    problem = None
    if "-" in names:
        problem = f"{where}: a minus without a class; got {cell!r:.60}. Write -name, or remove it."
    if both:
        problem = f"{where}: a class is present and absent; got {min(both)!r}. Keep one."
    return Labelled(
        source_name=image,
        source_id=image,
        path=files["images"] / image,
        supervision=Supervision.LABELLED if present or absent else Supervision.UNLABELLED,
        boxes=np.zeros((0, 4), np.float32),
        flags=np.zeros(0, np.uint8),
        present=tuple(dict.fromkeys(present)),
        absent=tuple(dict.fromkeys(absent)),
    ), problem
