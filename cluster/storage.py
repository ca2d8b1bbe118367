"""A store: where results and runs are kept. What is put there is absent or whole, and stays."""

import json
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

from cluster.disk import Disk
from cluster.local_store import LocalStore
from cluster.store_errors import FULL, DamagedError, StorageError, StoreError, fault
from cluster.store_files import Check, Files, Sync, Wrong

__all__ = [
    "BUCKETS", "FORMAT", "DamagedError", "LocalStore", "StorageError", "Store", "StoreError",
    "fault", "open_store",
]  # fmt: skip
FORMAT = 1
BUCKETS = ("s3", "gs")  # schemes of object stores
Mode = Literal["read", "write", "join"]


class Store(Protocol):
    """What the graph asks of a store. Names are relative, with `/`; none is written twice.

    All verbs raise StorageError when the store is full, broken or cannot be reached, after as
    many tries as make sense.
    """

    @property
    def uri(self) -> str:
        """Return what `open_store` takes to open it again, in any process."""
        ...

    @property
    def home(self) -> Path:
        """Return this machine's own folder for it: scratch, runs, and what was brought here."""
        ...

    def put_new(self, name: str, data: bytes | Path, *, sync: Sync = "durable") -> bool:
        """Create a name with these bytes (or a file's), whole; return False if it is there."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a name, or None where it is absent."""
        ...

    def list(self, name: str) -> list[str]:
        """Return the sorted last parts of the names directly below a name; none with a dot."""
        ...

    def exists(self, name: str) -> bool:
        """Say whether a name, or something below it, is there."""
        ...

    def size(self, name: str) -> int | None:
        """Return the bytes of a name, or None where it is absent."""
        ...

    def delete(self, name: str) -> None:
        """Remove a name; absent is fine."""
        ...

    def new_folder(self, name: str) -> Path:
        """Make a fresh folder on this machine, to be filled and published under this name."""
        ...

    def publish(self, name: str, folder: Path, *, sync: Sync = "durable") -> None:
        """Make the files of a filled folder part of the store, before a record names them."""
        ...

    def folder(self, name: str, files: Files) -> Path:
        """Return where these files of a published folder can be read on this machine.

        Raises:
            DamagedError: what the store gives is not what these digests say.
        """
        ...

    def measure(self, name: str) -> tuple[int, float] | None:
        """Return the bytes of a name and of all below it, and the newest time stamp among them.

        The stamp is in seconds, by the clock of the store; None where the name is absent.
        """
        ...

    def faults(self, name: str, files: Files, *, check: Check) -> Wrong:
        """List what is wrong with the files of a published folder."""
        ...

    def drop(self, name: str) -> None:
        """Remove a folder that no record names; absent is fine."""
        ...

    def set_aside(self, name: str) -> str | None:
        """Move a damaged name or folder to quarantine/ and return its place; None if absent."""
        ...

    def scratch(self, key: str) -> Path:
        """Return the folder of this machine that survives a failed attempt of a key."""
        ...

    def keep(self, name: str, folder: Path) -> None:
        """Carry the files of a folder into the store as they are now; again replaces them."""
        ...

    def fetch(self, name: str, *, only: frozenset[str] | None = None) -> Path | None:
        """Bring a kept folder here; None where nothing is kept.

        With `only`, of its files those named; a name that ends in / is all below it. A file that
        is not as it was kept is left out.
        """
        ...


def open_store(where: str, *, mode: Mode = "write", disk: Disk | None = None) -> Store:
    """Open a store, or make one where nothing is yet (mode write).

    Args:
        where: a folder, file:///folder, s3://bucket/prefix or gs://bucket/prefix.
        mode: read never writes, and a place that is not there yet is an empty store; write tries
            whether it can be written; join is for a worker: the store must be there.
        disk: through which a store on this machine reaches its folder.

    Raises:
        StoreError: not a store, not writable, of a newer version, or a scheme not known.
        StorageError: the disk is full or broken.
    """
    scheme = urlsplit(where).scheme if "://" in where else ""
    if scheme in BUCKETS:
        from cluster.bucket_door import open_bucket

        return open_bucket(where, mode=mode)
    return open_folder(_place(where), mode=mode, disk=disk or Disk())


def open_folder(root: Path, *, mode: Mode, disk: Disk) -> LocalStore:
    """Open or make a store in a folder of this machine."""
    if root.exists() and not root.is_dir():
        raise StoreError(f"--store: must be a folder; got a file, {root}. Name another place.")
    record = root / "format"
    store = LocalStore(root, disk=disk)
    try:
        if record.is_file():
            check_format(record.read_bytes(), where=str(root))
        elif root.is_dir() and not all(map(_is_draft, root.iterdir())):
            raise StoreError(
                f"--store: {root} holds other files and no store (there is no 'format' in it). "
                "Name an empty folder, or one that is not there yet."
            )
        elif mode == "join":
            raise StoreError(
                f"--store: must be seen by every machine that works; got {root}, which is not on "
                f"{os.uname().nodename}. Name a shared folder, s3:// or gs://."
            )
        elif mode == "write":
            root.mkdir(parents=True, exist_ok=True)
            disk.fsync(root.parent)
            store.put_new("format", json.dumps({"version": FORMAT}).encode())
        if mode == "write":
            _probe(root, disk)
    except OSError as error:
        if error.errno in FULL:
            raise fault(error, root) from error
        reason = error.__cause__ if isinstance(error, StorageError) else error
        said = getattr(reason, "strerror", None) or str(reason)
        raise StoreError(
            f"--store: {root} cannot be written; got '{said}'. "
            "Name a place you may write to, with room."
        ) from error
    return store


def check_format(data: bytes, *, where: str) -> dict[str, object]:
    """Return the record of a store; refuse what is none, or of another version."""
    try:
        found = json.loads(data)
        version = found["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"--store: {where}/format is not the record of a store; got {data[:40]!r}. "
            "Name another place."
        ) from error
    if version != FORMAT:
        raise StoreError(
            f"--store: {where} has format {version}; this vocabox writes {FORMAT}. "
            "Use the vocabox that made it, or another place."
        )
    return found


def _place(where: str) -> Path:
    parts = urlsplit(where)
    if parts.scheme == "file":
        return Path(parts.path).absolute()
    if "://" in where:
        meant = " (of Google's buckets it is gs)" if parts.scheme == "gcs" else ""
        raise StoreError(
            f"--store: no store has the scheme '{parts.scheme}'{meant}; got '{where}'. "
            "Name a folder, file:///folder, s3://bucket/prefix or gs://bucket/prefix."
        )
    if not where:
        raise StoreError("--store: a folder is needed; got ''. Name one.")
    return Path(where).expanduser().absolute()


def _is_draft(path: Path) -> bool:
    """Say whether a file is what a killed writer left: a store that was being made has one."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _probe(root: Path, disk: Disk) -> None:
    """Write and remove one byte, because permissions alone do not tell."""
    draft = root / f".{uuid.uuid4().hex}.tmp"
    try:
        disk.write_new(draft, b"x")
    finally:
        with suppress(OSError):
            disk.remove(draft)
