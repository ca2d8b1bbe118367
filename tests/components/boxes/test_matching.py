import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from components.boxes.geometry import overlap
from components.boxes.matching import LEFT_OUT, NEGATIVE, Rule, key, match, match_nearest, sample

TRUTHS = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])


def _row(x: float) -> list[float]:
    return [x, 0, x + 10, 10]  # IoU with the first truth: (10 - x) / (10 + x)


def test_thresholds_leave_a_gap_that_is_left_out() -> None:
    rule = Rule(positive=0.6, negative=0.3)
    found = match(torch.tensor([_row(1), _row(4), _row(8)]), TRUTHS, rule=rule)
    assert found.tolist() == [0, LEFT_OUT, NEGATIVE]  # .82, .43, .11


def test_a_truth_without_a_candidate_takes_its_best() -> None:
    rule = Rule(positive=0.6, negative=0.3, best_counts=True)
    found = match(torch.tensor([_row(4), _row(8)]), TRUTHS, rule=rule)
    assert found.tolist() == [0, NEGATIVE]
    apart = match(torch.tensor([[50.0, 50, 60, 60]]), TRUTHS, rule=rule)
    assert apart.tolist() == [NEGATIVE]  # an overlap of 0 is nobody's best


@pytest.mark.parametrize("candidates", [0, 3])
def test_no_truth_is_all_negative_and_no_candidate_is_nothing(candidates: int) -> None:
    rule = Rule(positive=0.5, negative=0.5, best_counts=True)
    found = match(torch.zeros(candidates, 4), torch.zeros(0, 4), rule=rule)
    assert found.tolist() == [NEGATIVE] * candidates
    assert match(torch.zeros(0, 4), TRUTHS, rule=rule).tolist() == []


def test_inside_an_ignored_region_nothing_is_negative() -> None:
    rule = Rule(positive=0.5, negative=0.5)
    boxes = torch.tensor([_row(0), [40.0, 40, 50, 50], [90, 90, 99, 99]])
    crowd = torch.tensor([[35.0, 35, 60, 60], [0, 0, 12, 12]])
    found = match(boxes, TRUTHS, rule=rule, ignored_I4=crowd)
    assert found.tolist() == [0, LEFT_OUT, NEGATIVE]  # an object stays one


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0, 1, NEGATIVE, LEFT_OUT]), max_size=60), st.integers(0, 40))
def test_a_sample_is_balanced_without_doubles(matched, size) -> None:
    state = torch.random.get_rng_state()
    yes, no = sample(torch.tensor(matched), size=size, positive=0.5, seed=3)
    objects = sum(m >= 0 for m in matched)
    others = sum(m == NEGATIVE for m in matched)
    assert len(yes) == min(objects, size // 2)
    assert len(no) == min(others, size - len(yes))
    drawn = [*yes.tolist(), *no.tolist()]
    assert len(set(drawn)) == len(drawn)
    assert all(matched[i] >= 0 for i in yes)
    assert all(matched[i] == NEGATIVE for i in no)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_draw_depends_on_seed_step_row_and_purpose_only() -> None:
    keys = {key(s, t, r, purpose=p) for s in (0, 1) for t in (0, 1) for r in (0, 1) for p in (0, 1)}
    assert len(keys) == 16
    assert all(0 <= k < 2**63 for k in keys)
    assert key(-1, 0, 2**62) != key(-2, 0, 2**62)
    assert key(1, 2, 3) == 1199828886691468642  # numbers written down: a change is a new experiment
    many = torch.full((100,), NEGATIVE)
    draws = [sample(many, size=10, positive=0.5, seed=key(0, t, 5))[1] for t in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_each_truth_takes_its_nearest_candidates() -> None:
    boxes = torch.tensor([_row(x) for x in (1, 3, 5, 7)] + [[20.0, 20, 30, 30], [50, 50, 60, 60]])
    assert match_nearest(boxes, TRUTHS, most=2).tolist() == [0, 0, NEGATIVE, NEGATIVE, 1, NEGATIVE]
    found = match_nearest(boxes, TRUTHS, most=99)
    assert found.tolist() == [0, 0, 0, 0, 1, NEGATIVE]  # an overlap of 0 is nobody's


def test_a_tiny_truth_takes_no_candidate_it_does_not_touch() -> None:
    boxes = torch.cat([torch.tensor([[0.0, 0, 16, 16]]), torch.rand(50, 4) + 40])
    boxes[1:, 2:] += 20
    found = match_nearest(boxes, torch.tensor([[4.0, 4, 6, 6]]), most=30)
    assert found.tolist() == [0] + [NEGATIVE] * 50


def test_a_candidate_of_several_truths_belongs_to_the_one_it_overlaps_most_once() -> None:
    same = torch.tensor([[0.0, 0, 10, 10]] * 2)
    assert match_nearest(torch.tensor([_row(1), _row(4)]), same, most=2).tolist() == [0, 0]
    near = torch.tensor([_row(0.0), _row(6.0)])
    assert match_nearest(torch.tensor([_row(2.0), _row(4.0)]), near, most=2).tolist() == [0, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.integers(0, 12), st.integers(1, 5), st.integers(0, 99))
def test_nearest_is_the_algorithm(truths: int, candidates: int, most: int, seed: int) -> None:
    torch.manual_seed(seed)
    corners = torch.rand(truths + candidates, 2) * 20
    boxes = torch.cat([corners, corners + 2 + torch.rand(truths + candidates, 2) * 18], 1)
    truth, found = boxes[:truths], boxes[truths:]
    iou = overlap(found, truth)
    wanted: list[int] = []
    chosen = [
        {p for p in sorted(range(candidates), key=lambda p: -iou[p, t])[:most] if iou[p, t] > 0}
        for t in range(truths)
    ]
    for p in range(candidates):
        of = [t for t in range(truths) if p in chosen[t]]
        wanted.append(max(of, key=lambda t: iou[p, t]) if of else NEGATIVE)
    assert match_nearest(found, truth, most=most).tolist() == wanted


def test_inside_an_ignored_region_nothing_that_is_not_near_is_negative() -> None:
    boxes = torch.tensor([_row(0), [40.0, 40, 50, 50], [90, 90, 99, 99]])
    crowd = torch.tensor([[35.0, 35, 60, 60], [0, 0, 12, 12]])
    found = match_nearest(boxes, TRUTHS[:1], most=1, ignored_I4=crowd)
    assert found.tolist() == [0, LEFT_OUT, NEGATIVE]
