"""Files of weights, looked at before anything reads them: kind, header, sizes, digest. No torch.

A .safetensors file is 8 bytes of length, a JSON header, and numbers: reading it runs no code. A
pickle can run code, and is opened in one place only: the converter.
"""

import hashlib
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

LARGEST_HEADER = 10 * 10**6  # bytes; a thousand tensors take 0.1 million
MOST_SIDES = 16
SHOWN = 10  # names in an error, of each kind of difference
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
         "BOOL": 1}  # fmt: skip
FLOATS = ("F64", "F32", "F16", "BF16")
COUNTER = "num_batches_tracked"  # of BatchNorm, a whole number; a fixed layer has none
CONVERTED, ABOUT, CLASSES = "backbone.safetensors", "backbone.json", "vocabulary.json"
MODEL_WEIGHTS, MODEL_RECORD = "model.safetensors", "model.json"
CLASS_WEIGHTS = "classes.safetensors"  # of a model directory that was exported
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
BEGINNINGS = {  # of what people take for weights
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
}


class WeightsError(ValueError):
    """A file is no weights that can be used, or its tensors do not fit a network."""


class DamagedError(WeightsError):
    """Weights that vocabox wrote are no longer what it wrote."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor, as the header says it."""

    dtype: str  # a key of BYTES
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a .safetensors file says of itself; its size agrees."""

    tensors: dict[str, Entry]
    metadata: dict[str, str] = field(default_factory=dict[str, str])


def find_weights(place: Path) -> Path | None:
    """Return the .safetensors file that a path means: a file, a model directory, a run, a DIR.

    DIR is what `vocabox convert` wrote. None: there is nothing of the kind.
    """
    if place.is_file():
        return place
    tried = (
        (place / MODEL_RECORD, place / MODEL_WEIGHTS),
        (place / "model" / MODEL_RECORD, place / "model" / MODEL_WEIGHTS),
        (place / ABOUT, place / CONVERTED),
    )
    return next((weights for record, weights in tried if record.is_file()), None)


def is_pickle(path: Path) -> bool:
    """Say whether a file is a pickle, bare or inside the zip archive that torch.save writes.

    A .safetensors file whose header has 640 bytes begins with the same two: no pickle goes on
    with zeros.
    """
    with path.open("rb") as file:
        start = file.read(256)
    if start[2:9] == b"\0\0\0\0\0\0{":
        return False
    return start.startswith(PICKLES) or (start.startswith(b"PK\x03\x04") and b".pkl" in start)


def read_header(path: Path) -> Header:
    """Return the header of a .safetensors file; nothing larger than LARGEST_HEADER is read.

    Raises:
        WeightsError: it is another kind of file, cut, longer than it says, or against its format.
    """
    try:
        size = path.stat().st_size
        if is_pickle(path):
            raise WeightsError(
                f"{path}: a pickle (PyTorch's own format), which can run code; got {size} bytes of "
                f"it. Convert it: vocabox convert {shlex.quote(str(path))} --classes LIST --out DIR"
            )
        with path.open("rb") as file:
            start = file.read(32)
            length = int.from_bytes(start[:8], "little")
            _plausible(path, start, length=length, size=size)
            file.seek(8)
            text = file.read(length)
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read; got {error.strerror or error}. Check the path."
        ) from error
    try:
        body = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _not_safetensors(path, f"a header that is no JSON ({error})") from error
    header = _header(path, body)
    _tiled(path, body, size=size - 8 - length)
    return header


def check_digest(weights: Path) -> None:
    """Compare weights that vocabox wrote with the record that lies beside them, where one does.

    Raises:
        DamagedError: the record cannot be read, or the weights or classes are not those it names.
    """
    record = weights.parent / {CONVERTED: ABOUT, MODEL_WEIGHTS: MODEL_RECORD}.get(weights.name, "")
    if record.is_file():
        compare_digests(weights.parent, read_record_file(record).get("digests", {}))


def read_record_file(path: Path) -> dict[str, Any]:
    """Return the JSON object of a record of ours.

    Raises:
        DamagedError: it is none any more.
    """
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, f"no JSON ({error})") from error
    if not isinstance(body, dict):
        raise _damaged(path, type(body).__name__)
    return body


def compare_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """Raise DamagedError where a file is not the one that its digest was taken of."""
    for name, wanted in digests.items():
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise _damaged(folder / name, str(error.strerror)) from error
        if found != wanted:
            raise _damaged(folder / name, f"sha256 {found[:12]}, wanted {wanted[:12]}")


def wrong_types(header: Header) -> list[str]:
    """List the tensors that are no floating-point numbers, but for counters of BatchNorm."""
    return [
        f"{name} {entry.dtype}"
        for name, entry in header.tensors.items()
        if entry.dtype not in FLOATS and not name.endswith(COUNTER)
    ]


def listed(names: list[str]) -> str:
    """Return the first ten names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _plausible(path: Path, start: bytes, *, length: int, size: int) -> None:
    """Refuse what cannot be a .safetensors file by its first bytes and its size."""
    known = next((v for k, v in BEGINNINGS.items() if start.lower().startswith(k.lower())), None)
    if known is not None:
        raise _not_safetensors(path, known)
    if size < 10 or start[8:9] != b"{":
        raise _not_safetensors(path, f"{size} bytes that do not begin as one")
    if length > LARGEST_HEADER:
        raise WeightsError(
            f"{path}: its header says it is {length} bytes long, and {LARGEST_HEADER} is the most; "
            f"got a file of {size} bytes. Do not use this file; ask its publisher for another."
        )
    if size < 8 + length:
        raise _cut(path, wanted=8 + length, size=size, what="its header alone takes")


def _header(path: Path, body: Any) -> Header:
    if not isinstance(body, dict):
        raise _not_safetensors(path, f"a header that is {type(body).__name__}")
    metadata = body.get("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _not_safetensors(path, "metadata that is no mapping")
    tensors = {
        name: _entry(path, name, said) for name, said in body.items() if name != "__metadata__"
    }
    if not tensors:
        raise WeightsError(f"{path}: holds no tensor; got an empty header. Give another file.")
    return Header(tensors, {str(k): str(v) for k, v in metadata.items()})


def _entry(path: Path, name: str, said: Any) -> Entry:
    """Return one tensor's entry, or refuse what the format does not allow."""
    fields = said if isinstance(said, dict) else {}
    dtype, shape, place = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in BYTES:
        raise WeightsError(
            f"{path}: tensor {name} is of a type that is not read here; got {str(dtype)[:40]!r}. "
            f"Give weights as {', '.join(FLOATS)}."
        )
    if not (_whole(shape) and _whole(place) and len(shape) <= MOST_SIDES and len(place) == 2):
        raise _not_safetensors(path, f"tensor {name} without a shape or a place")
    return Entry(dtype, tuple(shape))


def _tiled(path: Path, body: Mapping[str, Any], *, size: int) -> None:
    """Refuse tensors that leave holes, overlap, are longer than they say, or are cut."""
    entries = ((n, said) for n, said in body.items() if n != "__metadata__")
    at = 0
    for name, said in sorted(entries, key=lambda entry: entry[1]["data_offsets"]):
        first, last = said["data_offsets"]
        if last - first != math.prod(said["shape"]) * BYTES[said["dtype"]]:
            what = f"tensor {name} of shape {said['shape']} {said['dtype']} in {last - first} bytes"
            raise _not_safetensors(path, what)
        if first != at:
            raise _not_safetensors(path, f"tensor {name} at byte {first} where {at} is next")
        at = last
    if at > size:
        raise _cut(path, wanted=at, size=size, what="its tensors take")
    if at < size:
        raise _not_safetensors(path, f"{size - at} bytes after the last tensor")


def _whole(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _not_safetensors(path: Path, got: str) -> WeightsError:
    return WeightsError(
        f"{path}: not a readable .safetensors file; got {got}. Give a file written by safetensors."
    )


def _cut(path: Path, *, wanted: int, size: int, what: str) -> WeightsError:
    return WeightsError(
        f"{path}: cut short: {what} {wanted} bytes; got {size}. Copy or download the file again."
    )


def _damaged(path: Path, got: str) -> DamagedError:
    return DamagedError(
        f"{path}: changed since it was written; got {got}. "
        "Restore the file, or make it again with the command that made it."
    )
