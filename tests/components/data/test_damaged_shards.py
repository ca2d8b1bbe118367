"""Damage to a shard is found before a sample is used: every cut, hole and flipped bit."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.data.shards import DamagedError, Shards
from tests.components.data.small_sets import packed, photos


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return the folder of twelve photos, packed."""
    packed(tmp_path / "out", photos(tmp_path / "p", 12))
    return tmp_path / "out"


def _damaged(place: Path) -> set[int]:
    """Return the rows that are refused when they are read."""
    shards, found = Shards.open(place), set[int]()
    for row in range(len(shards)):
        try:
            shards.read(row)
        except DamagedError:
            found.add(row)
    return found


def test_a_cut_shard_is_found_wherever_it_is_cut(made: Path) -> None:
    tar, index = made / "000000.tar", pq.read_table(made / "index.parquet").to_pylist()
    whole = tar.read_bytes()
    assert _damaged(made) == set()
    for at in range(0, len(whole), 1024):
        tar.write_bytes(whole[:at])
        ends = [row["offset"] + row["size"] for row in index]
        assert _damaged(made) == {i for i, end in enumerate(ends) if end > at}


@pytest.mark.parametrize("row", [0, 5, 11])
@pytest.mark.parametrize("width", [0, 40])
def test_a_flipped_bit_and_a_hole_are_found(made: Path, row: int, width: int) -> None:
    tar = made / "000000.tar"
    index = pq.read_table(made / "index.parquet").to_pylist()[row]
    middle = index["offset"] + index["size"] // 2
    broken = np.frombuffer(tar.read_bytes(), np.uint8).copy()
    broken[middle : middle + width] = 0
    broken[middle] ^= 1
    tar.write_bytes(broken.tobytes())
    assert _damaged(made) == {row}
