import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.data.shards import Shards
from components.data.stream import plain_batches
from components.data.views import PlainView
from components.eval.infer import Found, infer, truth_of
from components.models.choices import Small
from components.models.scores import UnknownClassError
from components.models.two_stage import Detector, build
from components.vocab.classes import Vocabulary
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


MANY = tuple(f"fine:{name}" for name in ("boar", "cat", "cow", "dog", "fox", "hare", "owl"))


@pytest.fixture(scope="module")
def opinionated() -> Detector:
    """One class with boxes only, one with both, six with labels only; and scores far apart."""
    made = build(
        Small(), boxed=Vocabulary.of(MANY[:2]), labelled=Vocabulary.of(MANY[1:]), seed=3
    ).eval()
    with torch.no_grad():
        for row in (made.scores.boxed, made.scores.labelled):
            row.weight.mul_(60)
    return made


def score_by_hand(
    detector: Detector, pictures: Shards, row: int, *, task: str, classes: str
) -> dict[str, list[float]]:
    """Eq. 4-5 region by region, as printed; S-hat alone for localization and the control."""
    (batch,) = (
        b
        for b in plain_batches(
            pictures, view=PlainView(size=SIZE, pad_to=detector.row.pad_to), size=1
        )
        if int(b.row[0]) == row
    )
    (regions,) = detector.regions(batch)
    logits = detector.classify(batch)[0].tolist()
    whole = [math.exp(v) / sum(math.exp(w) for w in logits) for v in logits]
    made: dict[str, list[float]] = {class_id: [] for class_id in MANY}
    for p, foreground in enumerate(regions.foreground.tolist()):
        for k, class_id in enumerate(MANY):
            s = regions.boxed[p, k].item() if k < 2 else None
            s_hat = None if k == 0 else regions.labelled[p, k - 1].item()
            if k and classes == "whole_photo":
                s_hat = whole[k - 1]
            if s_hat is None:
                score = s
            elif s is None or task == "localization" or classes == "whole_photo":
                score = s_hat
            else:
                score = s ** (2 / 3) * s_hat ** (1 / 3)
            made[class_id].append(foreground * score)
    return made


@pytest.mark.parametrize("task", ["scenes", "localization"])
@pytest.mark.parametrize("classes", ["regions", "whole_photo"])
def test_scores_are_those_of_the_equations(
    pictures: Shards, opinionated: Detector, task: Any, classes: Any
) -> None:
    found = infer(
        opinionated,
        pictures,
        ids=MANY,
        size=SIZE,
        batch=2,
        top=10_000,
        floor=0.0,
        task=task,
        classes=classes,
        say=lambda n: None,
    )
    for row, names in enumerate(TRUE):
        wanted = score_by_hand(opinionated, pictures, row, task=task, classes=classes)
        peaks = [max(wanted[class_id]) for class_id in MANY]
        here = found.detections.where(found.detections.image == row)
        best = [here.score[here.category == k].max() for k in range(len(MANY))]
        assert best == pytest.approx(peaks, rel=1e-4)  # suppression never takes a class's best
        if task == "scenes":
            continue
        five = found.best.where(found.best.image == row)
        assert len(set(five.category.tolist())) == 5
        assert five.score == pytest.approx(sorted(peaks)[:-6:-1], rel=1e-4)
        assert five.score == pytest.approx([peaks[k] for k in five.category], rel=1e-4)
        given = found.given.where(found.given.image == row)
        true = sorted(MANY.index(name) for name in set(names) if name in MANY)
        assert given.category.tolist() == true
        assert given.score == pytest.approx([peaks[k] for k in true], rel=1e-4)


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
