import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.labelled import CROWD
from components.eval.coco_ap import METRICS, ClassScore, Truth, mean_over, score_classes
from components.eval.detections import Detections
from components.shapes import NotFiniteError
from tests.components.eval.oracle import average_precision

IDS = ("fine:a", "fine:b", "fine:c")
THRESHOLDS = np.linspace(0.5, 0.95, 10)
IMAGES = 4


def truth_of(rows: list[tuple[int, int, list[float], int]], *, images: int = IMAGES) -> Truth:
    return Truth(
        sizes=np.full((images, 2), 40, np.int64),
        image=np.array([r[0] for r in rows], np.int64),
        category=np.array([r[1] for r in rows], np.int64),
        boxes=np.array([r[2] for r in rows], np.float32).reshape(-1, 4),
        flags=np.array([r[3] for r in rows], np.uint8),
    )


def found_of(rows: list[tuple[int, int, list[float], float]]) -> Detections:
    return Detections(
        image=np.array([r[0] for r in rows], np.int64),
        category=np.array([r[1] for r in rows], np.int64),
        score=np.array([r[3] for r in rows], np.float32),
        boxes=np.array([r[2] for r in rows], np.float32).reshape(-1, 4),
    )


def by_hand(truths: list, found: list, k: int) -> np.ndarray:
    of_class = [{"image": i, "box": b, "crowd": bool(f & CROWD)} for i, c, b, f in truths if c == k]
    said = [{"image": i, "box": b, "score": float(np.float32(s))} for i, c, b, s in found if c == k]
    return np.array([average_precision(of_class, said, threshold=t) for t in THRESHOLDS])


def case(seed: int) -> tuple[list, list]:
    """Whole coordinates and few scores: equal overlaps and equal scores are common."""
    rng = np.random.default_rng(seed)

    def box() -> list[float]:
        x, y = rng.integers(0, 20, 2).tolist()
        w, h = rng.integers(4, 18, 2).tolist()
        return [x, y, x + w, y + h]

    classes = int(rng.integers(1, 4))  # the last classes may have no truth
    truths = [
        (int(rng.integers(IMAGES)), int(rng.integers(classes)), box(),
         CROWD if rng.random() < 0.2 else 0)
        for _ in range(rng.integers(0, 9))
    ]  # fmt: skip
    found = []
    for _ in range(rng.integers(0, 25)):
        image, category, place = int(rng.integers(IMAGES)), int(rng.integers(3)), box()
        if truths and rng.random() < 0.7:
            image, category, near, _ = truths[rng.integers(len(truths))]
            place = [v + int(d) for v, d in zip(near, rng.integers(-1, 2, 4), strict=True)]
        found.append((image, category, place, float(rng.integers(1, 8)) / 8))
    return truths, found


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_ap_is_what_the_definition_gives(seed: int) -> None:
    truths, found = case(seed)
    scores = score_classes(truth_of(truths), found_of(found), ids=IDS)
    assert tuple(scores) == IDS
    for k, class_id in enumerate(IDS):
        wanted = by_hand(truths, found, k)
        score = scores[class_id]
        assert score.truths == sum(c == k and not f & CROWD for _, c, _, f in truths)
        ours = (score.AP, score.AP50, score.AP75)
        theirs = (wanted.mean(), wanted[0], wanted[5])
        assert ours == pytest.approx(theirs, abs=1e-12, nan_ok=True)


def no_number(means: dict[str, float]) -> bool:
    return tuple(means) == METRICS and all(math.isnan(value) for value in means.values())


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("place", ["score", "box"])
def test_what_is_not_finite_is_refused(number: float, place: str) -> None:
    row = (0, 0, [0, 0, 10, number if place == "box" else 10], 0.5 if place == "box" else number)
    with pytest.raises(NotFiniteError, match=f"detections, {place}.*: not finite; got .* 1 times"):
        score_classes(truth_of([]), found_of([row]), ids=IDS)


def test_no_detections_are_zero_and_no_truth_is_nothing() -> None:
    truth = truth_of([(0, 0, [0, 0, 10, 10], 0), (1, 1, [0, 0, 10, 10], CROWD)])
    scores = score_classes(truth, found_of([]), ids=IDS)
    assert scores["fine:a"] == ClassScore(truths=1, AP=0.0, AP50=0.0, AP75=0.0)
    assert math.isnan(scores["fine:b"].AP)  # a crowd alone is no object
    assert mean_over(scores) == {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}
    assert no_number(mean_over(scores, ["fine:b", "fine:c", "fine:never"]))


def test_a_set_without_any_truth_or_picture_has_no_score() -> None:
    found = found_of([(0, 0, [0, 0, 10, 10], 0.9)])
    for truth, said in ((truth_of([]), found), (truth_of([], images=0), found_of([]))):
        scores = score_classes(truth, said, ids=IDS)
        assert [score.truths for score in scores.values()] == [0, 0, 0]
        assert no_number(mean_over(scores))
    assert score_classes(truth_of([]), found_of([]), ids=()) == {}


def test_a_picture_without_a_box_counts_what_is_found_in_it_as_wrong() -> None:
    truths = [(0, 0, [0, 0, 10, 10], 0)]
    right = (0, 0, [0, 0, 10, 10], 0.5)
    alone = score_classes(truth_of(truths), found_of([right]), ids=IDS)
    beside = score_classes(truth_of(truths), found_of([right, (3, 0, [5, 5, 9, 9], 0.9)]), ids=IDS)
    aps = [made["fine:a"].AP50 for made in (alone, beside)]
    assert aps == pytest.approx([1, 0.5])


def test_a_mean_is_over_classes_with_truth_only() -> None:
    scores = {
        "fine:a": ClassScore(truths=1, AP=0.2, AP50=0.4, AP75=0.0),
        "fine:b": ClassScore(truths=9, AP=0.4, AP50=0.8, AP75=0.5),
        "fine:c": ClassScore(truths=0, AP=math.nan, AP50=math.nan, AP75=math.nan),
    }
    assert mean_over(scores) == pytest.approx({"AP": 0.3, "AP50": 0.6, "AP75": 0.25})
    assert mean_over(scores, ["fine:b", "fine:c"])["AP"] == 0.4
