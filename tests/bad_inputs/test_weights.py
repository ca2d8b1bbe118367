"""Weights that are a pickle, damaged, of another network or of another vocabulary."""

import ast
import json
import os
import shlex
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from components.train.weights_file import DamagedError, WeightsError, read_header
from components.vocab.classes import Vocabulary
from tests.bad_inputs.weights_given import Golden, check, convert, model, raw, same_message, trunk
from tests.components.eval.small_world import picture
from tests.pipelines.cli.small import call

ROOT = Path(__file__).parents[2]


@pytest.fixture
def golden(tmp_path: Path, write_golden: bool, monkeypatch: pytest.MonkeyPatch) -> Golden:
    """Return a check of a message against its file; tests work in their own folder."""
    monkeypatch.chdir(tmp_path)
    return partial(same_message, folder=tmp_path, write=write_golden)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


def test_B88_a_pickle_names_the_command_that_converts_it(golden: Golden) -> None:
    torch.save({"state_dict": trunk(), "epoch": 3}, "net.pth")
    Path("classes.txt").write_text("n01440764\nn01443537\n")
    code, said = check("net.pth")
    assert code == 2
    golden("B88_a_pickle", said)
    for other in ("net.pt", "net.bin"):
        Path(other).write_bytes(Path("net.pth").read_bytes())
        assert check(other) == (2, said.replace("net.pth", other))
    Path("net.safetensors").write_bytes(Path("net.pth").read_bytes())
    code, said = check("net.safetensors")
    assert code == 2
    command = said.partition("Convert it: ")[2].strip()
    command = command.replace("LIST", "classes.txt").replace("DIR", "made")
    done = call(*shlex.split(command)[1:], "--backbone", "small")
    assert done.exit_code == 0, done.output
    assert check("made/backbone.safetensors") == (0, "")
    assert check("made") == (0, "")
    for file in Path("made").iterdir():
        assert b"pkl" not in file.read_bytes()


def test_B88_a_pickle_with_code_is_opened_and_not_run(golden: Golden) -> None:
    Path("classes.txt").write_text("a\nb\n")
    torch.save({"w": torch.ones(2, 3), "x": Evil()}, "evil.pth")
    torch.save([torch.ones(2)], "list.pt")
    torch.save({"w": torch.ones(2, 3)}, "whole.pth")
    data = Path("whole.pth").read_bytes()
    Path("cut.pth").write_bytes(data[: len(data) // 2])
    said: list[str] = []
    for name in ("evil.pth", "list.pt", "cut.pth"):
        code, text = convert(name)
        assert code == 2
        said.append(text)
    assert not Path("pwned").exists()
    golden("B88_pickles_that_are_not_converted", "".join(said))


def test_B88_a_pickle_that_unpacks_to_more_than_its_size_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("classes.txt").write_text("a\nb\n")
    torch.save({"w": torch.zeros(2)}, "small.pth")
    with (
        zipfile.ZipFile("small.pth") as whole,
        zipfile.ZipFile("bomb.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb,
    ):
        for item in whole.namelist():
            if not item.endswith("data/0"):
                bomb.writestr(item, whole.read(item))
                continue
            with bomb.open(item, "w", force_zip64=True) as entry:
                for _ in range(70):  # over the GiB that is spared for any file
                    entry.write(bytes(2**24))
    assert Path("bomb.pth").stat().st_size < 6 * 2**20
    code, said = convert("bomb.pth")
    assert code == 2
    assert "it wants more memory than four times its size" in said


def test_B88_pickles_are_opened_in_one_place() -> None:
    files = [
        f for room in ("pipelines", "components", "cluster") for f in (ROOT / room).rglob("*.py")
    ]
    found = [
        path.relative_to(ROOT).as_posix()
        for path in sorted(files)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load"
    ]
    assert found == ["components/train/unpickle.py"]


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_B88_a_header_as_long_as_a_pickle_begins_is_no_pickle(tmp_path: Path, length: int) -> None:
    entry = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    path = tmp_path / "w.safetensors"
    path.write_bytes(raw(entry.ljust(length).encode(), numbers=bytes(4)))
    assert path.read_bytes()[0] == 0x80
    assert list(read_header(path).tensors) == ["w"]


def test_B89_a_file_given_is_cut(golden: Golden) -> None:
    save_file(trunk(), "whole.safetensors")
    data = Path("whole.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(data[:-1000])
    code, said = check("cut.safetensors")
    assert code == 2
    golden("B89_a_file_given_is_cut", said)
    path = Path("c.safetensors")
    for k in range(64):
        path.write_bytes(data[: k * len(data) // 64])
        with pytest.raises(WeightsError):
            read_header(path)
    assert not isinstance(WeightsError("x"), DamagedError)


def test_B89_a_flipped_header_is_noticed_or_names_another_tensor(tmp_path: Path) -> None:
    data = raw({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}, numbers=bytes(16))
    wanted = None
    for at in range(len(data) - 16):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            path = tmp_path / "flipped.safetensors"
            path.write_bytes(bytes(changed))
            try:
                header = read_header(path)
            except WeightsError:
                continue
            wanted = wanted or header
            ((name, entry),) = header.tensors.items()
            assert len(name) == 1  # its name is all that may have changed
            assert entry.dtype in ("F32", "I32")
            assert entry.shape == (2, 2)
    assert wanted is not None


@pytest.mark.parametrize("what", ["converted", "model"])
def test_B89_ours_are_cut_or_flipped(golden: Golden, tmp_path: Path, what: str) -> None:
    if what == "model":
        weights = model(tmp_path / "made") / "model.safetensors"
    else:
        save_file(trunk(), "w.safetensors")
        Path("classes.txt").write_text("a\n")
        assert convert("w.safetensors")[0] == 0
        weights = tmp_path / "made" / "backbone.safetensors"
    assert check("made") == (0, "")
    data = weights.read_bytes()
    for k in range(8):
        cut = (k * len(data)) // 8
        weights.write_bytes(data[:cut])
        assert check("made")[0] == 3
        flipped = bytearray(data)
        flipped[cut + 100] ^= 1 << k
        weights.write_bytes(bytes(flipped))
        code, said = check("made")
        assert code == 3
    golden(f"B89_{what}_weights_are_flipped", said)
    if what == "model":
        picture(tmp_path / "a.png")
        found = call("predict", "made", "a.png")
        assert found.exit_code == 3
        assert "changed since it was written" in found.stderr


def test_B90_names_and_shapes_are_those_of_another_network(golden: Golden) -> None:
    tensors = trunk()
    changed = {f"net.{k}" if "stage8" in k else k: v for k, v in tensors.items()}
    for name in [k for k in changed if "norm" in k]:
        changed[name] = torch.zeros(3)
    save_file(changed, "other.safetensors")
    code, said = check("other.safetensors")
    assert code == 2
    golden("B90_another_network", said)
    code, said = check("other.safetensors", kind="resnet")
    assert code == 2
    assert " missing: conv1.weight, " in said
    assert " unexpected: " in said
    Path("classes.txt").write_text("a\n")
    code, said = convert("other.safetensors", "--backbone", "small")
    assert code == 2
    assert "and the" not in said
    assert " of another shape: " in said


def test_B91_the_class_list_is_not_that_of_the_weights(golden: Golden) -> None:
    save_file({"fc.weight": torch.rand(3, 4), "w": torch.rand(2, 2)}, "three.safetensors")
    told = {"classes": json.dumps(["cat", "dog", "owl"])}
    save_file({"w": torch.rand(2, 2)}, "told.safetensors", metadata=told)
    torch.save({"state_dict": {"w": torch.rand(2, 2)}, "classes": ["cat", "dog"]}, "told.pth")
    said: list[str] = []
    for file, text in (
        ("three.safetensors", "cat\ndog\n"),
        ("told.safetensors", "cat\nowl\ndog\n"),
        ("told.safetensors", '["cat", "dog", "cow"]'),
        ("told.safetensors", '{"classes": [{"id": "cat", "name": "Cat"}]}'),
        ("told.pth", "cat\ndog\nowl\n"),
    ):
        Path("classes.txt").write_text(text)
        code, found = convert(file)
        assert code == 2, file
        said.append(f"{file} with {text!r}\n{found}")
    golden("B91_another_vocabulary", "".join(said))
    Path("classes.txt").write_text("\ufeffcat\n\ndog\r\nowl\n", encoding="utf-8")
    assert convert("told.safetensors")[0] == 0
    made = json.loads(Path("made/vocabulary.json").read_text())
    assert [c["id"] for c in made["classes"]] == ["cat", "dog", "owl"]


def test_B91_the_class_list_is_none(golden: Golden) -> None:
    save_file({"w": torch.rand(2, 2)}, "w.safetensors")
    lists: dict[str, bytes] = {
        "empty.txt": b"\n\n",
        "twice.txt": b"cat\ndog\ncat\n",
        "numbers.json": b"[1, 2]",
        "cut.json": b'["cat", ',
        "names.json": b'{"cat": 0}',
        "picture.txt": b"\x89PNG\r\n",
    }
    said: list[str] = []
    for name, data in lists.items():
        Path(name).write_bytes(data)
        code, text = convert("w.safetensors", classes=name)
        assert code == 2
        said.append(text)
    golden("B91_no_class_list", "".join(said))


def test_B91_our_vocabulary_was_put_in_another_order(golden: Golden, tmp_path: Path) -> None:
    classes = model(tmp_path / "made") / "vocabulary.json"
    found = Vocabulary.read(classes)
    other = Vocabulary(ids=found.ids[::-1], names=found.names[::-1])
    other.write(classes)
    picture(tmp_path / "a.png")
    result = call("predict", "made", "a.png")
    assert result.exit_code == 3
    golden("B91_our_vocabulary_in_another_order", result.stderr)
