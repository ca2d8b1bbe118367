import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.eval.coco_ap import mean_over, score_classes
from components.eval.precision_recall import few_classes, mean_curve
from tests.components.eval.oracle import iou
from tests.components.eval.test_coco_ap import IDS, case, found_of, truth_of


def by_definition(truths: list, found: list, k: int) -> list[float] | None:
    """Precision at 101 recalls of one class without crowds: rank all, match greedily, IoU .5."""
    objects = [(i, b) for i, c, b, _ in truths if c == k]
    if not objects:
        return None
    said = [(np.float32(s), i, b) for i, c, b, s in found if c == k]
    said.sort(key=lambda d: (-d[0], d[1]))  # stable: pictures in order, then as given
    free, right, points = set(range(len(objects))), 0, []
    for rank, (_, image, box) in enumerate(said, 1):
        fits = [(iou(box, objects[j][1]), j) for j in free if objects[j][0] == image]
        overlap, best = max(fits, default=(0.0, -1))
        if overlap >= 0.5:
            free.remove(best)
            right += 1
        points.append((right / len(objects), right / rank))
    return [
        max((p for r, p in points if r >= wanted), default=0.0) for wanted in np.linspace(0, 1, 101)
    ]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_curve_is_what_the_definition_gives_and_its_mean_is_ap50(seed: int) -> None:
    truths, found = case(seed)
    truths = [(*row[:3], 0) for row in truths]  # no crowds
    scores = score_classes(truth_of(truths), found_of(found), ids=IDS)
    wanted = [by_definition(truths, found, k) for k in range(len(IDS))]
    for class_id, curve in zip(IDS, wanted, strict=True):
        assert scores[class_id].precision50 == pytest.approx(curve or (), abs=1e-12)
    there = [curve for curve in wanted if curve]
    drawn = mean_curve(scores)
    assert drawn == pytest.approx(np.mean(there, 0) if there else (), abs=1e-12)
    if there:
        assert np.mean(drawn) == pytest.approx(mean_over(scores)["AP50"], abs=1e-12)
    assert mean_curve(scores, [IDS[1], "fine:never"]) == pytest.approx(wanted[1] or (), abs=1e-12)


def test_no_detection_is_a_line_at_zero_and_no_truth_is_no_line() -> None:
    scores = score_classes(truth_of([(0, 0, [0, 0, 9, 9], 0)]), found_of([]), ids=IDS)
    assert mean_curve(scores) == (0.0,) * 101
    assert mean_curve(scores, ["fine:b"]) == ()


def test_few_classes_go_from_the_best_to_the_worst() -> None:
    ids = tuple(f"c{i}" for i in range(9))
    truths = [(i, i, [0, 0, 10, 10], 0) for i in range(8)]  # c8 has none
    found = [(i, i, [0, 0, 10, 10], 0.5) for i in range(3)]
    scores = score_classes(truth_of(truths, images=8), found_of(found), ids=ids)
    assert few_classes(scores, most=3) == ("c0", "c4", "c7")
    assert few_classes(scores, most=99) == ids[:8]
    assert few_classes({}, most=3) == ()
