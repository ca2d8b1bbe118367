"""Every setting is told: none is forgotten, its default is true, and the page is the code's."""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from components.models.choices import Stage1, Stage2
from pipelines.recipes.joint_settings import JointConfig
from pipelines.recipes.page_settings import Evaluate, Tracking
from pipelines.recipes.table import RECIPES
from pipelines.settings.field_comments import field_comments
from pipelines.settings.reading import read_page
from pipelines.settings.reference import REQUIRED, as_markdown, default_text
from pipelines.settings.yaml_door import Page

PAGE = Path(__file__).parents[3] / "configs" / "SETTINGS.md"
SCHEMAS = [recipe.schema for recipe in RECIPES.values()]
SOURCE = {"kind": "drawn", "part": "train_scenes"}
SOURCES = {"boxes": [SOURCE], "labels": [SOURCE], "test": [{"name": "a", "source": SOURCE}]}
VALUES = {"recipe": "joint", "sources": SOURCES, "stage1": {}, "stage2": {}}


def test_the_page_of_settings_is_what_the_code_says(write_golden: bool) -> None:
    text = as_markdown(*SCHEMAS)
    if write_golden:
        PAGE.write_text(text)
    assert text == PAGE.read_text(), "run pytest --write-golden and look at configs/SETTINGS.md"


def test_every_setting_says_what_it_means() -> None:
    silent = re.findall(r"^\| (`\w+`) .*\|\s*\|$", as_markdown(*SCHEMAS), re.MULTILINE)
    assert silent == [], "write a comment beside the field"


def test_a_default_that_is_told_is_the_one_that_is_read() -> None:
    page = Page(file="", text="", values=VALUES)
    left_out = read_page(page, [], schema=JointConfig)[0]
    sections = {"stage1": Stage1, "stage2": Stage2, "evaluate": Evaluate, "tracking": Tracking}
    told = [
        f"{section}.{item.name}={default_text(item)}"
        for section, cls in sections.items()
        for item in dataclasses.fields(cls)
    ]
    assert len(told) > 35
    assert read_page(page, told, schema=JointConfig)[0] == left_out


@dataclass(frozen=True, kw_only=True, slots=True)
class Plain:
    """A way without numbers.

    More of it.
    """

    kind: Literal["plain"] = "plain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Steep:
    """A way with one."""

    kind: Literal["steep"] = "steep"
    by: float = 1e6  # how | much
    name: str = "a: b"


@dataclass(frozen=True, kw_only=True, slots=True)
class Top:
    """All of it."""

    way: Plain | Steep = field(default_factory=lambda: Steep(by=0.5))  # which
    ways: tuple[Plain | Steep, ...] = ()
    by_name: dict[str, Plain] = field(default_factory=dict)


def test_a_dataclass_has_one_table_under_all_its_names() -> None:
    text = as_markdown(Top)
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert heads == [
        "The page",
        "`way`, `ways.N`, `by_name.NAME` of kind plain",
        "`way`, `ways.N` of kind steep",
    ]
    assert "\nA way without numbers.\n" in text
    assert "| `by` | a number | 1000000 | how \\| much |" in text
    assert "| `kind` | steep | required |" in text


def test_a_default_is_written_as_a_page_would_be() -> None:
    texts = {item.name: default_text(item) for cls in (Top, Steep) for item in dataclasses.fields(cls)}  # fmt: skip # noqa: E501
    assert texts["kind"] == REQUIRED
    assert yaml.safe_load(texts["way"]) == {"kind": "steep", "by": 0.5}
    assert yaml.safe_load(texts["name"]) == "a: b"
    assert (texts["ways"], texts["by_name"]) == ("[]", "{}")


class Commented:
    """Fields as our dataclasses write them."""

    a: int = 1  # beside
    b: int = 2  # beside
    # and below
    # it
    c: tuple[int, ...] = (
        3,  # inside
    )

    # of nobody: a line stands between
    d: int = 4  # pyright: ignore
    e: int = 5
    # alone


def test_the_comment_of_a_field_stands_beside_it() -> None:
    assert field_comments(Commented) == {"a": "beside", "b": "beside and below it", "c": "inside"}
