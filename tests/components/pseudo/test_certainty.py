"""Ledgers of parts are the ledger of the whole, however they meet; nothing counts twice."""

from dataclasses import fields, replace
from functools import reduce
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from components.pseudo.certainty import Ledger, LedgerError
from components.shapes import NotFiniteError, ShapeError

CLASSES = 4
Seen = dict[int, list[tuple[int, float, float]]]
found = st.tuples(st.integers(0, CLASSES - 1), st.floats(0, 1), st.floats(0, 1))
pictures = st.dictionaries(st.integers(0, 40), st.lists(found, max_size=5), max_size=8)


def ledger(seen: Seen, **other: Any) -> Ledger:
    rows = [(row, *one) for row, ones in seen.items() for one in ones]
    columns = [np.array([r[i] for r in rows], float) for i in range(4)]
    return Ledger.observed(
        of="set", classes=CLASSES, pictures=np.array([*seen], int),
        picture=columns[0].astype(int), category=columns[1].astype(int),
        score=columns[2], quality=columns[3], **other,
    )  # fmt: skip


def same(a: Ledger, b: Ledger) -> bool:
    """Say whether two ledgers are equal to the last bit."""
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(np.array_equal(x, y) for x, y in pairs)


@settings(max_examples=100, deadline=None)
@given(pictures, st.lists(st.integers(0, 2), min_size=41, max_size=41), st.permutations(range(3)))
def test_parts_merge_to_the_whole_in_any_order(
    seen: Seen, share: list[int], order: list[int]
) -> None:
    parts = [ledger({r: f for r, f in seen.items() if share[r] == i}) for i in range(3)]
    whole, (a, b, c) = ledger(seen), (parts[i] for i in order)
    for merged in (a.merge(b).merge(c), a.merge(b.merge(c)), reduce(Ledger.merge, [c, b, a])):
        assert same(merged, whole)
    again = whole.merge(parts[0]).merge(whole)  # a shard that was redone
    assert same(again, whole)
    assert again.totals().certainty.tolist() == whole.totals().certainty.tolist()


@settings(max_examples=60, deadline=None)
@given(pictures)
def test_totals_are_the_sums_of_the_equation(seen: Seen) -> None:
    certainty, count = [0.0] * CLASSES, [0] * CLASSES
    for ones in seen.values():
        for category, p, v in ones:
            certainty[category] += p * v
            count[category] += 1
    totals = ledger(seen).totals()
    assert totals.certainty.tolist() == pytest.approx(certainty, abs=1e-12)
    assert totals.count.tolist() == count


def test_what_does_not_belong_together_is_refused() -> None:
    one = ledger({1: [(0, 0.5, 0.5)]})
    for other in (replace(one, of="another"), replace(one, classes=5)):
        with pytest.raises(LedgerError, match="parts of one labelling merge"):
            one.merge(other)
    for changed in ({1: [(0, 0.5, 0.6)]}, {1: [(2, 0.5, 0.5)]}, {1: []}):
        with pytest.raises(LedgerError, match="what is found in a picture is found again"):
            one.merge(ledger(changed))


def test_bad_columns_are_refused() -> None:
    empty = np.zeros(0, int)
    columns = {"pictures": np.array([1]), "picture": np.array([1]), "category": np.array([0]),
               "score": np.array([0.5]), "quality": np.array([0.5])}  # fmt: skip
    cases: list[tuple[str, Any, type[ValueError], str]] = [
        ("picture", np.array([2]), LedgerError, "got picture 2, which is none of the 1"),
        ("category", np.array([4]), LedgerError, "categories 0 to 3; got 4"),
        ("category", np.array([-1]), LedgerError, "categories 0 to 3; got -1"),
        ("score", np.array([np.nan]), NotFiniteError, "not finite"),
        ("quality", empty, ShapeError, "quality: expected shape"),
    ]
    for name, value, kind, text in cases:
        with pytest.raises(kind, match=text):
            Ledger.observed(of="s", classes=CLASSES, **{**columns, name: value})
