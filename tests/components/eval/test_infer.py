from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.data.shards import Shards
from components.eval.infer import Found, infer, truth_of
from components.models.scores import UnknownClassError
from tests.components.eval.small_world import SIZE, detector, shards

FINE = ("fine:cat", "fine:dog", "fine:owl")
TRUE = (("fine:dog",), ("fine:cat", "fine:zebra"), (), ("fine:owl", "fine:owl"), ("fine:zebra",))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return shards(tmp_path_factory.mktemp("set"), TRUE)


def run(pictures: Shards, **how: Any) -> Found:
    given = {"ids": FINE, "batch": 2, "task": "scenes", "classes": "regions", "top": 30} | how
    return infer(detector(), pictures, size=SIZE, floor=1e-4, say=lambda n: None, **given)


def test_the_size_of_a_batch_changes_nothing(pictures: Shards) -> None:
    one, two = (run(pictures, batch=n, task="localization") for n in (1, 5))
    for part in ("detections", "best", "given"):
        a, b = getattr(one, part), getattr(two, part)
        assert len(a) > 0
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.category, b.category)
        np.testing.assert_allclose(a.score, b.score, rtol=1e-4)
        np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-2)


def test_boxes_lie_in_their_pictures_and_the_best_come_first(pictures: Shards) -> None:
    found = run(pictures).detections
    assert set(found.image.tolist()) == set(range(len(TRUE)))
    for row in range(len(TRUE)):
        here = found.where(found.image == row)
        width, height = pictures.size(row)
        assert 0 < len(here) <= 30
        assert here.boxes.min() >= -1e-3
        assert (here.boxes[:, [0, 2]] <= width + 1e-3).all()
        assert (here.boxes[:, [1, 3]] <= height + 1e-3).all()
        assert (here.boxes[:, 2:] > here.boxes[:, :2]).all()
        assert (np.diff(here.score) <= 0).all()
    # the long side of the shown picture is the picture's own, and boxes reach across it
    assert found.boxes[:, 2].max() > SIZE


def test_localization_keeps_one_box_of_each_class(pictures: Shards) -> None:
    found = run(pictures, task="localization")
    assert len(found.best) == len(TRUE) * len(FINE)
    asked = [(i, FINE.index(c)) for i, names in enumerate(TRUE) for c in sorted(set(names))
             if c in FINE]  # fmt: skip
    made = list(zip(found.given.image.tolist(), found.given.category.tolist(), strict=True))
    assert made == asked
    assert not len(run(pictures).best)


def test_progress_is_told(pictures: Shards) -> None:
    told: list[int] = []
    infer(
        detector(),
        pictures,
        ids=FINE,
        size=SIZE,
        batch=2,
        top=5,
        floor=1e-4,
        task="scenes",
        classes="whole_photo",
        say=told.append,
    )
    assert told == [2, 4, 5]


@pytest.mark.parametrize("task", ["scenes", "localization"])
def test_no_class_asked_for_finds_nothing(pictures: Shards, task: str) -> None:
    found = run(pictures, ids=(), task=task)
    assert [len(found.detections), len(found.best), len(found.given)] == [0, 0, 0]
    assert found.detections.boxes.shape == (0, 4)


def test_a_class_the_detector_never_met_is_refused(pictures: Shards) -> None:
    with pytest.raises(UnknownClassError, match="fine:zebra"):
        run(pictures, ids=(*FINE, "fine:zebra"))


def test_truth_has_the_positions_of_the_classes_asked_for(pictures: Shards) -> None:
    truth = truth_of(pictures, ids=("fine:owl", "fine:cat"))
    assert truth.sizes.tolist() == [list(pictures.size(i)) for i in range(len(TRUE))]
    assert truth.image.tolist() == [1, 3, 3]
    assert truth.category.tolist() == [1, 0, 0]
    assert truth.boxes[0].tolist() == [2, 3, 43, 56]


def test_a_set_without_boxes_has_pictures_but_no_truth(tmp_path: Path) -> None:
    truth = truth_of(shards(tmp_path, ((), ())), ids=FINE)
    assert truth.sizes.shape == (2, 2)
    assert truth.boxes.shape == (0, 4)
