"""Detect and evaluate as nodes, on sets whose classes the detector knows in part or not at all."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.eval.metric_names import check_name
from pipelines.graph.artifact import REPORT, missing
from pipelines.graph.node import RunOn, Task
from pipelines.nodes.detect import Detect, detect
from pipelines.nodes.evaluate import Evaluate, Evaluated, evaluate
from tests.components.eval.small_world import SIZE, model, shards

FINE = (("fine:dog",), ("fine:cat", "fine:zebra"), (), ("fine:owl",))


def task(out: Path, cfg: Any, **inputs: Path) -> Task:
    out.mkdir()
    return Task(
        cfg=cfg,
        inputs=inputs,
        parts={},
        out=out,
        scratch=out,
        run_on=RunOn(),
        say=lambda *args, **how: None,
        note=lambda text: None,
        set_aside=lambda place: place,
    )


class World:
    """A model, and sets of pictures that are detected and then scored together."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inputs = {"model": model(root / "model")}
        self.tests: list[Evaluated] = []

    def add(
        self, name: str, true: tuple[tuple[str, ...], ...], *, level: str = "fine", **how: Any
    ) -> None:
        how = {"task": "scenes", "part": "test", "control": "regions", "truth": name} | how
        if how["truth"] == name:
            (self.root / name).mkdir()
            shards(self.root / name, true)
            self.inputs[f"truth_{name}"] = self.root / name / "shards"
        cfg = Detect(
            level=level,
            task=how["task"],
            classes=how["control"],
            size=SIZE,
            top=20,
            floor=1e-4,
            batch=2,
        )
        out = self.root / f"found_{name}"
        truth = self.inputs[f"truth_{how['truth']}"]
        made = detect(task(out, cfg, model=self.inputs["model"], shards=truth))
        assert made["units"] == {"images": len(true)}
        self.inputs[f"found_{name}"] = out
        self.tests.append(Evaluated(name=name, level=level, **how))

    def score(self, **groups: tuple[str, ...]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        out = self.root / "report"
        cfg = Evaluate(tests=tuple(self.tests), groups=groups, pictures=2)
        made = evaluate(task(out, cfg, **self.inputs))
        metrics = json.loads((out / "metrics.json").read_text())
        assert made["metrics"] == metrics
        assert not missing(REPORT, tuple(p.name for p in out.iterdir()))
        for name, value in metrics.items():
            check_name(name)
            assert value is None or 0 <= value <= 1
        return metrics, pq.read_table(out / "per_class.parquet").to_pylist()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_scenes_give_every_ap_and_a_row_a_class_with_truth(world: World) -> None:
    world.add("scenes", FINE)
    world.add("tune", FINE, part="tune")
    metrics, rows = world.score(mine=("fine:cat", "fine:nowhere"))
    for group in ("fine", "coco", "seen", "novel", "val"):
        assert {f"{group}/AP", f"{group}/AP50", f"{group}/AP75"} <= set(metrics)
    assert {"fine/AP@mine", "val/seen_AP50", "val/novel_AP50"} <= set(metrics)
    groups = {row["class"]: row["group"] for row in rows if row["test"] == "scenes"}
    assert groups == {"fine:cat": "seen", "fine:dog": "seen", "fine:owl": "novel",
                      "fine:zebra": "unknown"}  # fmt: skip
    zebra = next(row for row in rows if row["class"] == "fine:zebra")
    assert (zebra["truths"], zebra["AP"]) == (1, 0.0)
    assert sorted(p.name for p in (world.root / "report" / "pictures").iterdir()) == [
        "scenes_000.jpg",
        "scenes_001.jpg",
    ]


def test_a_class_training_never_met_lowers_the_mean_of_all_but_is_not_novel(world: World) -> None:
    world.add("scenes", FINE)
    metrics, rows = world.score()
    by_class = {row["class"]: row["AP50"] for row in rows}
    assert metrics["coco/AP50"] == pytest.approx(sum(by_class.values()) / 4)
    assert metrics["novel/AP50"] == by_class["fine:owl"]


def test_a_second_set_of_a_level_does_not_replace_the_first(world: World) -> None:
    world.add("scenes", FINE)
    world.add("more", (("fine:zebra",),))
    world.add("kinds", (("coarse:animal",), ()), level="coarse")
    world.add("own", (("thing:box",),), level="thing")
    (world.root / "alone").mkdir()
    alone = World(world.root / "alone")
    alone.add("scenes", FINE)
    wanted, _ = alone.score(mine=("fine:cat",))
    metrics, _ = world.score(mine=("fine:cat",))
    assert {name: metrics[name] for name in wanted} == wanted
    assert metrics["fine/AP@more"] == 0
    assert metrics["coco/AP@own"] == 0
    assert "coarse/AP" in metrics


def test_a_control_has_its_own_names(world: World) -> None:
    world.add("scenes", FINE)
    world.add("scenes_whole_photo", FINE, truth="scenes", control="whole_photo")
    metrics, rows = world.score(mine=("fine:cat",))
    assert {"fine/AP@whole_photo", "fine/AP@mine_whole_photo"} <= set(metrics)
    assert {row["test"] for row in rows} == {"scenes", "scenes_whole_photo"}


def test_nothing_known_and_nothing_there_is_no_failure(world: World) -> None:
    world.add("strange", (("thing:box",), ("thing:jar",)), level="thing")
    world.add("bare", ((), ()))
    metrics, rows = world.score()
    assert metrics["coco/AP"] == 0
    assert {row["group"] for row in rows} == {"unknown"}
    assert [n for n in metrics if n.startswith(("seen", "novel")) and metrics[n] is not None] == []
    assert {metrics[name] for name in metrics if name.startswith("fine")} == {None}


def test_a_set_without_any_box_has_no_number_but_a_table(world: World) -> None:
    world.add("bare", ((), ()))
    metrics, rows = world.score()
    assert {"fine/AP", "coco/AP50", "seen/AP", "novel/AP75"} <= set(metrics)
    assert set(metrics.values()) == {None}
    assert rows == []
    names = pq.read_schema(world.root / "report" / "per_class.parquet").names
    assert names == ["test", "class", "group", "truths", "AP", "AP50", "AP75"]


def test_localization_counts_pictures_of_classes_it_does_not_know_as_wrong(world: World) -> None:
    world.add("photos", (("fine:dog",), ("fine:zebra",), ("fine:owl",)), task="localization")
    metrics, _ = world.score()
    assert set(metrics) == {
        f"loc/{name}"
        for name in ("top1", "class_top1", "top5_classes", "top5_boxes", "gt_known",
                     "fixed_box", "whole_image")
    }  # fmt: skip
    assert metrics["loc/gt_known"] <= 2 / 3
    assert metrics["loc/top5_classes"] <= metrics["loc/gt_known"]
    assert metrics["loc/whole_image"] == 1  # a box nobody detected fits a class nobody knows
    assert not any(math.isnan(value) for value in metrics.values())


def test_a_set_with_something_to_say_has_the_plain_names(world: World) -> None:
    world.add("bare", ((), ()))
    world.add("scenes", FINE)
    metrics, _ = world.score(mine=("fine:owl",), none=("fine:zebra", "fine:cow"))
    assert metrics["fine/AP"] is not None
    assert metrics["fine/AP@mine"] is not None
    assert not [name for name in metrics if "bare" in name or "cow" in name]
    assert metrics["novel/AP"] is None, "of the main set, which is bare"
