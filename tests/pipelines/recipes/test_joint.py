"""The recipe of paper 5: which nodes a page makes, and what can be wrong across its sections."""

from pathlib import Path

import pytest
from safetensors.torch import save_file

from components.models.choices import Small
from components.models.two_stage import build
from components.train.checkpoint import Record, save_model
from components.vocab.classes import Vocabulary
from pipelines.recipes.joint_checks import NODES
from pipelines.recipes.page_checks import set_nodes
from pipelines.runs.loading import load
from pipelines.settings.problems import SettingsError
from tests.pipelines.runs.tiny import PAGE, page


def names(config: Path, *settings: str) -> list[str]:
    return [node.name for node in load(config, settings).graph.every()]


def test_a_page_makes_its_nodes_inputs_first(tmp_path: Path) -> None:
    made = names(page(tmp_path))
    assert set(made) == {
        "draw", "boxes", "labels", "stage1", "stage2", "pack_tune", "pack_scenes", "pack_photos",
        "detect_tune", "detect_scenes", "detect_photos", "evaluate",
    }  # fmt: skip
    assert made.index("draw") < made.index("boxes") < made.index("stage2") < made.index("evaluate")
    assert set(made) <= {*NODES, *set_nodes(load(page(tmp_path)).cfg)}


def test_without_stage_one_there_is_no_such_node(tmp_path: Path) -> None:
    assert "stage1" not in names(page(tmp_path), "stage1=null")


def test_a_control_is_detected_apart(tmp_path: Path) -> None:
    made = names(page(tmp_path), "evaluate.controls=[whole_photo]")
    assert {"detect_scenes_whole_photo", "detect_tune_whole_photo"} <= set(made)
    assert "detect_photos_whole_photo" not in made


def test_the_place_of_weights_is_no_identity(tmp_path: Path) -> None:
    config = page(tmp_path)
    model = tmp_path / "runs" / "joint-1" / "model"
    model.mkdir(parents=True)
    none, small = Vocabulary(ids=(), names=()), Small()
    detector = build(small, boxed=none, labelled=none)
    record = Record(backbone=small, boxed=none, labelled=none, size=64, parts=("trunk",))
    save_model(model, detector, record)
    save_file(detector.trunk.state_dict(), tmp_path / "a.safetensors")
    backbones, files = [], []
    for name in ("a.safetensors", "runs/joint-1", "runs/joint-1/model"):
        loaded = load(config, ["backbone.kind=small", f"backbone.weights={name}"])
        (stage1,) = (n for n in loaded.graph.every() if n.name == "stage1")
        backbones.append(stage1.cfg.backbone)
        files.append(stage1.inputs["weights"].files["file"])
    assert backbones == [Small(weights="file")] * 3
    weights = str(model / "model.safetensors")
    assert files == [str(tmp_path / "a.safetensors"), weights, weights]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("draw: {seed: 3,", "x_draw: {seed: 3,", "no such setting"),
        ("name: photos", "name: Photos", "small letters"),
        ("name: photos", "name: scenes", "two test sets have this name"),
        ("run_on: {stage1:", "run_on: {stage9:", "no such node"),
        ("stage1: {local: true}", "stage1: {workers: 3}", "must equal stage1.world"),
        ("stage1: {local: true}", "stage1: {min_workers: 1}", "Set stage1.deterministic to false"),
        ("stage1: {local: true}", "stage1: {local: true, min_workers: 1}", "got 1 of 1, local"),
        ("stage1: {local: true}", "stage1: {min_workers: 3}", "got 3 of 1"),
        ("evaluate: {pictures: 2}", "evaluate: {groups: {a-b: ['fine:x']}}", "letters, digits"),
        ("evaluate: {pictures: 2}", "evaluate: {groups: {ab: [x]}}", "<level>:<name>"),
        ("tracking:", "backbone: {kind: small, weights: gone.safetensors}\ntracking:", "neither a"),
        ("tracking:", "backbone: {kind: small, weights: efficientnet-lite0}\ntracking:", "lite0"),
    ],
)
def test_what_is_wrong_across_sections_is_said(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in PAGE
    place = tmp_path / "page.yaml"
    place.write_text(PAGE.replace(old, new, 1))
    with pytest.raises(SettingsError, match=said):
        load(place)


def test_a_drawn_source_needs_a_world(tmp_path: Path) -> None:
    place = tmp_path / "page.yaml"
    place.write_text("\n".join(
        line for line in PAGE.splitlines()
        if not line.startswith(("draw:", "       test_photos"))
    ))  # fmt: skip
    with pytest.raises(SettingsError, match="there is no section draw") as error:
        load(place)
    assert len(error.value.problems) == 5


def test_without_scenes_there_is_nothing_to_score(tmp_path: Path) -> None:
    place = tmp_path / "page.yaml"
    place.write_text(PAGE.replace("{name: scenes, size: 64,", "{name: s, task: localization,", 1))
    with pytest.raises(SettingsError, match="no test set has task scenes"):
        load(place)
