"""What the guides tell is so: commands, pages, numbers, names and links."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import click
import pytest

from cluster.storage import BUCKETS, StoreError, open_store
from components.data.drawn.world import World
from components.eval.metric_names import NAMES
from components.models.choices import Lite0, Resnet
from pipelines.cli.ending import finished_event
from pipelines.cli.entry import COMMANDS
from pipelines.recipes.joint_settings import JointConfig
from pipelines.recipes.page_settings import Place
from pipelines.recipes.table import RECIPES
from pipelines.settings.reading import read_page
from pipelines.settings.yaml_door import Page, parse
from tests.guides.quoted import GUIDES, ROOT, blocks, commands, first_column, section
from tests.pipelines.cli.small import Ended, call, own_data

GUIDE = ROOT / "configs" / "README.md"
CLUSTER, DASHBOARDS = ROOT / "cluster" / "README.md", ROOT / "dashboards" / "README.md"
PAGE = next(blocks(GUIDE, "yaml")).text  # of the five steps
TAG = re.compile(r"\b(?:dag\.[a-z_]+|code\.version|mlflow\.[A-Za-z.]+[A-Za-z])\b")
TOLD = [words for guide in GUIDES for words in commands(guide) if words[1:]]


def test_the_guides_tell_every_command() -> None:
    assert {words[0] for words in TOLD} == set(COMMANDS)


@pytest.mark.parametrize("words", TOLD, ids=" ".join)
def test_a_command_of_a_guide_is_understood(words: list[str]) -> None:
    command, path = COMMANDS[words[0]](), words[1:]
    while isinstance(command, click.Group):
        command, path = command.commands[path[0]], path[1:]
    given = command.make_context("vocabox", path).params
    page = str(given.get("config") or given.get("source") or "")
    if not page.endswith(".yaml"):
        return
    text = PAGE if page.startswith("my_data/") else (ROOT / page).read_text()
    overrides = [one for one in given.get("settings", ()) if one != "..."]
    told = parse(text, file=page)
    read_page(told, overrides, schema=RECIPES[told.values["recipe"]].schema)


def test_the_page_of_the_five_steps_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my_data"
    own_data(folder)
    (folder / "test_fine.json").rename(folder / "test.json")
    (folder / "page.yaml").write_text(PAGE)
    monkeypatch.chdir(tmp_path)
    for words in (["check"], ["data", "check"]):
        result = call(*words, "my_data/page.yaml")
        assert result.exit_code == 0, result.output


def test_the_page_trains_as_the_shipped_one() -> None:
    own = (ROOT / "configs" / "own_data.yaml").read_text()
    ours, shipped = (
        read_page(parse(text, file=""), [], schema=JointConfig)[0] for text in (PAGE, own)
    )
    assert (ours.backbone, ours.stage1, ours.stage2) == (
        shipped.backbone, shipped.stage1, shipped.stage2
    )  # fmt: skip


def test_other_pages_of_the_guides_are_read() -> None:
    (places,) = blocks(CLUSTER, "yaml")
    values = _values("first_run") | parse(places.text, file="cluster").values
    values["stage1"] = values["stage1"] | {"world": 2}
    read_page(Page(file="", text="", values=values), [], schema=JointConfig)


def test_the_guide_tells_every_section_of_a_page() -> None:
    told = first_column(section(GUIDE, "The page, section by section"))
    assert set(told) >= {field.name for field in dataclasses.fields(JointConfig)}


def test_what_a_program_reads_is_told() -> None:
    text = section(GUIDE, "For programs")
    for name in finished_event(Ended()):
        assert f"`{name}`" in text


def test_the_numbers_of_the_guide_are_those_of_the_configs() -> None:
    text = " ".join(section(GUIDE, "Sizes, steps, frozen stages").split())
    own, first = _values("own_data"), _values("first_run")
    head = (ROOT / "configs" / "own_data.yaml").read_text()
    assert "429 pictures with boxes" in head
    assert "1,808 photos with labels" in head.replace("\n#          ", " ")
    photos, scenes = World().photos_per_class * 120, World().train_scenes
    passes = [
        own["stage1"]["steps"] * own["stage1"]["batch"] / 1808,
        own["stage2"]["steps"] * own["stage2"]["scenes"] / 429,
        first["stage1"]["steps"] * first["stage1"]["batch"] / photos,
        first["stage2"]["steps"] * first["stage2"]["scenes"] / scenes,
    ]
    one, two, three, four = (f"{number:.1f}".removesuffix(".0") for number in passes)
    assert f"{one} passes of its labels in `stage1` and {two} of its boxes in `stage2`" in text
    assert f"first_run.yaml takes {three} and {four}" in text
    for rate in ("lr", "backbone_lr"):
        assert f"`{rate}: {own['stage2'][rate]}`" in text
    assert f"{Lite0().frozen_stages} of 8 for `lite0`, {Resnet().frozen_stages} of 5" in text


def test_every_metric_is_told_once() -> None:
    assert sorted(first_column(section(DASHBOARDS, "Metrics"))) == sorted(NAMES)


def test_every_tag_is_told() -> None:
    sinks = [sink.read_text() for sink in (ROOT / "cluster").glob("mlflow*.py")]
    texts = [text for sink in sinks for text in re.findall(r'"[^"\n]*"', sink)]
    written = {tag for text in texts for tag in TAG.findall(text)}
    told = set(first_column(section(DASHBOARDS, "Tags")))
    assert {tag for tag in written if tag != "mlflow.db"} <= told


def test_every_setting_of_a_place_is_told() -> None:
    told = first_column(section(CLUSTER, "On this machine"))
    assert sorted(told) == sorted(field.name for field in dataclasses.fields(Place))


def test_a_store_elsewhere_is_refused_by_name_as_told() -> None:
    assert "`az://`, `hdfs://` and the like are refused by name" in CLUSTER.read_text()
    for scheme in ("az", "hdfs", "gcs"):
        with pytest.raises(StoreError, match=scheme):
            open_store(f"{scheme}://bucket/x", mode="read")
    assert all(f"`{scheme}://bucket/prefix`" in CLUSTER.read_text() for scheme in BUCKETS)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_every_link_leads_somewhere(guide: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", guide.read_text()):
        path, _, head = link.partition("#")
        target = (guide.parent / path).resolve() if path else guide
        assert target.exists(), link
        heads = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if head else []
        anchors = [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in heads]
        assert not head or head in anchors, f"{link}; there are {anchors}"


def _values(name: str) -> dict[str, Any]:
    return parse((ROOT / "configs" / f"{name}.yaml").read_text(), file=name).values
