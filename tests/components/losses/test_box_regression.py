import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from components.losses.box_regression import BETA, smooth_l1_sum

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
