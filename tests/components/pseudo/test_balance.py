"""Thresholds and weights of classes: the worked example, their directions, and their bounds."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from components.pseudo.balance import Balance, thresholds, weights
from components.pseudo.certainty import LedgerError, Totals

KNOWN = Totals(certainty=np.array([1000.0, 100, 10, 1, 0]), count=np.full(5, 100))
sure = st.lists(st.floats(0, 1e4), min_size=1, max_size=6)


def test_the_worked_example() -> None:
    free = Balance(lowest=0.001, highest=0.999)
    assert thresholds(KNOWN, free) == pytest.approx(
        [0.785413, 0.7, 0.623876, 0.556030, 0.495562], abs=1e-6
    )
    assert weights(KNOWN, Balance()) == pytest.approx([0.251189, 1, 3.981072, 10, 10], abs=1e-6)
    assert weights(KNOWN, Balance(heaviest=99))[3] == pytest.approx(15.848932, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(sure, st.floats(0.01, 2), st.floats(0.01, 2))
def test_a_rarer_class_has_a_lower_threshold_and_a_larger_weight(
    certainty: list[float], gamma1: float, gamma2: float
) -> None:
    rarest_first = np.sort(certainty)
    totals = Totals(certainty=rarest_first, count=np.full(len(certainty), 50))
    cfg = Balance(gamma1=gamma1, gamma2=gamma2)
    low, heavy = thresholds(totals, cfg), weights(totals, cfg)
    assert bool((np.diff(low) >= 0).all())
    assert bool((np.diff(heavy) <= 0).all())
    assert bool(((low >= cfg.lowest) & (low <= cfg.highest)).all())
    assert bool((heavy <= cfg.heaviest).all())


@settings(max_examples=60, deadline=None)
@given(sure, st.integers(1, 200))
def test_thresholds_and_weights_are_the_equation(certainty: list[float], count: int) -> None:
    cfg = Balance()
    totals = Totals(certainty=np.array(certainty), count=np.full(len(certainty), count))
    for c, low, heavy in zip(certainty, thresholds(totals, cfg), weights(totals, cfg), strict=True):
        ratio = max(c / count, 1e-3)
        assert low == pytest.approx(min(max(ratio**0.05 * 0.7, 0.4), 0.9))
        assert heavy == pytest.approx(min((count / c) ** 0.6 if c else 10, 10))


def test_the_mean_is_over_candidates_and_all_classes_and_not_over_certainty() -> None:
    """A class of mean frequency and of quality below 1 has c / E below 1."""
    totals = Totals(certainty=np.array([60.0, 0]), count=np.array([100, 100]))
    assert thresholds(totals, Balance())[0] == pytest.approx(0.6**0.05 * 0.7)
    assert weights(totals, Balance())[0] == pytest.approx((1 / 0.6) ** 0.6)


def test_exponents_of_0_turn_both_off_whatever_was_found() -> None:
    fixed = Balance(threshold=0.95, gamma1=0, gamma2=0)
    nothing = Totals(certainty=np.zeros(3), count=np.zeros(3, int))
    for totals in (nothing, KNOWN):
        assert set(thresholds(totals, fixed)) == {0.95}  # [.4, .9] bounds what moves
        assert set(weights(totals, fixed)) == {1.0}
    for made_of in (thresholds, weights):
        with pytest.raises(LedgerError, match="got no candidate of 3 classes"):
            made_of(nothing, Balance())
