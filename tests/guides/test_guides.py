"""The five steps are followed to the letter, and what a guide says of the code is so."""

import dataclasses
import re
from typing import Any

import yaml

from components.data.drawn.world import World
from components.models.backbone import BACKBONES
from components.models.choices import Lite0, Resnet
from pipelines.recipes.joint_settings import JointConfig
from pipelines.settings.yaml_door import parse
from tests.guides.conftest import GUIDE, Followed
from tests.guides.quoted import ROOT, unsaid


def test_the_five_steps_are_followed_and_say_what_the_guide_shows(followed: Followed) -> None:
    assert len(followed.said) == 5
    assert sum(bool(quote) for quote in followed.quoted) == 3
    for said, quote in zip(followed.said, followed.quoted, strict=True):
        assert unsaid(quote, said, folder=followed.folder) == [], said


def test_what_was_made_is_where_the_guide_says(followed: Followed) -> None:
    for name in ("sheet.png", "found.json", ".vocabox/runs/joint-1/report.html"):
        assert (followed.folder / name).stat().st_size > 0
    assert len(list((followed.folder / "drawn").glob("*.jpg"))) == 20
    labels = (followed.folder / "my_data/labels.csv").read_text().splitlines()
    assert labels[0].split(",")[:2] == ["image", "labels"]
    assert len({row.split(",")[1] for row in labels[1:]}) == 24
    boxed = yaml.safe_load((followed.folder / "my_data/train_scenes/annotations.json").read_text())
    assert len(boxed["categories"]) == 14


def test_the_guide_tells_every_section_of_a_page() -> None:
    told = re.findall(r"^\| `(\w+)` \|", _section("The page, section by section"), re.MULTILINE)
    assert told == [field.name for field in dataclasses.fields(JointConfig)]


def test_the_numbers_of_the_guide_are_those_of_the_code() -> None:
    text = " ".join(_section("Sizes, steps, frozen stages").split())
    small, large = (_sides(kind) for kind in ("small", "lite0"))
    assert large == _sides("resnet")
    assert f"{large} px (`lite0`, `resnet`) or {small} px (`small`)" in text
    own, first = (_values(name) for name in ("own_data", "first_run"))
    head = (ROOT / "configs" / "own_data.yaml").read_text()
    assert "429 pictures with boxes" in head
    assert "1,808 photos with labels" in head
    photos, scenes = World().photos_per_class * 120, World().train_scenes
    assert round(own["stage1"]["steps"] * own["stage1"]["batch"] / 1808, 1) == 2.7
    assert round(own["stage2"]["steps"] * own["stage2"]["scenes"] / 429, 1) == 2.8
    assert round(first["stage1"]["steps"] * first["stage1"]["batch"] / photos) == 6
    assert round(first["stage2"]["steps"] * first["stage2"]["scenes"] / scenes, 1) == 1.5
    assert "2.7 passes of its labels in `stage1` and 2.8 of its boxes in `stage2`" in text
    assert "first_run.yaml takes 6 and 1.5" in text
    for rate in ("lr", "backbone_lr"):
        assert f"`{rate}: {own['stage2'][rate]}`" in text
    assert f"`lr: {first['stage2']['lr']}`" in text
    assert (Lite0().frozen_stages, Resnet().frozen_stages) == (3, 2)


def _sides(kind: str) -> str:
    sides = [side for level in BACKBONES[kind].anchors.values() for side in level]
    return f"{min(sides)} to {max(sides)}"


def _values(name: str) -> dict[str, Any]:
    return parse((ROOT / "configs" / f"{name}.yaml").read_text(), file=name).values


def _section(head: str) -> str:
    return GUIDE.read_text().split(f"## {head}\n")[1].partition("\n## ")[0]
