"""Every setting is told: none is forgotten, its default is true, and the page is the code's."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from pipelines.recipes.joint_settings import JointConfig
from pipelines.settings.field_comments import field_comments
from pipelines.settings.problems import SettingsError
from pipelines.settings.reading import choose, flatten, read_page
from pipelines.settings.reference import Setting, select, settings_of
from pipelines.settings.reference_forms import as_markdown, as_text
from pipelines.settings.yaml_door import Page, load_yaml
from tests.pipelines.cli.small import call
from tests.pipelines.settings.golden import same

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "configs" / "SETTINGS.md"
ROWS = settings_of(JointConfig)
SOURCE = {"kind": "drawn", "part": "train_scenes"}


def test_the_page_of_settings_is_what_the_code_says(write_golden: bool) -> None:
    text = as_markdown(ROWS)
    if write_golden:
        PAGE.write_text(text)
    assert text == PAGE.read_text(), "run pytest --write-golden and look at configs/SETTINGS.md"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_setting_says_what_it_means(row: Setting) -> None:
    assert row.takes
    assert row.means, f"{row.name}: write a comment beside the field."


@pytest.mark.parametrize("name", ["first_run", "own_data"])
def test_every_setting_of_a_shipped_config_is_told(name: str) -> None:
    page = load_yaml(ROOT / "configs" / f"{name}.yaml")
    cfg = read_page(page, [], schema=choose_schema(page))[0]
    for path in flatten(cfg):
        assert any(path.endswith(row.last) for row in select(ROWS, path)), path


def choose_schema(page: Page) -> type[JointConfig]:
    return choose(page, [], key="recipe", table={"joint": JointConfig})


def test_the_defaults_told_are_those_that_are_read() -> None:
    values = {
        "recipe": "joint", "draw": {}, "stage1": {}, "stage2": {}, "run_on": {"stage1": {}},
        "sources": {
            "boxes": [SOURCE],
            "labels": [{"kind": "csv", "table": "t", "images": "i", "level": "fine"}],
            "tune": [{"name": "a", "source": SOURCE}],
            "test": [{"name": "b", "source": {"kind": "coco", "annotations": "a", "images": "i",
                                              "level": "fine"}}],
        },
    }  # fmt: skip
    cfg = read_page(Page(file="", text="", values=values), [], schema=JointConfig)[0]
    told = 0
    for path, value in flatten(cfg).items():
        rows = [row for row in select(ROWS, path) if row.name.count(".") == path.count(".")]
        defaults = [row.default.partition("; ")[0] for row in rows]
        if "required" not in defaults:
            told += 1
            assert value in [_meant(text) for text in defaults], path
    assert told > 80


def _meant(text: str) -> object:
    """Read a default the way a page would be read."""
    value = yaml.safe_load(text)
    return float(text) if isinstance(value, str) and text[:1].isdigit() else value


def test_a_required_setting_is_told_as_one() -> None:
    required = {row.name for row in ROWS if row.default == "required"}
    assert {"recipe", "sources", "stage2", "sources.test.N.name"} <= required
    (sizes,) = select(ROWS, "stage1.view.sizes")
    assert sizes.default == "[32, 40, 48]; required once `stage1.view` is given"
    page = load_yaml(ROOT / "configs" / "first_run.yaml")
    with pytest.raises(SettingsError, match=r"stage2.scene_view.size.*: required, and not given"):
        read_page(page, ["stage2.scene_view={flip: true}"], schema=JointConfig)


def test_a_name_means_itself_and_what_lies_below_it() -> None:
    assert {row.name for row in select(ROWS, "stage1.lr")} == {"stage1.lr"}
    assert len(select(ROWS, "stage2")) == 1 + sum(r.name.startswith("stage2.") for r in ROWS)
    assert {row.name for row in select(ROWS, "run_on.stage1.cpus")} == {"run_on.NAME.cpus"}
    assert {row.kind for row in select(ROWS, "frozen_stages")} == {"resnet", "lite0"}
    inner = select(ROWS, "sources.test.0.source.table")
    assert [(row.name, row.kind) for row in inner] == [("sources.test.N.source.table", "csv")]


def test_what_an_earlier_section_says_is_named_and_not_repeated() -> None:
    text = as_text(ROWS)
    assert "sources.labels.*  as sources.boxes" in text
    assert "sources.labels.N.table" not in text
    assert "sources.labels.N.table" in as_text(select(ROWS, "sources.labels"))


def test_a_union_tells_its_kinds() -> None:
    @dataclass(frozen=True, kw_only=True, slots=True)
    class Plain:
        """A way without numbers."""

        kind: Literal["plain"] = "plain"

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Steep:
        """A way with one."""

        kind: Literal["steep"] = "steep"
        by: float = 1e6  # how | much

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Top:
        way: Plain | Steep = field(default_factory=Steep)  # which

    rows = settings_of(Top)
    assert [(r.name, r.default, r.kind) for r in rows] == [
        ("way", "its own", ""),
        ("way.kind", "steep; required once `way` is given", ""),
        ("way.by", "1000000", "steep"),
    ]
    assert rows[1].means == "plain: A way without numbers; steep: A way with one"
    assert "how \\| much" in as_markdown(rows)


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


def test_an_unknown_setting_is_refused(tmp_path: Path, write_golden: bool) -> None:
    said: list[str] = []
    for name in ("stage3", "stage2.stepss", "lrr", "nothing.like.it", ""):
        result = call("settings", name)
        assert (result.exit_code, result.stdout) == (2, "")
        said.append(f"$ vocabox settings {name}\n{result.stderr}")
    golden = "errors/B16_unknown_setting.txt"
    same("".join(said), as_file=golden, folder=tmp_path, write=write_golden)


def test_a_program_reads_the_settings() -> None:
    lines = call("settings", "stage2.lr", "--json").stdout.splitlines()
    assert len(lines) == 1
    assert call("settings", "stage2.lr", "--format", "json").stdout == f"{lines[0]}\n"
    assert '"name": "stage2.lr"' in lines[0]
