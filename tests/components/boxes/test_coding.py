import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from components.boxes.coding import LONGEST, WEIGHTS, decode, encode

side = st.floats(1, 100)
box = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], side, side, side, side)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(box, box), min_size=1, max_size=4))
def test_decode_undoes_encode(pairs) -> None:
    truth, start = (torch.tensor(rows, dtype=torch.float64) for rows in zip(*pairs, strict=True))
    shifts = encode(truth, start)
    known = (shifts[:, 2:] / 5).abs().max() < LONGEST
    assert not known or torch.allclose(decode(shifts, start), truth, atol=1e-6)


@pytest.mark.parametrize("weights", [WEIGHTS, (1.0, 1.0, 1.0, 1.0)])
def test_encode_is_the_equation(weights) -> None:
    truth, start = [2.0, 4, 12, 24], [0.0, 0, 20, 10]
    x, y, w, h = 10, 5, 20, 10
    wanted = [(7 - x) / w, (14 - y) / h, math.log(10 / w), math.log(20 / h)]
    found = encode(torch.tensor([truth]), torch.tensor([start]), weights=weights)[0]
    assert found.tolist() == pytest.approx(
        [v * k for v, k in zip(wanted, weights, strict=True)], rel=1e-5
    )


def test_a_huge_delta_stays_finite_and_nothing_stays_nothing() -> None:
    assert decode(torch.full((1, 4), 1e6), torch.tensor([[0.0, 0, 4, 4]])).isfinite().all()
    assert encode(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)
    assert decode(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)
