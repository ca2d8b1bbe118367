"""Label splits: published sizes, the properties of ours, and files that do not fit."""

import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from components.data.label_splits import (
    Candidate,
    Indexed,
    Published,
    Seeded,
    Split,
    SplitError,
    labelled_rows,
)

COCO = 118_287  # pictures of train2017
NOWHERE = Path()


def pictures(n: int) -> list[Candidate]:
    return [Candidate(name=f"{i:06}.jpg", source_id=str(i), annotated=i % 3 > 0) for i in range(n)]


@pytest.mark.parametrize(
    ("percent", "stac", "soft"),
    [(1, 1174, 1182), (2, 2329, 2365), (5, 5764, 5914), (10, 11285, 11828)],
)
def test_the_sizes_of_the_published_splits(percent: int, stac: int, soft: int) -> None:
    one = Candidate(name="", source_id="", annotated=True)
    of = [one] * COCO  # only their number counts
    drawn = labelled_rows(Published(kind="stac", percent=percent, fold=1), of, root=NOWHERE)
    assert len(drawn) == len(set(drawn.tolist())) == stac
    drawn = labelled_rows(Published(kind="soft_teacher", percent=percent, fold=1), of, root=NOWHERE)
    assert len(drawn) == len(set(drawn.tolist())) == soft


def test_the_draws_are_numpys_of_that_time() -> None:
    np.random.seed(3)
    wanted = np.random.choice(range(200), int(0.05 * 200))
    split = Published(kind="stac", percent=5, fold=3)
    found = labelled_rows(split, pictures(200), root=NOWHERE)
    assert found.tolist() == sorted({*wanted.tolist()})


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.floats(0.1, 70), st.floats(0.1, 28), st.integers(0, 9), st.data())
def test_a_larger_share_holds_a_smaller_one_in_whatever_order(
    n: int, small: float, more: float, seed: int, data: st.DataObject
) -> None:
    of = pictures(n)
    mixed = data.draw(st.permutations(of))

    def names(percent: float, listed: list[Candidate]) -> set[str]:
        split = Seeded(percent=percent, seed=seed)
        return {listed[i].name for i in labelled_rows(split, listed, root=NOWHERE)}

    try:
        few, many = names(small, of), names(small + more, mixed)
    except SplitError:
        assert round((small + more) / 100 * n) == n
        return
    assert few <= many
    assert len(few) == max(1, round(small / 100 * n))
    assert few == names(small, mixed)


def test_another_seed_is_another_share() -> None:
    shares = [labelled_rows(Seeded(percent=5, seed=s), pictures(400), root=NOWHERE) for s in (0, 1)]
    assert len(shares[0]) == 20
    assert not np.array_equal(*shares)


def test_indices_count_the_annotated_by_ascending_id(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text(json.dumps({"10.0": {"1": [0, 2, 2]}}))
    ids = ["30", "4", "20", "100", "5"]
    of = [Candidate(name=i, source_id=i, annotated=i != "5") for i in ids]
    found = labelled_rows(Indexed(percent=10, fold=1, file="seeds.txt"), of, root=tmp_path)
    assert [ids[i] for i in found] == ["30", "4"]  # 4, 20, 30, 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "not a list of indices; got it is no file"),
        ("[[[", "not a list of indices; got "),
        ("[" * 100_000, "not a list of indices; got "),
        ("[1]", "got none for 10.0 %, fold 1. It has no percent"),
        ('{"1.0": {"1": [0]}}', "It has 1.0."),
        ('{"10.0": {"1": [99]}}', "indices below 20, the number of pictures with boxes"),
        ('{"10.0": {"1": [true]}}', "indices below 20"),
        ('{"10.0": {"1": [-1]}}', "indices below 20"),
        ('{"10.0": {"1": "0"}}', "indices below 20"),
        ('{"10.0": {"1": []}}', "got 0 of 30"),
    ],
)
def test_a_file_of_indices_that_does_not_fit(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "seeds.txt").write_text(text)
    with pytest.raises(SplitError) as found:
        labelled_rows(Indexed(percent=10, fold=1, file="seeds.txt"), pictures(30), root=tmp_path)
    assert said in str(found.value)


@pytest.mark.parametrize("split", [Seeded(percent=99.9), Published(kind="soft_teacher", percent=1)])
def test_both_sides_need_a_picture(split: Split) -> None:
    with pytest.raises(SplitError, match="some pictures keep their labels and some do not"):
        labelled_rows(split, pictures(20), root=NOWHERE)


def test_names_that_are_no_numbers_have_no_published_order(tmp_path: Path) -> None:
    of = [Candidate(name="a", source_id="a", annotated=True)] * 3
    with pytest.raises(SplitError, match="by ascending numeric id; got 'a'"):
        labelled_rows(Indexed(percent=10, file="x"), of, root=tmp_path)
