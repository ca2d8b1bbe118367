"""`vocabox convert`: what it refuses to write over, and what it says."""

import json
import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cluster.failures import EXIT
from components.train import foreign_file
from components.train.foreign_file import Opened
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
        f"Use it with: backbone.weights={here}/made/backbone.safetensors\n"
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


def test_the_weights_are_named_so_that_any_page_finds_them(here: Path) -> None:
    (here / "a place").mkdir()
    out = "a place/made"
    done = call("convert", "w.safetensors", "--classes", "classes.txt", "--out", out)
    setting = shlex.split(done.stdout.splitlines()[1])[-1]
    assert setting == f"backbone.weights={here}/a place/made/backbone.safetensors"


def test_a_disk_that_fills_is_no_fault_of_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words are those that a child gave on a file system of 4 kB."""

    def opened(path: Path, *, scratch: Path) -> Opened:
        how = "SafetensorError, I/O error: No space left on device (os error 28)"
        raise foreign_file._unusable(path, how)

    monkeypatch.setattr("components.train.convert_file.open_foreign", opened)
    result = call("convert", "w.safetensors", "--classes", "classes.txt", "--out", "made")
    text, log = result.stderr.splitlines()
    Path(log.removeprefix("The traceback is in ").removesuffix(".")).unlink()
    assert result.exit_code == EXIT["storage"]
    assert text.startswith("store: a file of vocabox cannot be read or written; got 'No space left")
    assert "Make room" in text
    assert not Path("made").exists()
