from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.labelled import CROWD
from components.eval.confusion import NOTHING, Said, called, shares, table
from tests.components.eval.oracle import iou
from tests.components.eval.test_coco_ap import IDS, case, found_of, truth_of

BOX, NEAR, FAR = [0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]


def slow(truths: list, found: list) -> list[int]:
    """The definition: each detection speaks of one truth; of those that speak, the best score."""
    said: list[tuple[float, int]] = [(-1.0, NOTHING)] * len(truths)
    for image, category, box, score in found:
        here = [j for j, t in enumerate(truths) if t[0] == image and not t[3] & CROWD]
        ranked = [(iou(box, truths[j][2]), truths[j][1] == category, -j) for j in here]
        overlap, _, place = max(ranked, default=(0.0, False, 0))
        if overlap >= 0.5 and np.float32(score) > said[-place][0]:
            said[-place] = (np.float32(score), category)
    return [category for _, category in said]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_what_is_said_is_what_the_definition_gives(seed: int) -> None:
    truths, found = case(seed)
    truth, said = truth_of(truths), called(truth_of(truths), found_of(found))
    assert said.tolist() == slow(truths, found)
    rows = table(truth, said, ids=IDS)
    pairs = Counter(
        (IDS[t[1]], None if s == NOTHING else IDS[s])
        for t, s in zip(truths, slow(truths, found), strict=True)
        if not t[3] & CROWD
    )
    assert {(r.true, r.said): r.count for r in rows} == pairs
    assert [r.count for r in rows] == sorted((r.count for r in rows), reverse=True)
    assert sum(shares(rows, kinds={}).values()) == sum(not t[3] & CROWD for t in truths)


def test_the_best_score_names_an_object_and_what_lies_elsewhere_names_nothing() -> None:
    truths = [(0, 0, BOX, 0), (0, 1, FAR, 0), (1, 2, BOX, 0)]
    found = [(0, 0, BOX, 0.3), (0, 2, NEAR, 0.8), (0, 1, BOX, 0.7), (1, 2, FAR, 0.9)]
    assert called(truth_of(truths), found_of(found)).tolist() == [2, NOTHING, NOTHING]


def test_half_an_overlap_is_enough() -> None:
    truth = truth_of([(0, 0, BOX, 0)])
    assert called(truth, found_of([(0, 1, [0, 0, 10, 5], 0.3)])).tolist() == [1]
    assert called(truth, found_of([(0, 1, [0, 0, 10, 4.9], 0.3)])).tolist() == [NOTHING]


def test_two_objects_in_one_place_are_both_named() -> None:
    truths = [(0, 0, BOX, 0), (0, 1, BOX, 0)]
    found = [(0, 1, BOX, 0.8), (0, 0, BOX, 0.7)]
    assert called(truth_of(truths), found_of(found)).tolist() == [0, 1]


def test_wrong_classes_are_within_a_kind_or_across_kinds() -> None:
    rows = [
        Said(true="a", said="a", count=5),
        Said(true="a", said="b", count=4),
        Said(true="a", said="c", count=3),
        Said(true="d", said="a", count=2),
        Said(true="a", said=None, count=1),
    ]
    kinds = {"a": "cat", "b": "cat", "c": "dog"}
    wanted = {"right": 5, "within": 4, "across": 3, "unsorted": 2, "nothing": 1}
    assert shares(rows, kinds=kinds) == wanted
    assert shares([], kinds=kinds) == dict.fromkeys(wanted, 0)
