"""What `evaluate` wrote, as a run's page shows it: classes, confusions, pictures of each test."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.report.parts import ClassRow, Confused, Half, KindTable, Picture, Scored

CONFUSIONS = 60  # rows of the table
KINDS, KIND_CLASSES = 12, 20  # tables of kinds, and classes in one
PICTURE_BYTES = 1_200_000  # of all pictures of the page

Rows = Sequence[Mapping[str, Any]]


def scored_sets(place: Path) -> list[Scored]:
    """Return every scored test set of an evaluation, the main one first."""
    import pyarrow.parquet as pq

    told = json.loads((place / "explained.json").read_text(encoding="utf-8"))
    classes = _by_test(pq.read_table(place / "per_class.parquet").to_pylist())
    said = _by_test(pq.read_table(place / "confusion.parquet").to_pylist())
    out: list[Scored] = []
    left = PICTURE_BYTES
    for test in told["tests"]:
        name = test["test"]
        pictures, left = _pictures(place / "pictures", test["pictures"], left)
        kinds = _kinds(said[name])
        out.append(
            Scored(
                test=name,
                halves=[Half(**half) for half in test["halves"]],
                curves=test["curves"],
                class_curves=test["class_curves"],
                classes=[_class_row(row) for row in classes[name]],
                shares=test["shares"],
                confused=_confused(said[name]),
                kinds=kinds[:KINDS],
                kinds_left=max(0, len(kinds) - KINDS),
                worst=pictures["worst"],
                best=pictures["best"],
            )
        )
    return out


def _by_test(rows: Rows) -> defaultdict[str, list[Mapping[str, Any]]]:
    found: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["test"]].append(row)
    return found


def _class_row(row: Mapping[str, Any]) -> ClassRow:
    names = ("group", "truths", "train_boxes", "train_labels", "AP", "AP50", "right", "confused",
             "missed")  # fmt: skip
    return ClassRow(name=row["class"], **{name: row[name] for name in names})


def _confused(rows: Rows) -> list[Confused]:
    """Return the most frequent wrong classes."""
    objects = _objects(rows)
    wrong = [row for row in rows if row["said"] not in ("", row["class"])]
    return [
        Confused(
            name=row["class"],
            said=row["said"],
            count=row["count"],
            of=objects[row["class"]],
            kind=row["kind"],
            said_kind=row["said_kind"],
        )
        for row in sorted(wrong, key=lambda row: -row["count"])[:CONFUSIONS]
    ]


def _objects(rows: Rows) -> Counter[str]:
    objects: Counter[str] = Counter()
    for row in rows:
        objects[row["class"]] += row["count"]
    return objects


def _kinds(rows: Rows) -> list[KindTable]:
    """Return a table of each kind with two classes or more, most errors within it first."""
    of_kind: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["kind"]:
            of_kind[row["kind"]].append(row)
    tables = [_kind_table(kind, listed) for kind, listed in of_kind.items()]
    found = [table for table in tables if len(table.classes) > 1]
    return sorted(found, key=lambda table: (-table.wrong, table.kind))


def _kind_table(kind: str, rows: Rows) -> KindTable:
    objects = _objects(rows)
    within = [row for row in rows if row["said_kind"] == kind]
    names = sorted({row["class"] for row in rows} | {row["said"] for row in within})
    names = sorted(sorted(names, key=lambda name: -objects[name])[:KIND_CLASSES])
    place = {name: i for i, name in enumerate(names)}
    counts = [[0] * (len(names) + 2) for _ in names]
    for row in rows:
        if row["class"] in place:
            column = len(names) + 1 if not row["said"] else place.get(row["said"], len(names))
            counts[place[row["class"]]][column] += row["count"]
    wrong = sum(row["count"] for row in within if row["said"] != row["class"])
    return KindTable(kind=kind, classes=names, counts=counts, wrong=wrong)


def _pictures(folder: Path, told: Rows, left: int) -> tuple[dict[str, list[Picture]], int]:
    """Return the worst and the best pictures, in turns while there is room, and what is left."""
    found: dict[str, list[Picture]] = {"worst": [], "best": []}
    by_place = {place: [row for row in told if row["place"] == place] for place in found}
    turns = sorted(
        ((turn, place, row) for place, rows in by_place.items() for turn, row in enumerate(rows)),
        key=lambda entry: entry[0],
    )
    for _, place, row in turns:
        jpeg = (folder / row["file"]).read_bytes()
        left -= len(jpeg)
        if left < 0:
            break
        caption = (
            f"{row['picture']}: AP {row['score']:.2f}; {row['objects']} there, {row['right']} of "
            f"{row['drawn']} detections drawn are right"
        )
        found[place].append(Picture(caption=caption, jpeg=jpeg))
    return found, left
