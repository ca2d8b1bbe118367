import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.order import Order, generator

SHAPES = {
    "rows": st.integers(1, 700),
    "lanes": st.integers(1, 40),
    "block": st.integers(1, 70),
    "window": st.integers(1, 6),
    "seed": st.integers(-5, 2**40),
}


@settings(max_examples=30, deadline=None)
@given(**SHAPES)
def test_every_row_once_an_epoch(**shape: int) -> None:
    order, rows = Order(**shape), shape["rows"]
    for epoch in range(3):
        seen = order.at(np.arange(epoch * rows, (epoch + 1) * rows))
        assert sorted(seen.tolist()) == list(range(rows))


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, 3000), **SHAPES)
def test_an_order_has_no_memory(start: int, **shape: int) -> None:
    """Reading on from k is reading from the start and skipping k; so is reading backwards."""
    straight = Order(**shape).at(np.arange(3050))
    resumed = Order(**shape)
    np.testing.assert_array_equal(
        resumed.at(np.arange(start, start + 50)), straight[start : start + 50]
    )
    np.testing.assert_array_equal(resumed.at(np.arange(50)), straight[:50])


def test_epochs_seeds_and_sources_differ() -> None:
    order = Order(rows=500, lanes=8, seed=3)
    first, second = order.at(np.arange(500)), order.at(np.arange(500, 1000))
    assert (first != second).mean() > 0.9
    assert (first != Order(rows=500, lanes=8, seed=4).at(np.arange(500))).mean() > 0.9


def test_the_order_is_the_same_in_every_version() -> None:
    """A change here changes which samples a resumed run sees: it must be a decision."""
    assert Order(rows=1000, lanes=4, seed=7).at(np.arange(6)).tolist() == GOLDEN
    assert generator(1, 2).integers(1000) == generator(1, 2).integers(1000)


GOLDEN = [119, 947, 428, 809, 316, 858]


def test_ten_million_rows_cost_little() -> None:
    order = Order(rows=10_000_000, lanes=64, seed=0)
    began = time.perf_counter()
    for step in range(78_000, 78_020):
        assert len(order.at(np.arange(step * 64, (step + 1) * 64))) == 64
    assert time.perf_counter() - began < 2  # s; 20 ms alone on a machine
