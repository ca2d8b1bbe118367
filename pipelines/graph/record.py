"""The record of a finished node: its manifest, its files, and whether they are still whole."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.storage import DamagedError, Store
from cluster.store_files import Check
from pipelines.graph.circumstances import boot
from pipelines.graph.key import SCHEMA, Identity, canonical, sha256
from pipelines.graph.outside import files_digest

_whole: set[tuple[str, str, str]] = set()  # store, key, how: checked in this process


@dataclass(frozen=True, slots=True)
class Record:
    """One manifest. `body` is what stands in it, without its own digest."""

    body: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Return the key of the node."""
        return self.body["key"]

    @property
    def files(self) -> dict[str, tuple[int, str]]:
        """Return name -> (bytes, sha256)."""
        return {name: (size, digest) for name, (size, digest) in self.body["files"].items()}

    @property
    def digest(self) -> str:
        """Return the digest of the artifact: names, sizes and bytes of its files, or its units."""
        if self.units is not None:
            return sha256(canonical({"units": [digest for _, digest in self.units]}))
        return files_digest([(n, s, d) for n, (s, d) in self.files.items()])

    @property
    def units(self) -> list[tuple[str, str]] | None:
        """Return (key, digest) of each unit of a map, in order; None of an ordinary node."""
        units = self.body.get("units")
        return None if units is None else [(key, digest) for key, digest in units]

    @property
    def fast(self) -> str | None:
        """Return the boot of the machine in which files were written and not flushed to disk."""
        return self.body.get("fast")

    @property
    def may_be_torn(self) -> bool:
        """Say whether a power cut may have taken what was not flushed."""
        return self.fast is not None and self.fast != boot()

    @property
    def seconds(self) -> float:
        """Return how long the body took."""
        return float(self.body["seconds"])

    @property
    def size(self) -> int:
        """Return the bytes of all files; of a map those of its units."""
        own = sum(size for size, _ in self.files.values())
        return own + int(self.body.get("unit_bytes", 0))

    @property
    def name(self) -> str:
        """Return the name of the artifact's folder in a store."""
        return f"{home(self.key)}/{self.body['attempt']}"

    def place(self, store: Store) -> Path:
        """Return the folder of the artifact on this machine; it is brought here if it is not yet.

        Raises:
            DamagedError: the store gives other bytes than this record says; it was set aside.
        """
        try:
            return store.folder(self.name, self.files)
        except DamagedError as error:
            raise set_aside(store, self, [str(error)]) from error

    def role(self, name: str, *, where: str) -> str:
        """Return the digest of one file or folder of the artifact.

        Raises:
            DamagedError: the artifact has nothing of that name.
        """
        if name in self.files:
            return files_digest([("", *self.files[name])])
        below = f"{name.rstrip('/')}/"
        inside = [(n[len(below) :], *e) for n, e in self.files.items() if n.startswith(below)]
        if not inside:
            first = ", ".join(list(self.files)[:5])
            raise DamagedError(
                f"{where}: the artifact of {self.body['node']} has no '{name}'; got {first} ... "
                "Name a file or folder that the node makes."
            )
        return files_digest(inside)


def home(key: str) -> str:
    """Return the name of a key's folder in a store."""
    return f"nodes/{key[:2]}/{key}"


def sealed(body: Mapping[str, Any]) -> bytes:
    """Return a manifest as bytes: the body and, last, its own digest."""
    text = canonical(dict(body))
    return f'{text[:-1]},"sha256":"{sha256(text)}"}}'.encode()


def read_record(store: Store, key: str) -> Record | None:
    """Return the record of a key; absent, torn, or of another format is None."""
    data = store.read(f"{home(key)}/manifest.json")
    body = None if data is None else parsed(data)
    if body is None or body.get("format") != SCHEMA or body.get("key") != key:
        return None
    return Record(body)


def parsed(data: bytes) -> dict[str, Any] | None:
    """Return what a whole manifest says, of whatever format; None where it is not whole."""
    try:
        body = json.loads(data)
        own = body.pop("sha256")
        return body if own == sha256(canonical(body)) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def faults(store: Store, record: Record, *, check: Check) -> list[str]:
    """List what is wrong with the files of an artifact: missing, other size, other bytes.

    Bytes that were never flushed are all read: always by who uses them, and by everybody once the
    machine was started again.
    """
    if record.units is not None:
        return [fault for key, _ in record.units for fault in _unit_faults(store, key, check)]
    if record.fast and (check == "small" or record.may_be_torn):
        check = "all"
    return store.faults(record.name, record.files, check=check)


def _unit_faults(store: Store, key: str, check: Check) -> list[str]:
    unit = read_record(store, key)
    if unit is None:
        return [f"unit {key[:12]} is missing"]
    return [f"unit {key[:12]}: {fault}" for fault in faults(store, unit, check=check)]


def first_look(store: Store, record: Record, *, check: Check) -> list[str]:
    """Do as `faults`, once a process for each whole artifact."""
    mark = (store.uri, record.name, check)
    if mark in _whole:
        return []
    found = faults(store, record, check=check)
    if not found:
        _whole.add(mark)
    return found


def set_aside(store: Store, record: Record, found: Iterable[str]) -> DamagedError:
    """Move a damaged artifact to quarantine/ and return the error that says so."""
    place = move_aside(store, record)
    listed = "; ".join(list(found)[:3])
    return DamagedError(
        f"{record.body['node']}: its artifact is damaged; got {listed}. "
        f"It was moved to {place}. Run the same command again to make it anew."
    )


def move_aside(store: Store, record: Record) -> str:
    """Move an artifact and its record to quarantine/; return where its files are now."""
    place = store.set_aside(f"{home(record.key)}/manifest.json")
    files = store.set_aside(record.name)
    return str(files or place)


def inputs_named(identities: Mapping[str, tuple[Identity, str | None]]) -> dict[str, Any]:
    """Return inputs as a manifest holds them: name -> [digest or digests, key of the maker]."""
    return {name: [digest, key] for name, (digest, key) in identities.items()}
