"""Detections + truth -> Report: metrics, tables of classes, curves, pictures with boxes."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.graph.node import Task
from pipelines.nodes.told import Told


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
    pictures: int = 8  # of the worst, and of the best, a test


def evaluate(task: Task) -> dict[str, Any]:
    """Score every test set and say why: metrics.json, two tables, explained.json and pictures.

    `coco` and `seen` are of the first test of scenes; `novel` is of the first that shows a class
    which had labels only: boxes and labels may be of two levels, and each test is of one.

    Inputs: `model`, `truth_<set>` and `found_<name>`; `train_<set>`, whose boxes and labels are
    counted; `kinds`, where there is a table of classes and their kinds.
    """
    from components.train.checkpoint import read_record

    cfg: Evaluate = task.cfg
    record = read_record(task.path("model"))
    known = frozenset((*record.boxed.ids, *record.labelled.ids))
    met = {"boxed": frozenset(record.training.get("boxed", record.boxed.ids)), "labelled": known}
    metrics: dict[str, float | None] = {}
    told = Told(task, cfg.groups, met)
    main = next(
        (t.name for t in cfg.tests if t.part == "test" and t.task == "scenes"), cfg.tests[0].name
    )
    for i, test in enumerate(cfg.tests):
        task.say(i, len(cfg.tests), "test sets")
        found, shards = _read(task, test)
        if test.task == "localization":
            _add(metrics, _localization(task, test), test)
            continue
        truth, scores = _scores(shards, found)
        _add(metrics, dict(_named(scores, test, cfg, met, main=test.name == main)), test)
        if test.part == "test" and test.control == "regions":
            _add_novel(metrics, scores, met)
        drawn = cfg.pictures if test.part == "test" and test.control == "regions" else 0
        told.add(test.name, shards, truth, found[1], scores, pictures=drawn)
    (task.out / "metrics.json").write_text(json.dumps(metrics, sort_keys=True, indent=1))
    told.write(main=main)
    return {"metrics": metrics}


def _add(metrics: dict[str, float | None], named: Mapping[str, float], test: Evaluated) -> None:
    """Add a test set's metrics; a mean over nothing becomes None.

    The first set of a kind with something to say has the plain names, others add theirs.
    """
    taken = any(metrics.get(name) is not None for name in named)
    for name, value in named.items():
        key = _marked(name, test.name) if taken else name
        metrics[key] = value if math.isfinite(value) else None


def _add_novel(
    metrics: dict[str, float | None],
    scores: Mapping[str, Any],
    met: Mapping[str, frozenset[str]],
) -> None:
    """Add the metrics of classes that had labels only, unless an earlier test has shown some."""
    from components.eval.seen_novel import seen_and_novel

    for name, value in seen_and_novel(scores, **met):
        if name.startswith("novel/") and metrics.get(name) is None:
            metrics[name] = value if math.isfinite(value) else None


def _read(task: Task, test: Evaluated) -> tuple[tuple[tuple[str, ...], Any], Any]:
    """Return ((class ids, detections), shards) of a test."""
    from components.data.shards import Shards
    from components.eval.detections import Detections

    place = task.path(f"found_{test.name}")
    ids = tuple(json.loads((place / "classes.json").read_text())["ids"])
    shards = Shards.open(task.path(f"truth_{test.truth}"))
    return (ids, Detections.read(place / "detections.parquet")), shards


def _scores(shards: Any, found: tuple[tuple[str, ...], Any]) -> tuple[Any, dict[str, Any]]:
    """Return the truth of a set, and the scores of its classes and of those asked for."""
    from components.eval.coco_ap import score_classes
    from components.eval.infer import truth_of

    ids, detections = found
    every = tuple(dict.fromkeys((*ids, *shards.vocabulary.ids)))  # a class unknown to it scores 0
    truth = truth_of(shards, ids=every)
    return truth, score_classes(truth, detections, ids=every)


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
        yield from ((name, value) for name, value in halves.items() if name.startswith("seen/"))


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
