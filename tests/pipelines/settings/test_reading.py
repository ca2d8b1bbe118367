"""What is read: the values of a page, overrides over them, and every problem in one error."""

import copy
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.settings.problems import Problem, SettingsError
from pipelines.settings.reading import choose, flatten, plain, read, read_page
from pipelines.settings.yaml_door import load_yaml, parse
from tests.pipelines.settings.example import PAGE, Deep, Example, Small, Stage

EXPECTED = Example(
    recipe="example",
    backbone=Deep(depth=50),
    many=(Small(), Deep()),
    stage2=Stage(steps=300, lr=2e-3, sizes=(32, 48)),
    groups={"striped": ("fine:red striped carp",)},
)


def _read(text: str, *overrides: str) -> Example:
    return read_page(parse(text, file="page.yaml"), overrides, schema=Example)[0]


def test_a_page_becomes_settings(tmp_path: Path) -> None:
    (tmp_path / "page.yaml").write_text(PAGE)
    made, values = read(tmp_path / "page.yaml", [], schema=Example)
    assert made == EXPECTED
    assert values == load_yaml(tmp_path / "page.yaml").values


@pytest.mark.parametrize(
    ("given_text", "wanted"),
    [("1", 1.0), ("1e-3", 1e-3), ("1E-3", 1e-3), (".5", 0.5), ("1.0e-1", 0.1), ("+5e-1", 0.5)],
)
def test_a_number_may_be_written_in_any_way(given_text: str, wanted: float) -> None:
    made = _read(PAGE.replace("2e-3", given_text)).stage2.lr
    assert type(made) is float
    assert made == wanted


@pytest.mark.parametrize("word", ["no", "off", "False", "false"])
def test_a_truth_value_may_be_written_in_any_way(word: str) -> None:
    assert _read(PAGE, f"stage2.flip={word}").stage2.flip is False


def test_null_where_it_may_be() -> None:
    assert _read(PAGE + "stage1: null\n").stage1 is None
    assert _read(PAGE + "stage1: {steps: 5}\n", "stage1=null").stage1 is None


def test_overrides_give_what_editing_gives() -> None:
    edited = PAGE.replace("300", "50").replace("depth: 50", "depth: 18").replace("48]", "64]")
    assert _read(PAGE, "stage2.steps=50", "backbone.depth=18", "stage2.sizes.1=64") == _read(edited)
    whole = "{kind: small, width: 5}"
    assert _read(PAGE, f"backbone={whole}") == replace(EXPECTED, backbone=Small(width=5))
    assert _read(PAGE, "many.0.width=7").many == (Small(width=7), Deep())
    assert _read(PAGE, "places.here.width=3").places == {"here": Small(width=3)}
    assert _read(PAGE, "name=a=b").name == "a=b"
    assert _read(PAGE, 'name="no"').name == "no"


def test_overrides_leave_the_page_alone() -> None:
    page = parse(PAGE, file="page.yaml")
    before = repr(page.values)
    read_page(page, ["stage2.sizes.0=1"], schema=Example)
    assert repr(page.values) == before


def test_only_the_chosen_branch_complains() -> None:
    with pytest.raises(SettingsError, match=r"backbone\.depth") as caught:
        _read(PAGE.replace("depth: 50", "depth: 51"))
    assert len(caught.value.problems) == 1


def test_a_problem_says_where_it_came_from() -> None:
    with pytest.raises(SettingsError, match="command line") as caught:
        _read(PAGE.replace("300", "0"), "stage2.lr=5")
    assert [p.where for p in caught.value.problems] == [
        "stage2.steps (line 5)",
        "stage2.lr (command line)",
    ]


def test_the_row_a_page_names_is_chosen() -> None:
    page = parse(PAGE, file="page.yaml")
    assert choose(page, [], key="recipe", table={"example": 1, "other": 2}) == 1
    assert choose(page, ["recipe=other"], key="recipe", table={"example": 1, "other": 2}) == 2
    with pytest.raises(SettingsError, match="Did you mean 'example'"):
        choose(page, ["recipe=exampel"], key="recipe", table={"example": 1})
    with pytest.raises(SettingsError, match="required"):
        choose(parse("a: 1", file="p"), [], key="recipe", table={"example": 1})


def test_settings_as_plain_values_read_back_the_same() -> None:
    import yaml

    text = yaml.safe_dump(plain(EXPECTED))
    assert _read(text) == EXPECTED
    assert flatten(EXPECTED)["stage2.sizes"] == [32, 48]
    assert flatten(EXPECTED)["many.1.kind"] == "deep"


def test_an_error_crosses_processes() -> None:
    error = SettingsError([Problem(where="a", what="b", got="c", do="D.")], file="f.yaml")
    again = copy.copy(error)  # by __reduce__, as pickle does
    assert str(again) == str(error)
    assert again.problems == error.problems


def test_control_characters_are_shown() -> None:
    text = str(Problem(where="a", what="b", got="\x1b[31m\u202e", do=""))
    assert text == "a: b; got \\x1b[31m\\u202e."


def test_a_told_problem_reads_the_same() -> None:
    text = "stage2.lr: expected a number; got 'x'. Change it."
    assert str(Problem.told(text)) == text
    assert str(Problem.told("It broke. Try again.")) == "It broke. Try again."


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        _read(text)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=30), st.integers(0, 3))
def test_any_override_is_read_or_refused(text: str, form: int) -> None:
    with suppress(SettingsError):
        _read(PAGE, (text, f"{text}=1", f"name={text}", f"stage2.{text}=1")[form])
