"""What sets cannot do for each other is said before anything starts, all of it."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.data.drawn.world import World, boxed_classes
from components.data.readers import Coco, Csv
from components.models.choices import Stage2
from pipelines.recipes import page_settings
from pipelines.recipes.joint_checks import problems
from pipelines.recipes.joint_settings import JointConfig
from pipelines.recipes.page_settings import (
    Drawn,
    DrawnPart,
    Evaluate,
    Source,
    Sources,
    Tracking,
)
from tests.components.data.small_sets import jpeg

NAMES = ("cat", "dog")


def _coco(root: Path, name: str, *, boxes: int = 3, side: float = 20, names: tuple = NAMES) -> Coco:
    """Write three pictures with `boxes` boxes in all; the third picture's file is written too."""
    for i in range(3):
        jpeg(root / f"{i}.jpg")
    found = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 48} for i in range(3)],
        "categories": [{"id": i, "name": n} for i, n in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": i % 3, "category_id": i % 2, "bbox": [1, 1, side, side]}
            for i in range(boxes)
        ],
    }
    (root / f"{name}.json").write_text(json.dumps(found))
    return Coco(annotations=f"{name}.json", images=".", level="coarse")


def _csv(root: Path, *rows: tuple[str, str]) -> Csv:
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "labels"), *rows])
    return Csv(table="labels.csv", images=".", level="fine")


def _config(boxes: Source, labels: Source, test: Source, **more: object) -> JointConfig:
    sources = Sources(
        boxes=(boxes,),
        labels=(labels,),
        test=(page_settings.Test(name="t", source=test),),
        allow_overlap=True,  # these sets are of the same pictures
    )
    return JointConfig(recipe="joint", sources=sources, **{"stage2": Stage2(), **more})


def _said(cfg: JointConfig, root: Path) -> str:
    return "\n".join(map(str, problems(cfg, root)))


def test_sets_that_fit_are_no_problem(tmp_path: Path) -> None:
    boxes = _coco(tmp_path, "boxes")
    cfg = _config(boxes, _csv(tmp_path, ("0.jpg", "tabby")), boxes)
    assert problems(cfg, tmp_path) == []


def test_sets_without_anything_to_learn_from_or_to_score_by(tmp_path: Path) -> None:
    none = _coco(tmp_path, "none", boxes=0)
    said = _said(_config(none, _csv(tmp_path, ("0.jpg", "")), none), tmp_path)
    assert "sources.boxes: no box to learn from" in said
    assert "sources.labels: no image label to learn from" in said
    assert "sources.test.0.source: no box to score by" in said


def test_a_test_set_of_other_classes_and_a_group_of_unknown_ones(tmp_path: Path) -> None:
    boxes, other = _coco(tmp_path, "boxes"), _coco(tmp_path, "other", names=("cats", "dogs"))
    cfg = _config(
        boxes, _csv(tmp_path, ("0.jpg", "tabby")), other,
        evaluate=Evaluate(groups={"pets": ("coarse:cat",), "none": ()}),
    )  # fmt: skip
    said = _said(cfg, tmp_path)
    assert "none of its classes is learnt by anything; got 'coarse:cats' and 1 more" in said
    assert "evaluate.groups.pets: no test set has boxes of this class; got 'coarse:cat'" in said
    assert "evaluate.groups.none: no class in it" in said


def test_pictures_that_are_not_there_are_counted_and_each_path_is_said_once(tmp_path: Path) -> None:
    boxes = _coco(tmp_path, "boxes")
    (tmp_path / "1.jpg").unlink()
    said = _said(_config(boxes, _csv(tmp_path, ("0.jpg", "tabby")), boxes), tmp_path)
    assert said.count("1 of 3 listed pictures are not there; got 1.jpg") == 1
    assert said.startswith("sources.boxes.0, sources.test.0.source: ")


def test_boxes_in_shares_of_a_side_are_told_from_pixels(tmp_path: Path) -> None:
    boxes = _coco(tmp_path, "boxes", boxes=6, side=0.4)
    said = _said(_config(boxes, _csv(tmp_path, ("0.jpg", "tabby")), boxes), tmp_path)
    assert "boxes.json: all 6 boxes are smaller than a pixel" in said


@pytest.mark.parametrize(
    ("part", "world", "said"),
    [
        ("unlabelled", {}, "no box to score by"),
        ("train_photos", {}, "these pictures are trained on too"),
        ("test_scenes", {"test_scenes": 0}, "no box to score by"),
        ("test_scenes", {}, ""),
    ],
)
def test_parts_of_the_drawn_world(part: DrawnPart, world: dict, said: str, tmp_path: Path) -> None:
    cfg = _config(
        Drawn(part="train_scenes"), Drawn(part="train_photos"), Drawn(part=part),
        draw=World(**world),
    )  # fmt: skip
    found = _said(cfg, tmp_path)
    assert said in found
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("tracking", "said"),
    [
        (Tracking(uri="htp://x y"), "tracking.uri: no tracking server or database"),
        (Tracking(uri="xyz"), "tracking.uri: no tracking server or database"),
        (Tracking(experiment=" "), "tracking.experiment: a name is needed"),
        (Tracking(uri="http://me:secret@host"), "a password must not stand in a config"),
        (Tracking(kind="none", uri="xyz"), ""),
        (Tracking(uri="http://127.0.0.1:5000"), ""),
    ],
)
def test_places_of_tracking(tracking: Tracking, said: str, tmp_path: Path) -> None:
    boxes = _coco(tmp_path, "boxes")
    cfg = _config(boxes, _csv(tmp_path, ("0.jpg", "tabby")), boxes, tracking=tracking)
    found = _said(cfg, tmp_path)
    assert said in found
    assert bool(found) == bool(said)
    assert "secret" not in found


def test_classes_that_are_drawn_are_learnt_and_scored_as_those_of_files(tmp_path: Path) -> None:
    """The one verdict, over sources of both sorts."""
    names = ("no such thing", boxed_classes(World())[0].name)
    files = replace(_coco(tmp_path, "test", names=names), level="fine")
    cfg = _config(
        Drawn(part="train_scenes"), Drawn(part="train_photos"), files, draw=World(test_scenes=5)
    )
    (problem,) = problems(cfg, tmp_path)
    assert problem.where == "sources.test.0.source, 0.jpg"
    assert problem.what == "a class that is not in any source for training"
    assert problem.got == "'no such thing'"
    boxes, labels = _coco(tmp_path, "boxes"), _csv(tmp_path, ("0.jpg", "tabby"))
    cfg = _config(boxes, labels, Drawn(part="test_scenes"), draw=World())
    (problem,) = problems(cfg, tmp_path)
    assert problem.what == "none of its classes is learnt by anything"


def test_a_class_that_is_only_named_is_a_warning(tmp_path: Path) -> None:
    boxes = _coco(tmp_path, "boxes", boxes=1)  # of the first of two classes
    cfg = _config(boxes, _csv(tmp_path, ("0.jpg", "tabby")), _coco(tmp_path, "test"))
    (warning,) = problems(cfg, tmp_path)
    assert not warning.grave
    assert "a class without a sample for training; got 'coarse:dog'" in str(warning)


def test_classes_of_labels_that_nothing_is_trained_on_are_warned_of(tmp_path: Path) -> None:
    """Training on boxes alone is an arm to compare with: its lost classes are no mistake."""
    cfg = _config(
        Drawn(part="train_scenes"), Drawn(part="train_photos"), Drawn(part="test_scenes"),
        draw=World(), stage2=Stage2(photos=0, image_weight=0),
    )  # fmt: skip
    found = problems(cfg, tmp_path)
    assert not [problem for problem in found if problem.grave]
    assert len(found) == 6
    assert str(found[-1]) == "sources: 45 more of this kind. `vocabox data check` counts them."
