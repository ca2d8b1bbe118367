import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from components.losses.box_regression import BETA, side_bins_sum, smooth_l1_sum

row = st.tuples(*[st.floats(-3, 3)] * 4, st.floats(0, 2))


@settings(max_examples=30, deadline=None)
@given(st.lists(row, max_size=4), st.sampled_from([BETA, 1.0]))
def test_smooth_l1_is_the_equation(rows, beta) -> None:
    def term(d: float) -> float:
        return 0.5 * d * d / beta if abs(d) < beta else abs(d) - beta / 2

    deltas = torch.tensor([r[:4] for r in rows], dtype=torch.float64).reshape(-1, 4)
    weights = torch.tensor([r[4] for r in rows], dtype=torch.float64)
    wanted = [sum(term(d) for d in r[:4]) for r in rows]
    zero = torch.zeros_like(deltas)
    assert float(smooth_l1_sum(deltas, zero, beta=beta)) == pytest.approx(sum(wanted), abs=1e-9)
    weighted = sum(w * r[4] for w, r in zip(wanted, rows, strict=True))
    found = smooth_l1_sum(deltas, zero, weights_R=weights, beta=beta)
    assert float(found) == pytest.approx(weighted, abs=1e-9)


def test_no_region_costs_nothing() -> None:
    deltas = torch.zeros(0, 4, requires_grad=True)
    smooth_l1_sum(deltas, torch.zeros(0, 4)).backward()
    assert deltas.grad is not None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.integers(2, 5), st.integers(0, 99), st.booleans())
def test_side_bins_are_the_equation(regions: int, bins: int, seed: int, weighted: bool) -> None:
    torch.manual_seed(seed)
    logits, offsets = torch.randn(2, regions, 4, bins, dtype=torch.float64).unbind(0)
    wanted = torch.randn(regions, 4, dtype=torch.float64)
    true, weights = torch.randint(bins, (regions, 4)), torch.rand(regions, dtype=torch.float64)
    chosen = fine = 0.0
    for r in range(regions):
        w = float(weights[r]) if weighted else 1.0
        for s in range(4):
            for k in range(bins):
                p = float(logits[r, s, k].sigmoid())
                chosen -= w * math.log(p if k == true[r, s] else 1 - p)
            d = abs(float(offsets[r, s, true[r, s]] - wanted[r, s]))
            fine += w * (d * d / 0.2 if d < 0.1 else d - 0.05)
    found = side_bins_sum(logits, offsets, true, wanted, weights_R=weights if weighted else None)
    assert [float(v) for v in found] == pytest.approx([chosen, fine], abs=1e-9)


def test_only_the_true_intervals_offset_is_taught() -> None:
    logits, offsets = torch.zeros(1, 4, 3), torch.ones(1, 4, 3, requires_grad=True)
    true = torch.tensor([[0, 1, 2, 1]])
    side_bins_sum(logits, offsets, true, torch.zeros(1, 4))[1].backward()
    assert offsets.grad is not None
    assert offsets.grad[0].count_nonzero(dim=1).tolist() == [1] * 4
    assert bool((offsets.grad[0].gather(1, true[0, :, None]) > 0).all())


def test_certain_intervals_everywhere_are_not_cheap() -> None:
    """By Eq. 3.3 as printed this would cost nothing."""
    true, wanted = torch.zeros(1, 4, dtype=torch.int64), torch.zeros(1, 4)
    all_sure = torch.full((1, 4, 30), 9.0)
    assert float(side_bins_sum(all_sure, torch.zeros_like(all_sure), true, wanted)[0]) > 1000
