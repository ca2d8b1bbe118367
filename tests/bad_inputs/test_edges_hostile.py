"""Tables of edges as Parquet that are small and unpack to much: one clear error, little memory."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bad_inputs.probes import probe_each

MB = 2**20


def written(place: Path, child: list[str], **how: Any) -> Path:
    columns = {"child": child, "parent": ["top"] * len(child)}
    pq.write_table(pa.table(columns), place, compression="zstd", **how)
    assert place.stat().st_size < 2 * MB
    return place


def test_B42_a_small_table_of_edges_that_unpacks_to_much(tmp_path: Path) -> None:
    long, many = "x" * (4 * MB), [str(i) for i in range(20_000)]
    plain = {"use_dictionary": False}
    said = {
        written(tmp_path / "two.parquet", ["y" * (120 * MB), "z" * (120 * MB)]): "got 2 rows, ",
        written(tmp_path / "one.parquet", ["y" * (60 * MB)], **plain): "text; got",
        written(tmp_path / "sum.parquet", [f"{i}{long}" for i in range(50)]): "got 50 rows, ",
        written(tmp_path / "hidden.parquet", [*many, long]): "1000 bytes at most; got 4194304",
        written(tmp_path / "hidden_plain.parquet", [*many, long], **plain): "got 4194304",
        written(
            tmp_path / "prefix.parquet", [f"{'x' * 900}{i}" for i in range(20_000)],
            column_encoding={"child": "DELTA_BYTE_ARRAY"}, **plain,
        ): "got the encoding DELTA_BYTE_ARRAY",
    }  # fmt: skip
    for place, told in probe_each("edges", [*said]).items():
        assert said[place] in str(told.said), (place, told)
        assert told.peak < 64 * MB, (place, told.peak)


def test_B42_ids_of_the_longest_length_are_read(tmp_path: Path) -> None:
    place = written(tmp_path / "long.parquet", [f"{i:01000}" for i in range(20_000)])
    told = probe_each("edges", [place])[place]
    assert told.said == 20_001
