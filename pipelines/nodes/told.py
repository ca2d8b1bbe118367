"""What `evaluate` writes beside its metrics: per_class, confusion, explained.json, pictures.

One row of per_class.parquet is a class of a test set with what training had of it; one row of
confusion.parquet says how often objects of a class were called what ("" is nothing).
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipelines.graph.node import Task

VERSION = 1
QUALITY = 80  # of JPEG
SURE = 0.3  # score from which a detection is drawn
AT_LEAST, AT_MOST = 3, 12  # detections drawn, whatever their score


class Told:
    """Collects what is told of each test set, and writes it."""

    def __init__(
        self, task: Task, groups: Mapping[str, tuple[str, ...]], met: Mapping[str, frozenset[str]]
    ) -> None:
        self.task, self.met = task, met
        self.train = _train_counts(task)
        self.table = _kind_table(task)
        self.groups = {i: name for name, ids in [*groups.items()][::-1] for i in ids}
        self.classes: list[dict[str, Any]] = []
        self.said: list[dict[str, Any]] = []
        self.tests: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        shards: Any,
        truth: Any,
        found: Any,
        scores: Mapping[str, Any],
        *,
        pictures: int,
    ) -> None:
        """Explain one test set, and draw at most so many of its worst and of its best pictures."""
        from components.eval.explained import explain
        from components.eval.seen_novel import half_of

        kinds = self._kinds(scores)
        made = explain(
            truth,
            found,
            scores,
            halves={i: half_of(i, **self.met) for i in scores},
            kinds=kinds,
            train=self.train,
            pictures=pictures,
        )
        for row in made.classes:
            values = asdict(row)
            ids = {"test": name, "class": values.pop("id"), "group": values.pop("half")}
            self.classes.append(ids | values)
        self.said += [
            {"test": name, "class": row.true, "said": row.said or "", "count": row.count,
             "kind": kinds.get(row.true, ""), "said_kind": kinds.get(row.said or "", "")}
            for row in made.said
        ]  # fmt: skip
        self.tests.append(
            {
                "test": name,
                "halves": list(made.halves),
                "curves": made.curves,
                "class_curves": made.class_curves,
                "shares": made.shares,
                "pictures": self._draw(name, shards, truth, found, made, ids=tuple(scores)),
            }
        )

    def write(self, *, main: str) -> None:
        """Write the tables and explained.json; the test set `main` comes first in it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for file, rows, schema in (
            ("per_class.parquet", self.classes, pa.schema(PER_CLASS)),
            ("confusion.parquet", self.said, pa.schema(CONFUSION)),
        ):
            table = pa.Table.from_pylist(rows, schema=schema)
            pq.write_table(table, self.task.out / file, store_schema=False)
        tests = sorted(self.tests, key=lambda test: test["test"] != main)
        text = json.dumps({"version": VERSION, "tests": tests}, indent=1, allow_nan=False)
        (self.task.out / "explained.json").write_text(text, encoding="utf-8")

    def _kinds(self, ids: Mapping[str, Any]) -> dict[str, str]:
        """Return the kind of each class that has one: by the table, else its group of settings."""
        from components.vocab.classes import name_of

        kinds = {i: self.table.get(name_of(i)) or self.groups.get(i) for i in ids}
        return {i: kind for i, kind in kinds.items() if kind}

    def _draw(
        self, name: str, shards: Any, truth: Any, found: Any, made: Any, *, ids: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        """Draw the pictures that were chosen; return what is said of each."""
        from components.data.decode import decode
        from components.data.draw_boxes import jpeg
        from components.data.side_by_side import GOOD, side_by_side

        folder = self.task.out / "pictures"
        if made.pictures:
            folder.mkdir(exist_ok=True)
        counts: Counter[str] = Counter()
        said: list[dict[str, Any]] = []
        for one in made.pictures:
            there, seen = _boxes(truth, found, made.verdicts, one.row, ids)
            file = f"{name}_{one.place}_{counts[one.place]:03d}.jpg"
            counts[one.place] += 1
            sheet = side_by_side(decode(shards.read(one.row)), there, seen)
            (folder / file).write_bytes(jpeg(sheet, quality=QUALITY))
            said.append(
                {
                    "file": file,
                    "place": one.place,
                    "picture": shards.source_name(one.row),
                    "score": one.score,
                    "objects": len(there),
                    "drawn": len(seen),
                    "right": sum(box.colour == GOOD for box in seen),
                }
            )
        return said


def _boxes(
    truth: Any, found: Any, verdicts: Any, row: int, ids: tuple[str, ...]
) -> tuple[list[Any], list[Any]]:
    """Return the boxes of a picture that are there, and the best that were found; both judged."""
    from components.data.draw_boxes import Box
    from components.data.labelled import CROWD
    from components.data.side_by_side import GOOD, MISSED, WRONG

    of_picture = (found.image == row).nonzero()[0]
    ranked = of_picture[(-found.score[of_picture]).argsort(kind="stable")]
    there = ((truth.image == row) & ((truth.flags & CROWD) == 0)).nonzero()[0]
    sure = int((found.score[ranked] >= SURE).sum())
    shown = ranked[: min(AT_MOST, max(AT_LEAST, len(there), sure))]
    met = set(verdicts.match[shown].tolist())
    truths = [
        Box(
            corners=tuple(truth.boxes[t].tolist()),
            class_id=ids[truth.category[t]],
            colour=GOOD if t in met else MISSED,
        )
        for t in there.tolist()
    ]
    return truths, [
        Box(
            corners=tuple(found.boxes[d].tolist()),
            class_id=ids[found.category[d]],
            score=float(found.score[d]),
            colour=GOOD if verdicts.match[d] >= 0 else WRONG,
        )
        for d in shown.tolist()
    ]


def _train_counts(task: Task) -> Any:
    """Return how often training met each class, over all inputs `train_<set>`."""
    from components.data.class_counts import ClassCounts, class_counts
    from components.data.shards import Shards

    boxes: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    for name in sorted(task.inputs):
        if name.startswith("train_"):
            counts = class_counts(Shards.open(task.path(name)))
            boxes.update(counts.boxes)
            labels.update(counts.labels)
    return ClassCounts(boxes=dict(boxes), labels=dict(labels))


def _kind_table(task: Task) -> dict[str, str]:
    """Return class name -> kind from the input `kinds`, a CSV with these two columns."""
    if "kinds" not in task.inputs:
        return {}
    with task.files("kinds")["table"].open(newline="", encoding="utf-8") as file:
        return {row["class"]: row["kind"] for row in csv.DictReader(file)}


PER_CLASS = (
    ("test", "string"), ("class", "string"), ("group", "string"), ("truths", "int64"),
    ("AP", "float64"), ("AP50", "float64"), ("AP75", "float64"),
    ("train_boxes", "int64"), ("train_labels", "int64"),
    ("right", "int64"), ("confused", "int64"), ("missed", "int64"),
)  # fmt: skip
CONFUSION = (
    ("test", "string"), ("class", "string"), ("said", "string"), ("count", "int64"),
    ("kind", "string"), ("said_kind", "string"),
)  # fmt: skip
