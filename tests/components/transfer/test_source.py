import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from components.transfer.source import SourceError, SourceWeights, check, shared, standardise
from components.vocab.classes import Vocabulary, VocabularyError


def slow_standard(rows: list[list[float]]) -> list[list[float]]:
    """Section 3: (v - mean(v)) / deviation(v) for each channel v, K - 1 in the deviation."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    made = []
    for column in columns:
        mean = sum(column) / len(column)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in column) / (len(column) - 1))
        made.append([(v - mean) / deviation if deviation else 0.0 for v in column])
    return [list(row) for row in zip(*made, strict=True)]


def test_the_example_is_per_channel_and_of_k_minus_one() -> None:
    """Trap 2: per row, or with K, gives other numbers."""
    weight = torch.tensor([[1.0, 10], [3, 10], [5, 40]])
    found = standardise(weight).apply(weight)
    wanted = torch.tensor([[-1, -0.57735], [0, -0.57735], [1, 1.154701]])
    assert torch.allclose(found, wanted, atol=1e-6)


def test_a_constant_channel_becomes_0_and_not_nan() -> None:
    weight = torch.tensor([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]])
    assert standardise(weight).apply(weight)[:, 0].tolist() == [0, 0, 0]
    assert standardise(torch.ones(1, 3)).apply(torch.ones(1, 3)).tolist() == [[0, 0, 0]]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6).flatmap(
    lambda d: st.lists(st.lists(st.integers(-50, 50).map(float), min_size=d, max_size=d),
                       min_size=2, max_size=7)))  # fmt: skip
def test_standardise_is_the_equation(rows: list[list[float]]) -> None:
    weight = torch.tensor(rows)
    found = standardise(weight).apply(weight)
    assert torch.allclose(found, torch.tensor(slow_standard(rows)), atol=1e-4)


def test_a_scale_of_a_channel_is_taken_away() -> None:
    weight = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    stretched = weight * torch.tensor([1.0, 30, 0.01, 5]) + torch.tensor([0.0, 3, -7, 1])
    ours, theirs = standardise(weight).apply(weight), standardise(stretched).apply(stretched)
    assert torch.allclose(ours, theirs, atol=1e-3)


def vocabulary(*ids: str) -> Vocabulary:
    return Vocabulary(ids=ids, names=tuple(i.split(":")[-1] for i in ids))


def source(weight: Tensor, bias: Tensor | None = None) -> SourceWeights:
    return SourceWeights(vocabulary=vocabulary("a", "b", "c"), weight=weight, bias=bias)


def good() -> Tensor:
    return torch.tensor([[1.0, 2, 3], [4, 5, 7], [0, 1, 0]])


def test_good_rows_pass() -> None:
    check(source(good()), where="w")
    check(source(good(), torch.zeros(3)), where="w")


@pytest.mark.parametrize(
    ("weight", "bias", "words"),
    [
        (good()[:2], None, r"one row a class; got rows \[2, 3\] for 3 classes"),
        (good()[0], None, r"one row a class; got rows \[3\]"),
        (good(), torch.zeros(4), r"one bias a class; got \[4\] for 3"),
        (good() * torch.tensor([1, math.nan, 1]), None, "NaN or infinity 3 times"),
        (good() * torch.tensor([[1], [math.inf], [1]]), None, "3 times, first at class 'b'"),
        (good(), torch.tensor([0, 0, math.nan]), "biases are finite; .* first at class 'c'"),
        (good() * torch.tensor([1, 0, 1]), None, "1 of 3 channels .* got channel 1, always 0"),
        (good() * 0 + 0.1, None, "3 of 3 channels .* got channel 0, always 0.1"),
        (good().double(), None, "rows are float32; got float64"),
        (good().half(), None, "rows are float32; got float16"),
        (good()[:, :0], None, "two classes or more"),
    ],
)
def test_bad_rows_are_refused(weight: Tensor, bias: Tensor | None, words: str) -> None:
    with pytest.raises(SourceError, match=f"w: .*{words}"):
        check(source(weight, bias), where="w")


def test_a_class_twice_is_no_vocabulary() -> None:
    with pytest.raises(VocabularyError, match="each class id once; got 'a' twice"):
        vocabulary("a", "b", "a")


def test_shared_is_the_row_of_each_boxed_class() -> None:
    """Trap 7: rows are counted from 0; there is no background among them."""
    there = vocabulary("fine:cat", "fine:dog", "fine:emu", "fine:fox")
    found = shared(there, vocabulary("fine:fox", "fine:owl", "fine:cat"))
    assert found.tolist() == [3, -1, 0]
    assert found.dtype == torch.int64
    assert there.ids[found[0]] == "fine:fox"


def test_no_shared_class_is_refused() -> None:
    with pytest.raises(SourceError, match="no boxed class is among its 2 classes; got boxes of x"):
        shared(vocabulary("a", "b"), vocabulary("x"))


def test_a_class_under_two_ids_is_refused() -> None:
    with pytest.raises(SourceError, match="'coarse:dog' here and 'fine:dog' there"):
        shared(vocabulary("fine:dog", "fine:cat"), vocabulary("fine:cat", "coarse:dog"))


def test_a_name_that_is_met_by_its_id_may_have_another() -> None:
    both = vocabulary("coarse:dog", "fine:dog")
    assert shared(vocabulary("fine:cat", "fine:dog"), both).tolist() == [-1, 1]
    cranes = Vocabulary(ids=("n1", "n2"), names=("crane", "crane"))
    assert shared(cranes, cranes).tolist() == [0, 1]
    with pytest.raises(SourceError, match="'crane' here and 'n1' there"):
        shared(cranes, vocabulary("crane"))
