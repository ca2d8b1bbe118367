"""Detect and evaluate as nodes, on sets whose classes the detector knows in part or not at all."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data.shards import Shards
from components.data.side_by_side import GOOD, MISSED, WRONG
from components.eval.detections import Detections
from components.eval.infer import truth_of
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
        work=lambda: out,
        run_on=RunOn(),
        say=lambda *args, **how: None,
        note=lambda text: None,
        set_aside=lambda place: place,
    )


class World:
    """A model, and sets of pictures that are detected and then scored together."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inputs: dict[str, Any] = {"model": model(root / "model")}
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

    def train(self, name: str, true: tuple[tuple[str, ...], ...]) -> None:
        (self.root / f"train_{name}").mkdir()
        shards(self.root / f"train_{name}", true)
        self.inputs[f"train_{name}"] = self.root / f"train_{name}" / "shards"

    def perfect(self, name: str) -> None:
        """Let every object of a set have been found, and nothing else."""
        found = self.root / f"found_{name}"
        ids = tuple(json.loads((found / "classes.json").read_text())["ids"])
        there = truth_of(Shards.open(self.inputs[f"truth_{name}"]), ids=ids)
        scores = np.full(len(there.image), 0.9, np.float32)
        Detections(
            image=there.image, category=there.category, score=scores, boxes=there.boxes
        ).write(found / "detections.parquet")

    def explained(self) -> dict[str, Any]:
        return json.loads((self.root / "report" / "explained.json").read_text())

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
    drawn = {p.name for p in (world.root / "report" / "pictures").iterdir()}
    assert drawn == {"scenes_worst_000.jpg", "scenes_best_000.jpg"}  # of three with an object


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


def test_novel_is_of_the_first_test_that_shows_a_class_with_labels_only(world: World) -> None:
    world.add("tune", (("fine:owl",),), part="tune")
    world.add("boxed", (("fine:cat", "fine:dog"),))
    world.add("boxed_whole_photo", FINE, control="whole_photo")
    world.add("labelled", (("fine:owl",), ("fine:dog",)))
    world.add("more", (("fine:owl", "fine:owl"), ()))
    world.perfect("labelled")
    metrics, rows = world.score()
    of = {(row["test"], row["class"]): row for row in rows}
    assert of["labelled", "fine:owl"]["AP"] > 0.9 > of["more", "fine:owl"]["AP"]
    for name in ("AP", "AP50", "AP75"):
        assert metrics[f"novel/{name}"] == of["labelled", "fine:owl"][name]
        halves = [of["boxed", class_id][name] for class_id in ("fine:cat", "fine:dog")]
        assert metrics[f"seen/{name}"] == pytest.approx(sum(halves) / 2)


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
    assert names == ["test", "class", "group", "truths", "AP", "AP50", "AP75", "train_boxes",
                     "train_labels", "right", "confused", "missed"]  # fmt: skip
    assert [t["pictures"] for t in world.explained()["tests"]] == [[]]
    assert not (world.root / "report" / "pictures").exists()


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
    assert metrics["seen/AP"] is None, "of the main set, which is bare"
    assert metrics["novel/AP"] == metrics["fine/AP@mine"], "of the first that shows such a class"


def test_what_is_told_agrees_with_the_metrics(world: World) -> None:
    world.train("boxes", (("fine:cat", "fine:dog"), ("fine:cat",)))
    world.train("more", (("fine:cat",),))
    world.add("tune", FINE, part="tune")
    world.add("scenes", FINE)
    metrics, rows = world.score(pets=("fine:cat", "fine:dog"), birds=("fine:owl",))
    first, second = world.explained()["tests"]
    assert (first["test"], second["test"]) == ("scenes", "tune")
    of_set = {row["class"]: row for row in rows if row["test"] == "scenes"}
    boxes = {i: row["train_boxes"] for i, row in of_set.items()}
    assert boxes == {"fine:cat": 3, "fine:dog": 1, "fine:owl": 0, "fine:zebra": 0}
    assert {row["train_labels"] for row in rows} == {0}
    for row in rows:
        assert row["right"] + row["confused"] + row["missed"] == row["truths"]
    by_half = {half["half"]: half for half in first["halves"]}
    assert set(by_half) == {"all", "seen", "novel", "unknown"}
    for half, metric in (("all", "coco"), ("seen", "seen"), ("novel", "novel")):
        for name in ("AP", "AP50", "AP75"):
            assert by_half[half][name] == metrics[f"{metric}/{name}"]
        assert sum(first["curves"][half]) / 101 == pytest.approx(metrics[f"{metric}/AP50"])
    assert by_half["seen"]["classes"] == 2
    assert by_half["seen"]["train_boxes"] == 4
    assert sum(first["shares"].values()) == by_half["all"]["truths"] == 4
    said = pq.read_table(world.root / "report" / "confusion.parquet").to_pylist()
    of_scenes = [row for row in said if row["test"] == "scenes"]
    assert sum(row["count"] for row in of_scenes) == 4
    kinds = {row["class"]: row["kind"] for row in said}
    assert kinds == {"fine:cat": "pets", "fine:dog": "pets", "fine:owl": "birds", "fine:zebra": ""}
    for picture in first["pictures"]:
        assert (world.root / "report" / "pictures" / picture["file"]).is_file()
        assert picture["right"] <= min(picture["objects"], picture["drawn"])


@pytest.mark.parametrize("perfect", [True, False])
def test_pictures_are_drawn_in_the_colours_of_their_verdicts(world: World, perfect: bool) -> None:
    world.add("scenes", FINE)
    found, truth = world.root / "found_scenes", Shards.open(world.inputs["truth_scenes"])
    ids = tuple(json.loads((found / "classes.json").read_text())["ids"])
    ids = (*ids, "fine:zebra")  # now it knows all
    (found / "classes.json").write_text(json.dumps({"version": 1, "ids": ids}))
    there = truth_of(truth, ids=ids)
    said = there.category if perfect else (there.category + 2) % len(ids)
    scores = np.full(len(said), 0.9, np.float32)
    Detections(image=there.image, category=said, score=scores, boxes=there.boxes).write(
        found / "detections.parquet"
    )
    metrics, rows = world.score()
    assert metrics["coco/AP"] == pytest.approx(float(perfect))
    if perfect:
        assert {row["right"] for row in rows} == {1}
    (test,) = world.explained()["tests"]
    for told in test["pictures"]:
        assert told["score"] == float(perfect)
        assert told["right"] == (told["objects"] if perfect else 0)
        with Image.open(world.root / "report" / "pictures" / told["file"]) as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        left, right = pixels[:, : pixels.shape[1] // 2], pixels[:, pixels.shape[1] // 2 :]
        for half, colours in ((left, (GOOD, MISSED)), (right, (GOOD, WRONG))):
            seen = [(np.abs(half - colour).max(2) < 16).sum() for colour in colours]
            assert (seen[0] > 20 * seen[1]) if perfect else (seen[1] > 20 * seen[0])


def test_kinds_come_from_a_table_where_there_is_one(world: World) -> None:
    world.add("scenes", FINE)
    (world.root / "classes.csv").write_text("class,kind,boxed\ncat,mammal,yes\nzebra,mammal,no\n")
    world.inputs["kinds"] = {"table": world.root / "classes.csv"}
    world.score(pets=("fine:cat", "fine:owl"))
    said = pq.read_table(world.root / "report" / "confusion.parquet").to_pylist()
    kinds = {row["class"]: row["kind"] for row in said}
    assert kinds == {"fine:cat": "mammal", "fine:zebra": "mammal", "fine:owl": "pets",
                     "fine:dog": ""}  # fmt: skip
