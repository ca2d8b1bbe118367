"""Shards read back through their index: pictures by row, targets by row, bytes verified.

A set may come from a stranger. Only bytes that the index names are read, from plain files beside
it, of members that are pictures; nothing is unpacked, decompressed, unpickled or run.
"""

import hashlib
import json
import os
import re
import stat
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.data.decode import SUFFIXES
from components.data.index_schema import RECORD_VERSION
from components.data.labelled import Supervision, Target
from components.data.read_index import DamagedError, ShardsError, read_index
from components.vocab.classes import Vocabulary, VocabularyError

HEADER = tarfile.BLOCKSIZE
SHARD = re.compile(r"[0-9A-Za-z_-]{1,100}\.tar")
MEMBER = re.compile(rf"[0-9A-Za-z_-]{{1,100}}\.({'|'.join(SUFFIXES.values())})")
MOST_JSON = 16 * 2**20  # bytes of the record, and of the vocabulary
NONE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)


class Shards:
    """One set of shards. Columns are numpy; pictures are read when they are asked for."""

    def __init__(self, path: Path, record: dict[str, Any], vocabulary: Vocabulary) -> None:
        self.path, self.record, self.vocabulary = path, record, vocabulary
        table = read_index(path, record, classes=len(vocabulary.ids))
        self.digest: str = record["index"]["sha256"]
        self._column = {
            name: table[name].to_numpy(zero_copy_only=False)
            for name in ("shard", "offset", "size", "width", "height", "supervision")
        }
        self._text = {n: table[n] for n in ("key", "source_name", "source_id", "sha256")}
        self._box_at, self._box = _boxes(table["boxes"])
        self._present_at, self._present = _numbers(table["present"])
        self._absent_at, self._absent = _numbers(table["absent"])
        self._files: dict[int, int] = {}
        self._verified: set[int] = set()

    @classmethod
    def open(cls, path: Path) -> "Shards":
        """Open a set; raise ShardsError when it is none, or of a newer version."""
        try:
            for name in ("record.json", "vocabulary.json"):
                _plain(path / name)
            record = json.loads((path / "record.json").read_text(encoding="utf-8"))
            version, _ = int(record["version"]), record["samples"]
            names = [str(shard["file"]) for shard in record["shards"]]
            _ = record["index"]["sha256"]
        except NONE as error:
            raise ShardsError(
                f"{path}: not a set of shards; got {error!r}. Name a folder that pack wrote."
            ) from error
        if version > RECORD_VERSION:
            raise ShardsError(
                f"{path}: record version {version}; got a newer set than this vocabox "
                f"reads, which is up to {RECORD_VERSION}. Update vocabox."
            )
        if wrong := [name for name in names if not SHARD.fullmatch(name)]:
            raise DamagedError(
                f"{path}: a shard is a tar file beside its record; got {wrong[0]!r:.80}. "
                "Do not use this set."
            )
        try:
            return cls(path, record, Vocabulary.read(path / "vocabulary.json"))
        except VocabularyError as error:
            raise ShardsError(str(error)) from error

    def __len__(self) -> int:
        return len(self._column["shard"])

    def size(self, row: int) -> tuple[int, int]:
        """Return (width, height) of the upright picture, px."""
        return int(self._column["width"][row]), int(self._column["height"][row])

    def source_name(self, row: int) -> str:
        """Return the picture's file name in its source."""
        return str(self._text["source_name"][row])

    def source_id(self, row: int) -> str:
        """Return the picture's id in its source."""
        return str(self._text["source_id"][row])

    def read(self, row: int) -> bytes:
        """Return the picture's bytes; held against their digest the first time.

        Raises:
            DamagedError: a shard is missing, cut or changed, or the member is no plain picture.
        """
        shard, offset = int(self._column["shard"][row]), int(self._column["offset"][row])
        size = int(self._column["size"][row])
        name = self.record["shards"][shard]["file"]
        try:
            if shard not in self._files:
                self._files[shard] = _open(self.path / name)
            data = os.pread(self._files[shard], size, offset)
        except OSError as error:
            raise DamagedError(
                f"{name}: cannot be read; got {error}. Pack the set again."
            ) from error
        if row not in self._verified:
            digest = hashlib.sha256(data).digest()
            if digest != self._text["sha256"][row].as_py():
                raise DamagedError(
                    f"{name}, byte {offset}: sample {row} is damaged; got {len(data)} of {size} "
                    "bytes with another digest. Pack the set again."
                )
            header = os.pread(self._files[shard], HEADER, offset - HEADER)
            if wrong := _member(header, key=str(self._text["key"][row]), size=size):
                raise DamagedError(
                    f"{name}, byte {offset - HEADER}: sample {row} is not the picture that the "
                    f"index names; got {wrong}. Pack the set again."
                )
            self._verified.add(row)
        return data

    def target(self, row: int) -> Target:
        """Return what is known of a picture; boxes in pixels of the upright original."""
        at = slice(int(self._box_at[row]), int(self._box_at[row + 1]))
        return Target(
            boxes=self._box["corners"][at],
            labels=self._box["category"][at],
            flags=self._box["flags"][at],
            weights=self._box["weight"][at],
            present=self._present[self._present_at[row] : self._present_at[row + 1]],
            absent=self._absent[self._absent_at[row] : self._absent_at[row + 1]],
            supervision=Supervision(int(self._column["supervision"][row])),
        )

    def box_counts(self) -> np.ndarray:
        """Return int64 [rows]: how many boxes each picture has."""
        return np.diff(self._box_at)

    def label_counts(self) -> np.ndarray:
        """Return int64 [rows]: how many classes are known to be present in each picture."""
        return np.diff(self._present_at)

    def label_columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all labels as columns: row and class known to be present, int64 [P] each."""
        return np.repeat(np.arange(len(self)), self.label_counts()), self._present

    def boxed(self) -> np.ndarray:
        """Return bool [rows]: whether every object of the boxed classes has its box."""
        return self._column["supervision"] == int(Supervision.BOXED)

    def box_columns(self) -> dict[str, np.ndarray]:
        """Return all boxes as columns: row, category, flags [R], corners [R, 4]."""
        rows = np.repeat(np.arange(len(self)), self.box_counts())
        return {"row": rows, **self._box}

    def __del__(self) -> None:
        for handle in getattr(self, "_files", {}).values():
            os.close(handle)


def _plain(path: Path) -> None:
    """Refuse what is no file, before it is waited for, or would grow in memory."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(f"{path.name} is not a file")
    if about.st_size > MOST_JSON:
        raise OSError(f"{path.name} has {about.st_size} bytes; at most {MOST_JSON}")


def _open(path: Path) -> int:
    """Open a shard, which is a file: a pipe would wait for ever."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path.name} is not a file")
    return handle


def _member(header: bytes, *, key: str, size: int) -> str | None:
    """Return what a tar header is, where it is not that of a plain picture of this key and size."""
    try:
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        return f"no tar header ({error}): it begins with {header[:8]!r}"
    if member.type != tarfile.REGTYPE:
        return f"a member of type {member.type!r} named {member.name!r:.80}"
    if not MEMBER.fullmatch(member.name) or member.name.rpartition(".")[0] != key:
        return f"a member named {member.name!r:.80}"
    return None if member.size == size else f"a member of {member.size} bytes, not {size}"


def _lists(column: pa.ChunkedArray) -> tuple[np.ndarray, Any]:
    """Return where each row's items begin, int64 [rows + 1] from 0, and the items of all rows."""
    if not len(column):
        return np.zeros(1, np.int64), None
    whole: Any = column.combine_chunks()
    offsets = whole.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], whole.flatten()  # a slice's offsets do not begin at 0


def _boxes(column: pa.ChunkedArray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    at, flat = _lists(column)

    def of(name: str, kind: type) -> np.ndarray:
        if not at[-1]:
            return np.zeros(0, kind)
        return flat.field(name).to_numpy(zero_copy_only=False).astype(kind)

    return at, {
        "category": of("category", np.int64),
        "corners": np.stack([of(c, np.float32) for c in ("x1", "y1", "x2", "y2")], 1),
        "flags": of("flags", np.uint8),
        "weight": of("weight", np.float32),
    }


def _numbers(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    at, flat = _lists(column)
    if not at[-1]:
        return at, np.zeros(0, np.int64)
    return at, flat.to_numpy(zero_copy_only=False).astype(np.int64)
