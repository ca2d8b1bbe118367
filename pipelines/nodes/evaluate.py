"""Detections + truth -> Report: metrics, a table of classes, pictures with boxes."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.graph.node import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """One test set and the detections on it; inputs `truth_<truth>` and `found_<name>`."""

    name: str
    truth: str
    level: str
    task: Literal["scenes", "localization"]
    part: Literal["tune", "test"]
    control: Literal["regions", "whole_photo"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    """What is scored, over which classes."""

    tests: tuple[Evaluated, ...]
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    pictures: int = 8


def evaluate(task: Task) -> dict[str, Any]:
    """Score every test set; write metrics.json, per_class.parquet and pictures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from components.eval.coco_ap import METRICS
    from components.train.checkpoint import read_record

    cfg: Evaluate = task.cfg
    record = read_record(task.path("model"))
    met = {"boxed": frozenset(record.boxed.ids), "labelled": frozenset(record.labelled.ids)}
    metrics: dict[str, float | None] = {}
    rows: list[dict[str, Any]] = []
    main = next(
        (t.name for t in cfg.tests if t.part == "test" and t.task == "scenes"), cfg.tests[0].name
    )
    for i, test in enumerate(cfg.tests):
        task.say(i, len(cfg.tests), "test sets")
        found, shards = _read(task, test)
        if test.task == "localization":
            _add(metrics, _localization(task, test), test)
            continue
        scores = _scores(shards, found)
        _add(metrics, dict(_named(scores, test, cfg, met, main=test.name == main)), test)
        rows += _rows(scores, test, met)
        if test.part == "test" and test.control == "regions" and cfg.pictures:
            _draw(task.out / "pictures", test.name, shards, found, cfg.pictures)
    (task.out / "metrics.json").write_text(json.dumps(metrics, sort_keys=True, indent=1))
    numbers = ((name, pa.float64()) for name in METRICS)
    texts = ((name, pa.string()) for name in ("test", "class", "group"))
    schema = pa.schema([*texts, ("truths", pa.int64()), *numbers])
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, task.out / "per_class.parquet", store_schema=False)
    return {"metrics": metrics}


def _add(metrics: dict[str, float | None], named: Mapping[str, float], test: Evaluated) -> None:
    """Add a test set's metrics; a mean over nothing becomes None.

    The first set of a kind with something to say has the plain names, others add theirs.
    """
    taken = any(metrics.get(name) is not None for name in named)
    for name, value in named.items():
        key = _marked(name, test.name) if taken else name
        metrics[key] = value if math.isfinite(value) else None


def _read(task: Task, test: Evaluated) -> tuple[tuple[tuple[str, ...], Any], Any]:
    """Return ((class ids, detections), shards) of a test."""
    from components.data.shards import Shards
    from components.eval.detections import Detections

    place = task.path(f"found_{test.name}")
    ids = tuple(json.loads((place / "classes.json").read_text())["ids"])
    shards = Shards.open(task.path(f"truth_{test.truth}"))
    return (ids, Detections.read(place / "detections.parquet")), shards


def _scores(shards: Any, found: tuple[tuple[str, ...], Any]) -> dict[str, Any]:
    from components.eval.coco_ap import score_classes
    from components.eval.infer import truth_of

    ids, detections = found
    every = tuple(dict.fromkeys((*ids, *shards.vocabulary.ids)))  # a class unknown to it scores 0
    return score_classes(truth_of(shards, ids=every), detections, ids=every)


def _named(
    scores: Mapping[str, Any],
    test: Evaluated,
    cfg: Evaluate,
    met: Mapping[str, frozenset[str]],
    *,
    main: bool,
) -> Iterator[tuple[str, float]]:
    """Yield the metrics of one test set of scenes under their names."""
    from components.eval.metric_names import check_name
    from components.eval.seen_novel import over_groups, seen_and_novel

    halves = dict(seen_and_novel(scores, **met))
    if test.part == "tune":
        yield from over_groups(scores, prefix="val", groups={})
        for half in ("seen", "novel"):
            yield check_name(f"val/{half}_AP50"), halves[f"{half}/AP50"]
        return
    level = test.level if test.level in ("coarse", "fine") else "coco"
    named = dict(over_groups(scores, prefix=level, groups=cfg.groups))
    if test.control != "regions":
        for name, value in named.items():
            yield _marked(name, test.control), value
        return
    yield from named.items()
    if main:
        yield from over_groups(scores, prefix="coco", groups={})
        yield from halves.items()


def _marked(name: str, mark: str) -> str:
    """Return a metric's name with one word more after the @."""
    from components.eval.metric_names import check_name

    return check_name(f"{name}_{mark}" if "@" in name else f"{name}@{mark}")


def _localization(task: Task, test: Evaluated) -> dict[str, float]:
    from components.eval.detections import Detections
    from components.eval.infer import truth_of
    from components.eval.localization import Localized, localization

    (ids, detections), shards = _read(task, test)
    every = tuple(dict.fromkeys((*ids, *shards.vocabulary.ids)))
    place = task.path(f"found_{test.name}")
    found = Localized(
        best=Detections.read(place / "best.parquet"),
        given=Detections.read(place / "given.parquet"),
        detections=detections,
    )
    return localization(truth_of(shards, ids=every), found)


def _rows(
    scores: Mapping[str, Any], test: Evaluated, met: Mapping[str, frozenset[str]]
) -> list[dict[str, Any]]:
    from components.eval.seen_novel import half_of

    return [
        {
            "test": test.name,
            "class": class_id,
            "group": half_of(class_id, **met),
            "truths": score.truths,
            "AP": score.AP,
            "AP50": score.AP50,
            "AP75": score.AP75,
        }
        for class_id, score in scores.items()
        if score.truths
    ]


def _draw(folder: Path, name: str, shards: Any, found: Any, pictures: int) -> None:
    """Draw the first pictures of a test set with the detections a person would look at."""
    from components.data.decode import decode
    from components.data.draw_boxes import Box, draw_boxes, jpeg

    ids, detections = found
    folder.mkdir(exist_ok=True)
    for row in range(min(pictures, len(shards))):
        of_picture = _worth_a_look(detections.where(detections.image == row))
        boxes = [
            Box(corners=tuple(corners), class_id=ids[int(c)], score=float(s))
            for corners, c, s in zip(
                of_picture.boxes.tolist(), of_picture.category, of_picture.score, strict=True
            )
        ]
        drawn = draw_boxes(decode(shards.read(row)), boxes)
        (folder / f"{name}_{row:03d}.jpg").write_bytes(jpeg(drawn))


def _worth_a_look(found: Any) -> Any:
    """Return a picture's sure boxes, and its best few where none is sure of its class."""
    order = (-found.score).argsort(kind="stable")
    best = found.where(order[:AT_LEAST])
    sure = found.where(found.score >= SHOWN)
    return sure if len(sure) >= len(best) else best


SHOWN = 0.3  # score from which a box is drawn in a picture of the report
AT_LEAST = 3  # boxes drawn, whatever their score
