"""index.parquet of a set of shards read whole, or refused: a set may come from a stranger.

What the file says of itself is held against the record before a column is read, and what stands in
it against what packing can have written.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.decode import LONGEST_SIDE, MOST_BYTES
from components.data.index_schema import BOX, SCHEMA
from components.data.labelled import Supervision

HEADER = 512  # bytes of a member's header in a tar, before its own
ROW_BYTES = 32  # an index is no smaller, a row: its digests do not compress
MOST_LABELS = 1000  # boxes or labels a picture, on the average


class ShardsError(ValueError):
    """A folder that is no set of shards, or one of a newer version."""


class DamagedError(ShardsError):
    """Bytes of a set that are not those that were packed; by its name, exit code 3."""


def read_index(path: Path, record: dict[str, Any], *, classes: int) -> pa.Table:
    """Return index.parquet as it was written.

    Args:
        path: the folder of the set.
        record: its record, which has the index's digest and the number of samples.
        classes: in the set's vocabulary.

    Raises:
        DamagedError: it is not what was packed, or cannot have been packed.
    """
    place = path / "index.parquet"
    where = f"{path.name}/index.parquet"
    try:
        if place.exists() and not place.is_file():
            raise OSError("it is not a file")
        with place.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != record["index"]["sha256"]:
            raise DamagedError(
                f"{where}: damaged; got another digest than the record's. Pack the set again."
            )
        _size(place, samples=record["samples"], where=where)
        table = pq.read_table(place, schema=SCHEMA)
    except (OSError, pa.ArrowException) as error:
        raise DamagedError(f"{where}: cannot be read; got {error}. Pack the set again.") from error
    limits = {
        "shard": (0, len(record["shards"]) - 1),
        "offset": (HEADER, np.inf),
        "size": (0, MOST_BYTES),
        "width": (1, LONGEST_SIDE),
        "height": (1, LONGEST_SIDE),
        "supervision": (min(Supervision), max(Supervision)),
        **dict.fromkeys(("boxes.category", "present", "absent"), (0, classes - 1)),
        **dict.fromkeys(("boxes.x1", "boxes.y1", "boxes.x2", "boxes.y2"), (0, LONGEST_SIDE)),
    }
    for name, column in _columns(table):
        low, high = limits.get(name, (None, None))
        if problem := _wrong(column, low, high):
            raise DamagedError(f"{where}: {name} cannot be; got {problem}. Pack the set again.")
    return table


def _size(place: Path, *, samples: int, where: str) -> None:
    """Refuse an index that would grow in memory: few bytes may say that they are many rows."""
    with pq.ParquetFile(place) as file:
        about, schema = file.metadata, file.schema_arrow
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    most = max((sum(g.column(c).num_values for g in groups) for c in range(about.num_columns)),
               default=0)  # fmt: skip
    if not schema.equals(SCHEMA):
        lost = [field.name for field in SCHEMA if field not in list(schema)]
        raise DamagedError(
            f"{where}: has other columns than an index; got none, or others, for "
            f"{', '.join(lost) or 'their order'}. Pack the set again."
        )
    if about.num_rows != samples:
        raise DamagedError(
            f"{where}: {samples} samples are due; got {about.num_rows}. Pack the set again."
        )
    if samples * ROW_BYTES > place.stat().st_size or most > MOST_LABELS * max(samples, 1):
        raise DamagedError(
            f"{where}: says more than its bytes can hold; got {samples} rows and {most} values in "
            f"{place.stat().st_size} bytes. Do not use this set."
        )


def _columns(table: pa.Table) -> Iterator[tuple[str, Any]]:
    """Yield every column, and the items of those that hold lists."""
    for name in SCHEMA.names:
        column: Any = table[name]
        yield name, column
        if pa.types.is_list(column.type):
            items: Any = column.combine_chunks().flatten()
            yield name, items
            if name == "boxes":
                for field in BOX:
                    yield f"boxes.{field.name}", items.field(field.name)


def _wrong(column: Any, low: float | None, high: float | None) -> str | None:
    """Return what cannot be in a column, a nothing or a number beyond its limits."""
    if column.null_count:
        return "nothing where there is always something"
    if low is None or not len(column) or pa.types.is_nested(column.type):
        return None
    numbers = column.to_numpy()
    beyond = ~((numbers >= low) & (numbers <= high))
    return str(numbers[beyond.argmax()]) if beyond.any() else None
