"""`vocabox convert`: what it refuses to write over, and what it says."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.pipelines.cli.small import call
from tests.pipelines.settings.golden import same


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_file({"fc.weight": torch.rand(2, 3), "fc.bias": torch.rand(2)}, "w.safetensors")
    Path("classes.txt").write_text("cat\ndog\n")
    return tmp_path


def test_what_cannot_be_read_or_written_is_said_at_once(here: Path, write_golden: bool) -> None:
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    said: list[str] = []
    for line in (
        "gone.pth --classes gone.txt --out gone/made",
        "full --classes classes.txt --out full",
        "w.safetensors --classes classes.txt --out classes.txt",
        "w.safetensors --classes classes.txt --out full --overwrite",
        "w.safetensors --classes classes.txt",
        "w.safetensors --classes classes.txt --out made --backbone resnet19",
    ):
        result = call("convert", *line.split())
        assert (result.exit_code, result.stdout) == (2, "")
        said.append(f"$ vocabox convert {line}\n{result.stderr}")
    assert Path("full/mine.txt").read_text() == "mine"
    same("".join(said), as_file="errors/B22_convert.txt", folder=here, write=write_golden)


def test_what_is_there_is_kept_unless_it_may_go(here: Path) -> None:
    command = ("convert", "w.safetensors", "--classes", "classes.txt", "--out", "made")
    first = call(*command)
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == (
        "2 tensors, 2 classes: made/backbone.safetensors\n"
        "Use it with: backbone.weights=made/backbone.safetensors\n"
    )
    assert sorted(p.name for p in here.iterdir()) == ["classes.txt", "made", "w.safetensors"]
    before = {p.name: p.read_bytes() for p in Path("made").iterdir()}
    assert sorted(before) == ["backbone.json", "backbone.safetensors", "vocabulary.json"]
    assert json.loads(before["backbone.json"])["classifier"] == "fc.weight"
    again = call(*command)
    assert again.exit_code == 2
    assert "is there already, and is kept" in again.stderr
    done = call(*command, "--overwrite", "--json")
    assert done.exit_code == 0
    event = json.loads(done.stdout)
    assert event == {
        "v": 1, "event": "finished", "status": "done", "tensors": 2, "classes": 2,
        "classifier": "fc.weight", "warnings": [],
        "weights": str(here / "made" / "backbone.safetensors"),
    }  # fmt: skip
    assert {p.name: p.read_bytes() for p in Path("made").iterdir()} == before
