"""An overlay on disk: overlay.parquet and record.json, written by us and read from anybody.

The record holds the mode, the digest of the set it is of, the table's digest, and what its maker
says of it (a teacher's digest, thresholds). Equal overlays give equal bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.decode import LONGEST_SIDE
from components.data.labelled import Supervision
from components.data.overlays import FOUND, LABELS, MODES, Mode, Overlay, OverlayError
from components.data.parquet_footer import chunks_of
from components.data.read_index import MOST_LABELS, DamagedError

VERSION = 1
TABLE, RECORD = "overlay.parquet", "record.json"
MOST_JSON = 16 * 2**20  # bytes of a record
NONE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
PLAIN = {"PLAIN", "RLE"}  # encodings of text whose size is that of its bytes
LARGEST, SLACK = 128, 2**16  # bytes of a key or a number, and of a chunk
NAMES: dict[str, pa.DataType] = {"key": pa.string(), "sha256": pa.binary(32)}
BOX_LIMITS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("x1", "y1", "x2", "y2"), (0, LONGEST_SIDE)),
    "flags": (0, 255),
    "weight": (0, 1e6),
    **dict.fromkeys(FOUND, (0, 1)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """The pictures of a set by which an overlay is written: columns of its index."""

    digest: str  # of the set
    key: pa.ChunkedArray
    sha256: pa.ChunkedArray


def write_overlay(
    out: Path,
    *,
    mode: Mode,
    of: Named,
    rows: np.ndarray,
    labels: Mapping[str, pa.Array] | None = None,
    about: Mapping[str, Any] | None = None,
) -> str:
    """Write an overlay; return its digest.

    Args:
        out: an empty folder.
        mode: what it does with the rows it lists.
        of: the set.
        rows: int64 [M], ascending, of the set.
        labels: columns of LABELS, of M entries each.
        about: what its maker says of it; JSON.
    """
    labels = labels or {}
    if strange := set(labels) - set(MODES[mode]):
        raise OverlayError(
            f"overlay: mode {mode} has the columns {', '.join(MODES[mode]) or 'none'}; got "
            f"{', '.join(sorted(strange))}. Take another mode."
        )
    at = pa.array(rows)
    columns = [
        of.key.take(at),
        of.sha256.take(at),
        *(pa.chunked_array([c]) for c in labels.values()),
    ]
    kinds = {**NAMES, **{name: LABELS[name] for name in labels}}
    table = pa.table(columns, schema=pa.schema([*kinds.items()]))
    pq.write_table(table, out / TABLE, compression="zstd", use_dictionary=False, store_schema=False)
    data = (out / TABLE).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    record = {
        "version": VERSION, "kind": "overlay", "mode": mode, "parent": of.digest,
        "samples": len(table), "overlay": {"file": TABLE, "bytes": len(data), "sha256": digest},
        "about": dict(about or {}),
    }  # fmt: skip
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, indent=1)
    (out / RECORD).write_text(text, "utf-8")
    return _digest(record)


def read_overlay(path: Path, *, classes: int, pictures: int) -> tuple[Overlay, dict[str, Any]]:
    """Return an overlay and what its maker says of it.

    Args:
        path: the folder.
        classes: of the set's vocabulary.
        pictures: of the set; an overlay lists no more.

    Raises:
        OverlayError: it is none, or of a newer version.
        DamagedError: it is not what was written, or cannot have been written.
    """
    try:
        place = path / RECORD
        if not place.is_file() or place.stat().st_size > MOST_JSON:
            raise OSError(f"{RECORD} is no file of at most {MOST_JSON} bytes")
        record = json.loads(place.read_text("utf-8"))
        version, mode, parent = int(record["version"]), record["mode"], str(record["parent"])
        digest, samples, about = record["overlay"]["sha256"], record["samples"], record["about"]
        if record["kind"] != "overlay" or mode not in MODES:
            raise ValueError(f"kind {record['kind']!r:.40}, mode {mode!r:.40}")
    except NONE as error:
        raise OverlayError(f"{path}: not an overlay; got {error!r:.200}. Name another.") from error
    if version > VERSION:
        raise OverlayError(
            f"{path}: record version {version}; got a newer overlay than this vocabox reads, "
            f"which is up to {VERSION}. Update vocabox."
        )
    where = f"{path.name}/{TABLE}"
    try:
        _held(path / TABLE, digest=digest)
        with pq.ParquetFile(path / TABLE) as file:
            kinds = _fits(file, samples=samples, mode=mode, pictures=pictures)
        table = pq.read_table(path / TABLE, schema=pa.schema([*kinds.items()]))
        _within(table, classes=classes)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DamagedError(f"{where}: {error!s:.300}. Make the overlay again.") from error
    overlay = Overlay(
        mode=mode, parent=parent, digest=_digest(record), where=str(path), table=table
    )
    return overlay, dict(about)


def _held(place: Path, *, digest: Any) -> None:
    """Hold the table's bytes against the record."""
    if not place.is_file():
        raise OSError("there is no such file")
    with place.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise ValueError("damaged; got another digest than the record's")


def _fits(
    file: pq.ParquetFile, *, samples: Any, mode: Mode, pictures: int
) -> dict[str, pa.DataType]:
    """Hold a footer against the record and the set; return the columns and their types.

    A few bytes can say that they are any number of rows, values, or of text.
    """
    about, names = file.metadata, file.schema_arrow.names
    allowed = {**NAMES, **{name: LABELS[name] for name in MODES[mode]}}
    if len({*names}) < len(names) or not {*NAMES} <= {*names} <= {*allowed}:
        raise ValueError(f"columns {', '.join(allowed)} are due; got {', '.join(names)}")
    if about.num_rows != samples or about.num_rows > pictures:
        raise ValueError(f"{samples} rows are due, of {pictures} pictures; got {about.num_rows}")
    values = {name: 0 for name in names}
    for chunk in chunks_of(about, names):
        name = chunk.path_in_schema.partition(".")[0]
        values[name] = max(values[name], chunk.num_values)
        if name == "key" and not {*chunk.encodings} <= PLAIN:
            raise ValueError(f"keys are plain text; got the encodings {chunk.encodings}")
        if chunk.total_uncompressed_size > LARGEST * chunk.num_values + SLACK:
            raise ValueError(f"{name} unpacks to {chunk.total_uncompressed_size} bytes")
    if max(values.values()) > MOST_LABELS * max(about.num_rows, 1):
        raise ValueError(f"more labels than pictures have; got {max(values.values())}")
    return {name: allowed[name] for name in names}


def _within(table: pa.Table, *, classes: int) -> None:
    """Refuse nothing where something is due, and numbers that stand for nothing in such a set."""
    for name in table.column_names:
        column: Any = table[name].combine_chunks()
        _numbers(column, name, None)
        if name in ("present", "absent"):
            _numbers(column.flatten(), name, (0, classes - 1))
        elif name == "supervision":
            _numbers(column, name, (min(Supervision), max(Supervision)))
        elif name == "boxes":
            flat = column.flatten()
            _numbers(flat, name, None)
            for field, limits in (BOX_LIMITS | {"category": (0, classes - 1)}).items():
                _numbers(flat.field(field), f"{name}.{field}", limits)


def _numbers(column: Any, name: str, limits: tuple[float, float] | None) -> None:
    if column.null_count:
        raise ValueError(f"{name} has {column.null_count} empty places")
    if limits is not None and len(column):
        numbers = column.to_numpy(zero_copy_only=False)
        beyond = ~((numbers >= limits[0]) & (numbers <= limits[1]))
        if beyond.any():
            raise ValueError(f"{name} cannot be {numbers[beyond.argmax()]}")


def _digest(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
