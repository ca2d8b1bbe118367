import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.labelled import CROWD
from components.eval.verdicts import Verdicts, judge, picture_scores, worst_and_best
from tests.components.eval.oracle import average_precision, iou
from tests.components.eval.test_coco_ap import IDS, IMAGES, case, found_of, truth_of


def slow_judge(truths: list, found: list) -> tuple[list, list]:
    match, ignored = [-1] * len(found), [False] * len(found)
    for d in sorted(range(len(found)), key=lambda d: -np.float32(found[d][3])):
        image, category, box, _ = found[d]
        here = [j for j, t in enumerate(truths) if t[:2] == (image, category)]
        single = [j for j in here if not truths[j][3] & CROWD and j not in match]
        overlap, best = max(((iou(box, truths[j][2]), j) for j in single), default=(0.0, -1))
        if overlap >= 0.5:
            match[d] = best
        else:
            crowds = [truths[j][2] for j in here if truths[j][3] & CROWD]
            ignored[d] = any(iou(box, crowd, crowd=True) >= 0.5 for crowd in crowds)
    return match, ignored


def slow_score(truths: list, found: list, verdicts: tuple[list, list], image: int) -> float:
    match, ignored = verdicts
    objects = sum(t[0] == image and not t[3] & CROWD for t in truths)
    mine = [d for d in range(len(found)) if found[d][0] == image and not ignored[d]]
    mine.sort(key=lambda d: -np.float32(found[d][3]))
    hits = [match[d] >= 0 for d in mine]
    gained = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits)) if hits[k]]
    return sum(gained) / objects if objects else float("nan")


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_verdicts_and_scores_are_what_the_definition_gives(seed: int) -> None:
    truths, found = case(seed)
    made, wanted = judge(truth_of(truths), found_of(found)), slow_judge(truths, found)
    assert (made.match.tolist(), made.ignored.tolist()) == wanted
    scores = picture_scores(truth_of(truths), found_of(found), made)
    slow = [slow_score(truths, found, wanted, image) for image in range(IMAGES)]
    assert scores == pytest.approx(slow, abs=1e-12, nan_ok=True)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_right_detections_give_the_ap_of_the_metric(seed: int) -> None:
    truths, found = case(seed)
    made = judge(truth_of(truths), found_of(found))
    for k in range(len(IDS)):
        objects = [t for t in truths if t[1] == k]
        singles = sum(not t[3] & CROWD for t in objects)
        wanted = average_precision(
            [{"image": i, "box": b, "crowd": bool(f & CROWD)} for i, _, b, f in objects],
            [{"image": i, "box": b, "score": np.float32(s)} for i, c, b, s in found if c == k],
            threshold=0.5,
        )
        if not singles:
            continue
        mine = [d for d in range(len(found)) if found[d][1] == k and not made.ignored[d]]
        mine.sort(key=lambda d: (-np.float32(found[d][3]), found[d][0]))
        hits = made.right[mine].cumsum()
        curve = [(hit / singles, hit / n) for n, hit in enumerate(hits.tolist(), 1)]
        at = [max((p for r, p in curve if r >= x), default=0.0) for x in np.linspace(0, 1, 101)]
        assert np.mean(at) == pytest.approx(wanted, abs=1e-12)


def test_a_picture_is_as_good_as_the_ranks_of_what_it_shows() -> None:
    box, far = [0, 0, 10, 10], [20, 20, 30, 30]
    truths = [(0, 0, box, 0), (0, 1, far, 0), (1, 0, box, 0)]
    found = [(0, 2, far, 0.9), (0, 0, box, 0.8), (0, 1, far, 0.7), (1, 1, box, 0.6)]
    made = judge(truth_of(truths), found_of(found))
    scores = picture_scores(truth_of(truths), found_of(found), made)
    assert scores[:2] == pytest.approx([(1 / 2 + 2 / 3) / 2, 0])
    assert np.isnan(scores[2:]).all()


def test_worst_and_best_never_share_a_picture() -> None:
    truths = [(i, 0, [0, 0, 9, 9], 0) for i in (0, 1, 1, 2, 3)]
    scores = np.array([0.5, 0.5, 0.0, 1.0])
    truth = truth_of(truths)
    assert worst_and_best(scores, truth, most=1) == ([2], [3])
    assert worst_and_best(scores, truth, most=9) == ([2, 0], [3, 1])
    assert worst_and_best(np.array([np.nan, 0.2, np.nan, np.nan]), truth, most=3) == ([], [1])
    assert worst_and_best(np.full(4, np.nan), truth, most=3) == ([], [])


def test_nothing_is_no_failure() -> None:
    made = judge(truth_of([], images=0), found_of([]))
    assert isinstance(made, Verdicts)
    assert len(picture_scores(truth_of([], images=0), found_of([]), made)) == 0
    none = judge(truth_of([(0, 0, [0, 0, 9, 9], 0)]), found_of([]))
    assert picture_scores(truth_of([(0, 0, [0, 0, 9, 9], 0)]), found_of([]), none)[0] == 0
