"""Rows, exported classes and fitted transfers that lie about their sizes: one clear error each."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from components.models.class_weights import ClassGroup, ClassWeights
from components.train.class_file import read_classes, write_classes
from components.train.source_file import open_source
from components.train.transfer_file import FittedTransfer, load_transfer, record_of, save_transfer
from components.train.weights_file import WeightsError, read_header
from components.transfer.adapters import Adapter, Shape
from components.transfer.methods import WIDEST, Method, Transfer
from components.transfer.rows import make
from components.transfer.source import SourceError, SourceWeights, check
from components.vocab.classes import Vocabulary
from tests.bad_inputs.probes import probe_each

IDS = ["a", "b", "c", "d"]
BOXED = Vocabulary.of(["fine:a", "fine:b", "fine:c"])
MB = 2**20
WRONG_SIZES = (-3, 0, 10**15, 10**30, "4", 4.0, None, True)


def table(path: Path, **columns: Any) -> Path:
    given = {"id": IDS, "vector": [[1.0, 2], [3, 4], [5, 7], [6, 6]]} | columns
    pq.write_table(pa.table(given), path)
    return path


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("sign", ["int", "uint"])
def test_whole_numbers_of_every_width_are_rows(tmp_path: Path, sign: str, bits: int) -> None:
    kind = pa.type_for_alias(f"{sign}{bits}")
    most = 2 ** (bits - (sign == "int")) - 1
    vector = pa.array([[0, 1], [2, most], [3, 4], [5, 7]], pa.list_(kind))
    place = table(tmp_path / "t.parquet", vector=vector, bias=pa.array([1, 2, 3, most], kind))
    weights = open_source(place).weights
    assert weights.weight.dtype == torch.float32
    torch.testing.assert_close(weights.weight[1], torch.tensor([2, float(most)]))
    assert weights.bias is not None
    assert weights.bias.tolist() == torch.tensor([1, 2, 3, float(most)]).tolist()


def test_B93_a_column_that_is_there_twice(tmp_path: Path) -> None:
    vector = pa.array([[1.0, 2], [3, 4], [5, 7], [6, 6]])
    ids = pa.array(IDS)
    for name, column in (("id", ids), ("vector", vector), ("name", ids)):
        both = {"id": ids, "vector": vector} | {name: column}
        made = pa.Table.from_arrays([*both.values(), column], names=[*both, name])
        pq.write_table(made, tmp_path / "twice.parquet")
        with pytest.raises(SourceError, match=rf"each once; got .*{name} 2 times.* Keep one\.$"):
            open_source(tmp_path / "twice.parquet")
    unread = pa.Table.from_arrays([ids, vector, ids, ids], names=["id", "vector", "x", "x"])
    pq.write_table(unread, tmp_path / "unread.parquet")
    assert open_source(tmp_path / "unread.parquet").weights.vocabulary.ids == tuple(IDS)


def test_B93_text_that_is_no_text(tmp_path: Path) -> None:
    bad = pa.array([b"a", b"\xff\xfe", b"c", b"d"]).cast(pa.string(), safe=False)
    for name in ("id", "name"):
        with pytest.raises(SourceError, match=rf"column {name} .*UTF-8; got .*\.$"):
            open_source(table(tmp_path / "t.parquet", **{name: bad}))


def test_ids_as_a_dictionary_are_text(tmp_path: Path) -> None:
    ids = pa.array(IDS).dictionary_encode()
    place = table(tmp_path / "t.parquet", id=ids, name=pa.array(IDS, pa.large_string()))
    assert open_source(place).weights.vocabulary.ids == tuple(IDS)


@pytest.mark.parametrize("shape", [(), (4,), (4, 3, 1, 1)])
def test_B93_a_last_layer_that_is_no_matrix(tmp_path: Path, shape: tuple[int, ...]) -> None:
    save_file({"weight": torch.rand(shape)}, tmp_path / "t.safetensors")
    (tmp_path / "list.txt").write_text("\n".join(IDS))
    for classes in (None, tmp_path / "list.txt"):
        with pytest.raises(SourceError, match=r"one row a class; got .*weight of shape \[.*\.$"):
            open_source(tmp_path / "t.safetensors", classes=classes)


def test_B93_rows_wider_than_any_network() -> None:
    wide = SourceWeights(vocabulary=BOXED, weight=torch.rand(3, WIDEST + 1))
    with pytest.raises(SourceError, match=r"65536 channels; got rows \[3, 65537\]"):
        check(wide, where="t.parquet")


def exported(path: Path) -> Path:
    """Write classes of an adapter with learned layers."""
    adapter = Adapter(Shape(kind="cosine", features=6, layers=(5,), outputs=4))
    group = ClassGroup(
        vocabulary=BOXED, weight=torch.rand(3, 4), bias=torch.rand(3), rule="sigmoid",
        adapter=adapter,
    )  # fmt: skip
    write_classes(path, ClassWeights(boxed=group))
    return path


def retold(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write exported classes again, with another text."""
    said = json.loads(read_header(path).metadata["classes"])
    change(said["groups"]["boxed"])
    save_file(load_file(path), path, metadata={"classes": json.dumps(said)})


def test_B93_an_adapter_of_sizes_that_none_has(tmp_path: Path) -> None:
    read_classes(exported(tmp_path / "classes.safetensors"))
    changes: list[Callable[[dict[str, Any]], None]] = [
        *(lambda g, n=n: g["adapter"].update(layers=[n]) for n in WRONG_SIZES),
        *(lambda g, n=n: g["adapter"].update(features=n) for n in WRONG_SIZES),
        *(lambda g, n=n: g["adapter"].update(outputs=n) for n in WRONG_SIZES),
        lambda g: g["adapter"].update(layers=[1] * 100_000),
        lambda g: g["adapter"].update(layers="555"),
        lambda g: g.update(context=10**400),
    ]
    for change in changes:
        path = exported(tmp_path / "classes.safetensors")
        retold(path, change)
        with pytest.raises(WeightsError, match=r"classes.safetensors: .*; got .*\.$"):
            read_classes(path)


def fitted(folder: Path, method: Method = "ae_wtn") -> Path:
    """Write a fitted transfer and return its record."""
    source_KD = torch.rand(5, 8)
    rows = make(
        Transfer(method=method, layers=(6,)), source_KD=source_KD, inputs=8,
        shared_C=torch.tensor([0, 3, -1]), features=6, seed=0,
    )  # fmt: skip
    save_transfer(
        folder, FittedTransfer(rows=rows, record=record_of(rows, boxed=BOXED, feature="head"))
    )
    return folder / "transfer.json"


CHANGES: dict[str, list[Any]] = {
    "inputs": [*WRONG_SIZES, 100_000, math.inf, [8]],
    "features": [*WRONG_SIZES, 100_000],
    "shared": [[0, 3, 10**30], [0, 3, math.inf], [0, 3, -7], [0, 3, 10**12], 3],
    "settings.layers": [*([n] for n in WRONG_SIZES), [1] * 100_000, "6", 6],
    "settings.neighbors": [-1, 0, "x", 1.5, None],
    "boxed": [["fine:a", "fine:a", "fine:c"]],
}


@pytest.mark.parametrize("where", CHANGES)
@pytest.mark.parametrize("method", ["ae_wtn", "lsda", "zsd", "wtn_plus_batch_norm"])
def test_B93_a_transfer_of_sizes_that_none_has(tmp_path: Path, method: Method, where: str) -> None:
    record = fitted(tmp_path, method)
    load_transfer(tmp_path)
    good = record.read_text()
    for value in CHANGES[where]:
        body = json.loads(good)
        inside = body["settings"] if "." in where else body
        inside[where.removeprefix("settings.")] = value
        record.write_text(json.dumps(body))
        with pytest.raises(WeightsError, match=r"transfer\.(json|safetensors): .*; got .*\.$"):
            load_transfer(tmp_path)


def test_B42_a_transfer_takes_no_more_memory_than_its_file(tmp_path: Path) -> None:
    record = fitted(tmp_path)
    body = json.loads(record.read_text())
    record.write_text(json.dumps(body | {"inputs": 20_000}))  # 20,000 x 20,000 numbers: 1.6 GB
    told = probe_each("transfer", [tmp_path])[tmp_path]
    assert "of another shape: mapping" in told.said
    assert told.peak < 64 * MB, told


def bombs(folder: Path) -> dict[Path, str]:
    """Write files that are small and unpack to much; return what is to be said of each."""
    many = 120
    ids, pairs = [f"a:{i}" for i in range(many)], [[float(i), float(i * i)] for i in range(many)]
    plain = {"id": ids, "vector": pairs}
    long = "x" * (4 * MB)
    made = {
        "name": ({"name": [long] * many}, {}, "1000 bytes at most; got 4194304"),
        "id": ({"id": [f"{i}{long}" for i in range(many)]}, {}, "bytes of text and"),
        "prefix": (
            {"id": [f"{long}{i}" for i in range(many)]},
            {"use_dictionary": False, "column_encoding": {"id": "DELTA_BYTE_ARRAY"}},
            "got the encoding DELTA_BYTE_ARRAY",
        ),
        "rows": (
            {"id": ["a"] * (2 * MB), "vector": pa.array([[1.0]]).take([0] * (2 * MB))}, {},
            "got 2097152 rows",
        ),
    }  # fmt: skip
    said: dict[Path, str] = {}
    for name, (columns, how, words) in made.items():
        place = folder / f"{name}.parquet"
        pq.write_table(pa.table(plain | columns), place, compression="zstd", **how)
        said[place] = words
    place = folder / "numbers.parquet"
    row = pa.FixedSizeListArray.from_arrays(pa.array(torch.zeros(4 * MB).numpy()), 4 * MB)
    group = pa.table({"id": ["a"], "vector": row})
    with pq.ParquetWriter(place, group.schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(33):
            writer.write_table(group)
    said[place] = "got 33 rows, "
    return said


def test_B42_a_small_table_that_unpacks_to_much(tmp_path: Path) -> None:
    said = bombs(tmp_path)
    assert all(place.stat().st_size < 2 * MB for place in said)
    told = probe_each("table", [*said])
    for place, words in said.items():
        assert words in told[place].said, place
        assert told[place].peak < 64 * MB, (place, told[place].peak)


def test_B42_a_table_takes_four_times_its_rows(tmp_path: Path) -> None:
    rows = torch.arange(2048 * 8192).remainder(251).double().reshape(2048, 8192)
    vector = pa.FixedSizeListArray.from_arrays(pa.array(rows.flatten().numpy()), 8192)
    columns = {"id": [f"a:{i}" for i in range(2048)], "vector": vector}
    for name, how in {"groups": {"row_group_size": 64}, "whole": {"data_page_size": 2**28}}.items():
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet", use_dictionary=False, **how)
    for place, told in probe_each("table", sorted(tmp_path.glob("*.parquet"))).items():
        assert told.said == [2048, 8192], place
        page = rows.numel() * 8 if place.stem == "whole" else 0
        assert told.peak < 4 * rows.numel() * 4 + page + 64 * MB, (place, told.peak)
