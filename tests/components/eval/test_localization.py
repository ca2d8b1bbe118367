import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.labelled import CROWD
from components.eval.coco_ap import Truth
from components.eval.detections import Detections
from components.eval.localization import Localized, localization, paired_iou
from components.shapes import NotFiniteError
from tests.components.eval.oracle import iou
from tests.components.eval.test_coco_ap import found_of, truth_of

RIGHT, WRONG = [0.0, 0.0, 20.0, 20.0], [22.0, 22.0, 40.0, 40.0]
NONE = found_of([])


def share(name: str, truths: list, **found: list) -> float:
    parts = {n: found_of(found.get(n, [])) for n in ("best", "given", "detections")}
    return localization(truth_of(truths, images=1), Localized(**parts))[f"loc/{name}"]


def test_the_two_readings_of_top5_differ() -> None:
    """The right class is third of the classes, but its best box is the seventh of all boxes."""
    truths = [(0, 4, RIGHT, 0)]
    best = [(0, 0, WRONG, 0.9), (0, 1, WRONG, 0.8), (0, 4, RIGHT, 0.2), (0, 2, WRONG, 0.1)]
    boxes = [(0, k, WRONG, s) for k in (0, 1) for s in (0.9, 0.8, 0.7)] + [(0, 4, RIGHT, 0.2)]
    assert share("top5_classes", truths, best=best, detections=boxes) == 1
    assert share("top5_boxes", truths, best=best, detections=boxes) == 0
    assert share("top1", truths, best=best, detections=boxes) == 0


def test_five_boxes_of_one_class_can_hold_what_the_best_box_of_it_misses() -> None:
    truths = [(0, 4, RIGHT, 0)]
    best = [(0, 4, WRONG, 0.9)]
    boxes = [(0, 4, WRONG, 0.9), (0, 4, RIGHT, 0.5)]
    assert share("top5_classes", truths, best=best, detections=boxes) == 0
    assert share("top5_boxes", truths, best=best, detections=boxes) == 1
    assert share("class_top1", truths, best=best, detections=boxes) == 1


def test_half_is_not_enough() -> None:
    truths = [(0, 0, [0, 0, 20, 20], 0)]
    for width, enough in ((10, 0), (10.5, 1)):
        best = [(0, 0, [0, 0, width, 20], 0.9)]
        assert share("top1", truths, best=best) == enough
        assert share("gt_known", truths, given=best) == enough


def test_the_fixed_box_is_the_middle_of_the_picture() -> None:
    """Of a 40 px picture: from 6 to 34, 784 px^2; and the picture itself, 1600 px^2."""
    assert share("fixed_box", [(0, 2, [6, 6, 34, 34], 0)]) == 1
    assert share("fixed_box", [(0, 2, [6, 6, 34, 20], 0)]) == 0  # exactly a half
    assert share("fixed_box", [(0, 2, [6, 6, 34, 20.5], 0)]) == 1
    assert share("whole_image", [(0, 2, [0, 0, 40, 20], 0)]) == 0
    assert share("whole_image", [(0, 2, [0, 0, 40, 20.5], 0)]) == 1


def test_a_wide_picture_has_wide_fixed_boxes() -> None:
    """Of 100 x 20 px: the middle is (15, 3, 85, 17)."""
    for box, name in (([15, 3, 85, 17], "fixed_box"), ([0, 0, 100, 20], "whole_image")):
        truth = replace(truth_of([(0, 1, box, 0)], images=1), sizes=np.array([[100, 20]]))
        made = localization(truth, Localized(best=NONE, given=NONE, detections=NONE))
        assert made[f"loc/{name}"] == 1


def test_the_sixth_is_none_of_the_five_best() -> None:
    truths = [(0, 5, RIGHT, 0)]
    ranked = [(0, k, RIGHT, 0.9 - k / 10) for k in range(6)]
    for name, part in (("top5_classes", "best"), ("top5_boxes", "detections")):
        assert share(name, truths, **{part: ranked}) == 0
        assert share(name, truths, **{part: ranked[1:]}) == 1


def test_one_true_box_of_the_class_is_enough_and_a_crowd_is_none() -> None:
    best = [(0, 1, RIGHT, 0.9)]
    assert share("top1", [(0, 1, WRONG, 0), (0, 1, RIGHT, 0)], best=best) == 1
    assert share("top1", [(0, 2, RIGHT, 0)], best=best) == 0
    assert share("top1", [(0, 1, RIGHT, CROWD)], best=best) == 0
    assert share("class_top1", [(0, 1, RIGHT, CROWD)], best=best) == 0


def test_nothing_found_is_zero_and_no_picture_is_nothing() -> None:
    assert share("top1", [(0, 0, RIGHT, 0)]) == 0
    assert share("top1", []) == 0
    empty = Localized(best=found_of([]), given=found_of([]), detections=found_of([]))
    nothing = localization(truth_of([], images=0), empty)
    assert len(nothing) == 7
    assert all(math.isnan(value) for value in nothing.values())


@pytest.mark.parametrize("part", ["best", "given", "detections"])
def test_a_score_that_is_no_number_is_refused(part: str) -> None:
    said = dict.fromkeys(("best", "given", "detections"), found_of([(0, 0, RIGHT, 0.5)]))
    said[part] = found_of([(0, 0, RIGHT, math.nan)])
    with pytest.raises(NotFiniteError, match="detections, scores: not finite; got"):
        localization(truth_of([(0, 0, RIGHT, 0)]), Localized(**said))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_shares_are_what_loops_give(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def boxes(n: int) -> list[list[float]]:
        corner, sides = rng.integers(0, 12, (n, 2)), rng.integers(3, 20, (n, 2))
        return np.concatenate([corner, corner + sides], 1).tolist()

    truths = [(int(rng.integers(6)), int(rng.integers(3)), b, 0) for b in boxes(8)]
    rows = [
        (int(rng.integers(6)), int(rng.integers(3)), b, float(s))
        for b, s in zip(boxes(40), rng.permutation(40) / 40, strict=True)
    ]
    found = found_of(rows)
    made = localization(
        truth_of(truths, images=6), Localized(best=found, given=found, detections=found)
    )
    for name, top in (("top1", 1), ("top5_boxes", 5), ("gt_known", 40)):
        hits = 0
        for image in range(6):
            first = sorted((r for r in rows if r[0] == image), key=lambda r: -r[3])[:top]
            hits += any(
                c == k and iou(b, t) > 0.5
                for _, c, b, _ in first
                for i, k, t, _ in truths
                if i == image
            )
        assert made[f"loc/{name}"] == hits / 6


def test_pairs_overlap_by_what_the_definition_gives() -> None:
    a = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [1, 1, 1, 1]], np.float32)
    b = np.array([[1, 0, 3, 2], [2, 0, 4, 2], [1, 1, 1, 1]], np.float32)
    assert paired_iou(a, b) == pytest.approx([1 / 3, 0, 0])


def test_ten_thousand_pictures_take_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    images, each = 10_000, 100
    corners = rng.random((images * each, 2)) * 20
    found = Detections(
        image=np.repeat(np.arange(images), each),
        category=rng.integers(0, 1000, images * each),
        score=rng.random(images * each).astype(np.float32),
        boxes=np.concatenate([corners, corners + 15], 1).astype(np.float32),
    )
    truth = Truth(
        sizes=np.full((images, 2), 40, np.int64),
        image=np.arange(images),
        category=rng.integers(0, 1000, images),
        boxes=np.tile(np.float32([10, 10, 25, 25]), (images, 1)),
        flags=np.zeros(images, np.uint8),
    )
    best = found.where(np.arange(len(found)) % 20 == 0)
    start = time.process_time()
    localization(truth, Localized(best=best, given=best, detections=found))
    assert time.process_time() - start < 1
