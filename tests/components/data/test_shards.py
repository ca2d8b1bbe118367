import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.data.shards import Shards, ShardsError, _boxes, _numbers
from tests.components.data.small_sets import jpeg, known, packed, photos


def test_columns_are_the_targets_in_a_row(tmp_path: Path) -> None:
    samples = [
        *photos(tmp_path / "p", 9),
        known(jpeg(tmp_path / "a.jpg"), (1, 2, 9, 9), (3, 3, 8, 8)),
        known(jpeg(tmp_path / "b.jpg", shade=9)),
        known(jpeg(tmp_path / "c.jpg", shade=19), (0, 0, 5, 5)),
    ]
    shards = packed(tmp_path / "out", samples)
    boxes = shards.box_columns()
    rows, classes = shards.label_columns()
    for row in range(len(shards)):
        target = shards.target(row)
        np.testing.assert_array_equal(boxes["corners"][boxes["row"] == row], target.boxes)
        np.testing.assert_array_equal(boxes["category"][boxes["row"] == row], target.labels)
        np.testing.assert_array_equal(classes[rows == row], target.present)
    assert shards.box_counts().sum() == 3
    assert shards.boxed().sum() == 3


def test_lists_of_slices_and_of_several_chunks() -> None:
    """A table's chunks are no promise: offsets of a slice do not begin at 0."""
    rows = [[5, 6], [], [7], [8, 9, 10], []]
    whole = pa.array(rows, pa.list_(pa.int32()))
    for column in (
        pa.chunked_array([whole[1:]]),
        pa.chunked_array([whole[1:3], whole[3:]]),
    ):
        at, values = _numbers(column)
        assert at.tolist() == [0, 0, 1, 4, 4]
        assert values.tolist() == [7, 8, 9, 10]
    names = ("category", "x1", "y1", "x2", "y2", "flags", "weight")
    kinds = [pa.int32(), *[pa.float32()] * 4, pa.uint8(), pa.float32()]
    box = pa.list_(pa.struct(list(zip(names, kinds, strict=True))))
    boxes = pa.array([[dict.fromkeys(names, i)] * i for i in range(4)], box)
    at, found = _boxes(pa.chunked_array([boxes[2:3], boxes[3:]]))
    assert at.tolist() == [0, 2, 5]
    assert found["category"].tolist() == [2, 2, 3, 3, 3]
    assert found["corners"][:, 2].tolist() == [2, 2, 3, 3, 3]


def test_a_damaged_byte_is_named_with_its_place(tmp_path: Path) -> None:
    shards = packed(tmp_path / "out", photos(tmp_path / "p", 6))
    offset = int(shards._column["offset"][4])
    place = tmp_path / "out" / "000000.tar"
    data = bytearray(place.read_bytes())
    data[offset + 100] ^= 1
    place.write_bytes(data)
    again = Shards.open(tmp_path / "out")
    assert again.read(3) == shards.read(3)
    with pytest.raises(ShardsError, match=f"000000.tar, byte {offset}: sample 4 is damaged"):
        again.read(4)


def test_a_cut_or_lost_shard(tmp_path: Path) -> None:
    packed(tmp_path / "out", photos(tmp_path / "p", 6))
    place = tmp_path / "out" / "000000.tar"
    os.truncate(place, 5000)
    with pytest.raises(ShardsError, match=r"sample 5 is damaged; got \d+ of \d+ bytes"):
        Shards.open(tmp_path / "out").read(5)
    place.unlink()
    with pytest.raises(ShardsError, match=r"000000.tar: cannot be read; got .*No such file"):
        Shards.open(tmp_path / "out").read(0)


def test_a_damaged_index(tmp_path: Path) -> None:
    packed(tmp_path / "out", photos(tmp_path / "p", 6))
    place = tmp_path / "out" / "index.parquet"
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    with pytest.raises(ShardsError, match=r"out/index.parquet: damaged"):
        Shards.open(tmp_path / "out")
    place.unlink()
    with pytest.raises(ShardsError, match=r"index.parquet: cannot be read"):
        Shards.open(tmp_path / "out")


def test_what_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(ShardsError, match="not a set of shards; got FileNotFoundError"):
        Shards.open(tmp_path)
    packed(tmp_path / "out", photos(tmp_path / "p", 2))
    place = tmp_path / "out" / "record.json"
    record = json.loads(place.read_text())
    for change, message in (
        ({"version": 99}, "record version 99; got a newer set"),
        ({"samples": 3}, "3 samples are due; got 2"),
        ({"index": {}}, "not a set of shards; got KeyError"),
    ):
        place.write_text(json.dumps(record | change))
        with pytest.raises(ShardsError, match=message):
            Shards.open(tmp_path / "out")


def test_a_forked_process_reads_through_the_same_handle(tmp_path: Path) -> None:
    shards = packed(tmp_path / "out", photos(tmp_path / "p", 6))
    wanted = [shards.read(r) for r in range(6)]
    child = os.fork()
    if child == 0:
        os._exit(0 if [shards.read(r) for r in range(6)] == wanted else 1)
    assert [shards.read(r) for r in range(6)] == wanted
    assert os.waitpid(child, 0)[1] == 0
