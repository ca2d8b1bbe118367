"""Rows of a classifier that cannot be taken: by `vocabox export`, each with its message."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from tests.bad_inputs.weights_given import Golden, model, raw, same_message
from tests.pipelines.cli.small import call

IDS = ["a", "b", "c"]
ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]


@pytest.fixture
def golden(tmp_path: Path, write_golden: bool, monkeypatch: pytest.MonkeyPatch) -> Golden:
    """Return a check of a message against its file; tests work in their own folder."""
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "model")
    Path("abc.txt").write_text("a\nb\nc\n")
    return partial(same_message, folder=tmp_path, write=write_golden)


def refused(*words: str) -> str:
    """Export with these words; nothing is written, and the message comes back with the command."""
    before = sorted(Path().rglob("*"))
    result = call("export", "model", "--out", "made", *words)
    assert result.exit_code == 2, result.output
    assert sorted(Path().rglob("*")) == before
    return f"$ vocabox export model --out made {' '.join(words)}\n{result.stderr}"


def table(name: str, **columns: Any) -> None:
    pq.write_table(pa.table({"id": IDS, "vector": ROWS} | columns), name)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


def test_B88_rows_in_a_pickle(golden: Golden) -> None:
    torch.save({"fc.weight": torch.ones(2, 3), "x": Evil()}, "net.pth")
    Path("net.parquet").write_bytes(Path("net.pth").read_bytes())
    said = refused("--source", "net.pth", "--source-classes", "abc.txt")
    said += refused("--source", "net.parquet")
    assert not Path("pwned").exists()
    golden("B88_rows_in_a_pickle", said)


def test_B91_rows_and_a_list_of_another_length_or_with_doubles(golden: Golden) -> None:
    save_file({"fc.weight": torch.rand(2, 4)}, "two.safetensors")
    save_file({"fc.weight": torch.rand(3, 4), "fc.bias": torch.rand(2)}, "bias.safetensors")
    Path("double.txt").write_text("a\nb\na\n")
    table("double.parquet", id=["a", "b", "a"])
    table("ragged.parquet", vector=[[1.0, 2.0], [3.0], [5.0, 6.0]])
    said = [
        refused("--source", "two.safetensors", "--source-classes", "abc.txt"),
        refused("--source", "bias.safetensors", "--source-classes", "abc.txt"),
        refused("--source", "two.safetensors", "--source-classes", "double.txt"),
        refused("--source", "two.safetensors"),
        refused("--source", "double.parquet"),
        refused("--source", "ragged.parquet"),
        refused("--source", "double.parquet", "--source-classes", "abc.txt"),
    ]
    golden("B91_rows_of_another_length_or_doubles", "".join(said))


def test_B92_rows_with_nan_or_a_constant_channel(golden: Golden) -> None:
    rows = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    bad, flat = rows.clone(), rows.clone()
    bad[1, 2], flat[:, 3] = float("nan"), 0.25
    save_file({"fc.weight": bad}, "nan.safetensors")
    save_file({"fc.weight": rows, "fc.bias": torch.tensor([0, 1, float("inf")])}, "inf.safetensors")
    save_file({"fc.weight": flat}, "flat.safetensors")
    table("nan.parquet", vector=[[1.0, float("nan")], [3.0, 4.0], [5.0, 7.0]])
    table("empty.parquet", vector=[[1.0, None], [3.0, 4.0], [5.0, 7.0]])
    table("large.parquet", vector=[[1.0, 1e300], [3.0, 4.0], [5.0, 7.0]])
    lists = ("--source-classes", "abc.txt")
    said = [
        *(refused("--source", f"{name}.safetensors", *lists) for name in ("nan", "inf", "flat")),
        *(refused("--source", f"{name}.parquet") for name in ("nan", "empty", "large")),
    ]
    golden("B92_rows_with_nan_or_a_constant_channel", "".join(said))


def test_B93_tables_and_files_of_another_kind(golden: Golden) -> None:
    pq.write_table(pa.table({"class": IDS, "vector": ROWS}), "columns.parquet")
    table("numbers.parquet", id=[1, 2, 3], vector=["x", "y", "z"])
    table("no_id.parquet", id=["a", None, "c"])
    pq.write_table(
        pa.table({"id": pa.array([], pa.string()), "vector": pa.array([], pa.list_(pa.float32()))}),
        "empty.parquet",
    )
    table("cut.parquet")
    Path("cut.parquet").write_bytes(Path("cut.parquet").read_bytes()[:-20])
    Path("page.parquet").write_text("<!doctype html>")
    save_file({"fc.weight": torch.ones(3, 4, dtype=torch.int8)}, "int8.safetensors")
    save_file({"body.weight": torch.ones(3, 4)}, "none.safetensors")
    Path("bomb.safetensors").write_bytes(raw(b"{" + b" " * 40, length=2**60))
    Path("full").mkdir()
    names = ("columns", "numbers", "no_id", "empty", "cut", "page")
    said = [refused("--source", f"{name}.parquet") for name in names]
    said += [
        refused("--source", f"{name}.safetensors", "--source-classes", "abc.txt")
        for name in ("int8", "none", "bomb")
    ]
    said += [refused("--source", "gone"), refused("--source", "full")]
    golden("B93_tables_and_files_of_another_kind", "".join(said))


def test_B90_rows_that_no_region_can_be_scored_by(golden: Golden) -> None:
    table("two.parquet")
    said = refused("--source", "two.parquet")
    model(Path("stage2"))
    save_file({"fc.weight": torch.rand(3, 4)}, "four.safetensors")
    said += refused("--source", "four.safetensors", "--source-classes", "abc.txt")
    golden("B90_rows_that_no_region_can_be_scored_by", said)
