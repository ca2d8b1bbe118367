"""Overlays: other labels for the pictures of a set, whose bytes stay where they are.

An overlay names its set by digest and its pictures by key and sha256, so that it can lie on no
other set. Pseudo labels, label splits and label subsets are overlays. A stack of them resolves
left to right: `replace` puts its columns in place of those of the rows it lists, `add` appends
boxes to them, `keep` leaves only the rows it lists. One that lies in a stack twice counts once.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from components.data.index_schema import BOX, SCHEMA
from components.data.read_index import ShardsError

Mode = Literal["replace", "add", "keep"]
FOUND = ("score", "quality")  # of a box that a teacher found: class score p, quality of place v
OVERLAY_BOX = pa.struct([*BOX, *(pa.field(name, pa.float32()) for name in FOUND)])
LABELS: dict[str, pa.DataType] = {
    "boxes": pa.list_(OVERLAY_BOX),
    "present": pa.list_(pa.int32()),
    "absent": pa.list_(pa.int32()),
    "supervision": pa.uint8(),
}
MODES: dict[Mode, tuple[str, ...]] = {  # which columns each may have
    "replace": tuple(LABELS),
    "add": ("boxes",),
    "keep": (),
}


class OverlayError(ShardsError):
    """An overlay of another set, or one that cannot be laid."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Overlay:
    """Labels of some pictures of a set."""

    mode: Mode
    parent: str  # digest of the set that it is of
    digest: str  # its own
    where: str  # it lies, for messages
    table: pa.Table  # key, sha256, and columns of LABELS that the mode has


def resolved(table: pa.Table, overlays: Sequence[Overlay], *, of: str) -> pa.Table:
    """Return the index of a set with a stack of overlays laid on it, left to right.

    Args:
        table: the set's index, as SCHEMA.
        overlays: all made for this set.
        of: the set's digest.

    Raises:
        OverlayError: one was made for another set, or names a picture that this one has not, or
            that an overlay below it left out.
    """
    laid: set[str] = set()
    for overlay in overlays:
        if overlay.parent != of:
            raise OverlayError(
                f"{overlay.where}: made for another set; got one of {overlay.parent:.12} for "
                f"{of:.12}. Lay it on the set that it was made for."
            )
        if overlay.digest not in laid:
            table = LAY[overlay.mode](table, overlay.table, _rows(table, overlay))
            laid.add(overlay.digest)
    return table


def stack_digest(of: str, overlays: Sequence[Overlay]) -> str:
    """Return the digest of a set with its overlays; that of the set where there are none."""
    stack = [*dict.fromkeys(overlay.digest for overlay in overlays)]
    text = json.dumps([of, *stack])
    return hashlib.sha256(text.encode()).hexdigest() if stack else of


def _rows(table: pa.Table, overlay: Overlay) -> np.ndarray:
    """Return the row of the set that each row of an overlay is about, int64."""
    at = {key: row for row, key in enumerate(table["key"].to_pylist())}
    keys = overlay.table["key"].to_pylist()
    if lost := [key for key in keys if key not in at]:
        raise OverlayError(
            f"{overlay.where}: names pictures of its set; got {len(lost)} that are not in it, or "
            f"were left out by an overlay below, such as {lost[0]!r:.80}. Make it again."
        )
    rows = np.array([at[key] for key in keys], np.int64)
    own, its = overlay.table["sha256"].to_pylist(), table["sha256"].take(pa.array(rows)).to_pylist()
    changed = [key for key, a, b in zip(keys, own, its, strict=True) if a != b]
    if changed or len(at) != len(table) or len({*keys}) != len(keys):
        raise OverlayError(
            f"{overlay.where}: names each picture once, by its bytes; got {len(changed)} with "
            f"other bytes and {len(keys) - len({*keys})} twice. Make it again."
        )
    return rows


def _keep(table: pa.Table, labels: pa.Table, rows: np.ndarray) -> pa.Table:
    del labels
    return table.take(pa.array(np.sort(rows)))


def _replace(table: pa.Table, labels: pa.Table, rows: np.ndarray) -> pa.Table:
    """Put columns of listed rows in place of the set's."""
    chosen = np.arange(len(table))
    chosen[rows] = len(table) + np.arange(len(rows))
    for name in labels.column_names:
        if name in LABELS:
            column = _plain(labels[name]) if name == "boxes" else labels[name]
            both = pa.chunked_array([*table[name].chunks, *column.chunks], SCHEMA.field(name).type)
            table = _with(table, name, both.take(pa.array(chosen)))
    return table


def _add(table: pa.Table, labels: pa.Table, rows: np.ndarray) -> pa.Table:
    """Append boxes to those of listed rows, after them."""
    mine: Any = table["boxes"].combine_chunks()
    more: Any = _plain(labels["boxes"]).combine_chunks()
    owners = np.concatenate([_owners(mine, np.arange(len(table))), _owners(more, rows)])
    order = np.argsort(owners, kind="stable")
    offsets = np.zeros(len(table) + 1, np.int32)
    np.cumsum(np.bincount(owners, minlength=len(table)), out=offsets[1:])
    items = pa.concat_arrays([mine.flatten(), more.flatten()]).take(pa.array(order))
    boxes = pa.ListArray.from_arrays(pa.array(offsets), items)
    return _with(table, "boxes", pa.chunked_array([boxes.cast(SCHEMA.field("boxes").type)]))


def _owners(lists: Any, rows: np.ndarray) -> np.ndarray:
    """Return the row that each item of some lists is of."""
    return np.repeat(rows, np.diff(lists.offsets.to_numpy()))


def _plain(boxes: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return boxes without what their finder said of them, as an index has them."""
    whole: Any = boxes.combine_chunks()
    flat = whole.flatten()
    offsets = whole.offsets.to_numpy() - (whole.offsets[0].as_py() if len(whole.offsets) else 0)
    fields = [*BOX]
    items = pa.StructArray.from_arrays([flat.field(f.name) for f in fields], fields=fields)
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items)])


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), SCHEMA.field(name), column)


LAY = {"replace": _replace, "add": _add, "keep": _keep}
