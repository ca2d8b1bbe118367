import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.sources.label_problems import (
    SHOWN,
    DataError,
    few,
    file_problems,
    outside_problem,
    place_problem,
    text_problem,
)
from tests.pipelines.settings.nobody import nobody


def test_an_error_crosses_processes_with_all_its_problems() -> None:
    error = pickle.loads(pickle.dumps(DataError(["a: x.", "b: y."])))  # noqa: TID251
    assert error.problems == ("a: x.", "b: y.")
    assert str(error) == "a: x.\nb: y."


def test_files_that_cannot_be_used_are_named_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    found = file_problems(
        {
            "annotations": tmp_path / "folder",
            "images": tmp_path / "empty",
            "table": tmp_path / "empty",
            "more": tmp_path / "gone",
        }
    )
    words = ["expected a file; got a folder", "expected a folder; got a file", "the file is empty",
             "nothing is there"]  # fmt: skip
    assert len(found) == len(words)
    assert all(word in str(line) for word, line in zip(words, found, strict=True))


def test_a_file_without_rights_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)
    with nobody(tmp_path):  # root may read everything
        found = file_problems({"table": tmp_path / "a"})
    assert "may not be read" in str(found[0])


def test_many_problems_are_counted() -> None:
    lines = [f"line {i}" for i in range(SHOWN + 5)]
    assert few(lines[:SHOWN], of="x") == lines[:SHOWN]
    assert few(lines, of="x") == [*lines[:SHOWN], "x: 5 more of this kind."]


@pytest.mark.parametrize("name", ["a.jpg", "b/c d.jpg", "..a/b.jpg", "\u00e9.jpg"])
def test_a_name_under_the_folder_is_fine(name: str) -> None:
    assert place_problem(name, "here") is None


@pytest.mark.parametrize("name", ["/a.jpg", "../a", "a/../b", "a\\b", "a\0"])
def test_B41_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    assert str(place_problem(name, "here")).startswith("here: a picture must lie under its folder")


def test_half_a_character_is_refused() -> None:
    assert str(place_problem("\udc80.jpg", "here")).startswith("here: a name is not Unicode")
    assert text_problem("caf\u00e9", "here") is None


BOX = st.tuples(*[st.floats(-20, 60, width=32)] * 4)


@given(BOX, st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_B34_a_box_is_outside_when_it_shares_nothing_with_its_picture(
    ends: tuple[float, ...], width: int, height: int
) -> None:
    """A box without area lies in its picture when its points do; its edge belongs to it."""
    x1, x2 = sorted(ends[:2])
    y1, y2 = sorted(ends[2:])
    shared = True
    for low, high, side in ((x1, x2, width), (y1, y2, height)):
        inside = [max(low, 0.0), min(high, float(side))]
        shared &= inside[0] < inside[1] or (low == high and inside[0] == inside[1])
    problem = outside_problem((x1, y1, x2, y2), (width, height), "here")
    assert (problem is None) == shared
