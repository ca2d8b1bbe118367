"""Weights that hold no numbers, no floating-point numbers, or a header that lies."""

import struct
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from components.train.weights_file import LARGEST_HEADER, WeightsError, read_header
from tests.bad_inputs.weights_given import Golden, check, convert, raw, same_message, trunk


@pytest.fixture
def golden(tmp_path: Path, write_golden: bool, monkeypatch: pytest.MonkeyPatch) -> Golden:
    """Return a check of a message against its file; tests work in their own folder."""
    monkeypatch.chdir(tmp_path)
    return partial(same_message, folder=tmp_path, write=write_golden)


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_B92_nan_or_infinity(golden: Golden, number: float) -> None:
    tensors = trunk()
    tensors["stage8.0.0.weight"][3, 1, 0, 0] = number
    tensors["stage16.1.norm.bias"][:] = number
    save_file(tensors, "bad.safetensors")
    code, said = check("bad.safetensors")
    assert code == 2
    golden("B92_nan_or_infinity", said)
    Path("classes.txt").write_text("a\n")
    assert convert("bad.safetensors")[0] == 2


def test_B92_a_channel_that_holds_one_number_is_told(golden: Golden) -> None:
    tensors = trunk()
    tensors["stage8.0.0.weight"][3:5] = 0.25
    save_file(tensors, "flat.safetensors")
    Path("classes.txt").write_text("a\n")
    code, said = convert("flat.safetensors", "--backbone", "small")
    assert code == 0
    golden("B92_constant_channels", said)
    assert check("made") == (0, "")


def test_B93_headers_that_lie(golden: Golden) -> None:
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    files = {
        "bomb": raw(b"{" + b" " * 40, length=2**60),
        "long": raw(b"{" + b" " * 40, length=LARGEST_HEADER + 1),
        "huge_shape": raw({"w": entry | {"shape": [2**40, 2**40]}}, numbers=bytes(16)),
        "overlap": raw({"a": entry, "b": entry}, numbers=bytes(16)),
        "hole": raw({"a": entry | {"data_offsets": [8, 24]}}, numbers=bytes(24)),
        "negative": raw({"a": entry | {"shape": [-2, -2]}}, numbers=bytes(16)),
        "sides": raw({"a": entry | {"shape": [1] * 10**5}}, numbers=bytes(16)),
        "deep": raw(b'{"a":' + b"[" * 10**5),
        "twice": raw(b'{"a": 1, "a": 2}'),
        "list": raw(b"{}  "),
        "tail": raw({"a": entry}, numbers=bytes(17)),
    }
    said: list[str] = []
    for name, data in files.items():
        Path(f"{name}.safetensors").write_bytes(data)
        code, text = check(f"{name}.safetensors")
        assert code == 2, name
        said.append(text)
    golden("B93_headers_that_lie", "".join(said))


def test_B93_a_long_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    with path.open("wb") as file:  # a file with holes: it takes no room
        file.write(struct.pack("<Q", 8 * 2**30) + b"{")
        file.truncate(9 * 2**30)
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match=f"and {LARGEST_HEADER} is the most"):
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_B93_weights_that_are_no_floating_point_numbers(golden: Golden) -> None:
    tensors = {name: tensor.to(torch.int8) for name, tensor in trunk().items()}
    save_file(tensors, "int8.safetensors")
    entry = {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}
    Path("f8.safetensors").write_bytes(raw({"w": entry}, numbers=bytes(4)))
    codes, said = zip(*(check(f"{name}.safetensors") for name in ("int8", "f8")), strict=True)
    assert codes == (2, 2)
    golden("B93_wrong_types", "".join(said))
    half = {name: tensor.to(torch.float16) for name, tensor in trunk().items()}
    save_file(half, "half.safetensors")
    assert check("half.safetensors") == (0, "")


def test_B93_a_pickle_of_a_type_that_is_not_read(golden: Golden) -> None:
    torch.save({"w": torch.rand(2, 3, dtype=torch.complex64)}, "complex.pth")
    Path("classes.txt").write_text("a\nb\n")
    code, said = convert("complex.pth")
    assert code == 2
    golden("B93_a_pickle_of_a_type_that_is_not_read", said)
