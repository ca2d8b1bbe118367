import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from components.losses.classification import (
    sigmoid_sum,
    soft_softmax_sum,
    soft_targets,
    softmax_sum,
)

number = st.floats(-5, 5)


def _log_softmax(row: list[float], i: int) -> float:
    return row[i] - math.log(sum(math.exp(v) for v in row))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(number, number, number, st.integers(0, 2), st.floats(0, 2)), max_size=4))
def test_softmax_sum_is_the_equation(rows) -> None:
    logits = torch.tensor([r[:3] for r in rows], dtype=torch.float64).reshape(-1, 3)
    labels = torch.tensor([r[3] for r in rows], dtype=torch.int64)
    weights = torch.tensor([r[4] for r in rows], dtype=torch.float64)
    wanted = [-_log_softmax(list(r[:3]), r[3]) for r in rows]
    assert float(softmax_sum(logits, labels)) == pytest.approx(sum(wanted), abs=1e-9)
    weighted = sum(w * r[4] for w, r in zip(wanted, rows, strict=True))
    assert float(softmax_sum(logits, labels, weights_R=weights)) == pytest.approx(
        weighted, abs=1e-9
    )


def test_the_worked_example_of_foreground_and_class() -> None:
    foreground = torch.tensor([0.0, 2.0, -1.0])
    classes = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    total = sigmoid_sum(foreground, torch.tensor([1, 1, 0])) + softmax_sum(
        classes, torch.tensor([0, 1])
    )
    assert float(total) / 3 == pytest.approx(0.586620, abs=1e-6)


def test_several_labels_share_one() -> None:
    owners = torch.tensor([0, 0, 2])
    target = soft_targets(torch.tensor([1, 3, 0]), owners, rows=3, classes=4)
    assert target.tolist() == [[0, 0.5, 0, 0.5], [0, 0, 0, 0], [1, 0, 0, 0]]
    logits = [[0.3, -1.0, 2.0, 0.5]]
    wanted = -(_log_softmax(logits[0], 1) + _log_softmax(logits[0], 3)) / 2
    assert float(soft_softmax_sum(torch.tensor(logits), target[:1])) == pytest.approx(wanted, 1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(number, st.floats(0, 1)), max_size=5))
def test_sigmoid_sum_is_the_equation(rows) -> None:
    def term(x: float, t: float) -> float:
        p = 1 / (1 + math.exp(-x))
        return -t * math.log(p) - (1 - t) * math.log(1 - p)

    x, t = (torch.tensor([r[i] for r in rows], dtype=torch.float64) for i in (0, 1))
    assert float(sigmoid_sum(x, t)) == pytest.approx(sum(term(*r) for r in rows), abs=1e-9)


def test_nothing_costs_nothing_and_still_has_a_gradient() -> None:
    logits = torch.zeros(0, 3, requires_grad=True)
    softmax_sum(logits, torch.zeros(0, dtype=torch.int64)).backward()
    assert logits.grad is not None
