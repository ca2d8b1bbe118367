"""The identity of a user's files: their bytes, with a memory so that a second look is cheap."""

import errno
import json
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.storage import LocalStore, StorageError, Store
from cluster.store_files import digest_of
from pipelines.graph.key import canonical, sha256

THREADS = min(4, os.cpu_count() or 1)
NO_FILE = "neither a file nor a folder"  # a pipe, a device, a link that leads nowhere
NOWHERE = (errno.ENOENT, errno.ELOOP)  # what following such a link says
YOUNG_NS = 50_000_000  # a file this new may change again within one tick of its clock

Stamp = tuple[int, int, int]  # bytes, inode, time of change in ns


class OutsideError(ValueError):
    """A user's file or folder is not there, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A user's file or folder as it was when it was looked at."""

    digest: str  # of the bytes and, in a folder, the relative names
    stamp: str  # of sizes, inodes and times: changes when somebody writes


def files_digest(files: list[tuple[str, int, str]]) -> str:
    """Return one digest of [name, bytes, sha256]; a lone file has the name ""."""
    return sha256(canonical([list(entry) for entry in sorted(files)]))


def look(
    path: Path,
    *,
    where: str,
    store: Store,
    memory: Literal["use", "ignore"] = "use",
) -> Found:
    """Return the identity of a file or folder; only what changed since the last look is read.

    Raises:
        OutsideError: nothing is there, or it cannot be read.
    """
    try:
        stamps = _stamps(path)
        stamp = sha256(canonical({name: list(mark) for name, mark in stamps.items()}))
        folder = f"sources/{sha256(str(path))[:32]}"
        known = _recall(store, folder, stamp) if memory == "use" else {}
        todo = [name for name, mark in stamps.items() if (name, mark) not in known]
        with ThreadPoolExecutor(THREADS) as pool:
            fresh = pool.map(lambda name: _digest(path / name if name else path), todo)
            digests = dict(zip(todo, fresh, strict=True))
    except FileNotFoundError as error:
        raise OutsideError(f"{where}: no such file or folder; got {path}. Check it.") from error
    except OSError as error:
        raise OutsideError(
            f"{where}: cannot be read ({error.strerror}); got {error.filename or path}. "
            "Check that it is there and yours to read."
        ) from error
    every = {n: known.get((n, m)) or digests[n] for n, m in stamps.items()}
    if todo:
        place = f"{folder}/{stamp}.json"
        _remember(store, place, path=path, stamps=stamps, digests=every)
    digest = files_digest([(name, stamps[name][0], every[name]) for name in stamps])
    return Found(digest, stamp)


def _digest(path: Path) -> str:
    """Return the digest of a file; of NO_FILE for what has no bytes to wait for or to read."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno not in NOWHERE:
            raise
        regular = False
    return digest_of(path) if regular else sha256(NO_FILE)


def stamp_of(path: Path) -> str:
    """Return what `look` would give as stamp, by a walk over sizes and times only."""
    return sha256(canonical({name: list(mark) for name, mark in _stamps(path).items()}))


def _stamps(path: Path) -> dict[str, Stamp]:
    """Return the stamp of each file below a folder by relative name; of a file under ""."""
    if path.is_dir():
        return dict(sorted(_scan(path, "", frozenset())))
    status = path.stat()
    return {"": (status.st_size, status.st_ino, status.st_mtime_ns)}


def _scan(
    folder: Path, prefix: str, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, Stamp]]:
    """Walk a folder through links; one to a folder above is not entered again.

    A link that leads nowhere is there as itself: whoever reads the folder says what is missing.
    """
    status = folder.stat()
    place = (status.st_dev, status.st_ino)
    if place in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            try:
                mark = entry.stat()
            except OSError as error:
                if error.errno not in NOWHERE:
                    raise
                mark = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(mark.st_mode):
                yield from _scan(Path(entry.path), f"{name}/", above | {place})
            else:
                yield name, (mark.st_size, mark.st_ino, mark.st_mtime_ns)


def _recall(store: Store, folder: str, stamp: str) -> dict[tuple[str, Stamp], str]:
    """Return (name, stamp) -> digest of earlier looks: this very one, else all that there are."""
    here = LocalStore(store.home)  # places and inodes mean something on this machine only
    names = [f"{stamp}.json"] if here.exists(f"{folder}/{stamp}.json") else here.list(folder)
    known: dict[tuple[str, Stamp], str] = {}
    for name in names:
        try:
            text = (here.read(f"{folder}/{name}") or b"{}").decode("utf-8", "surrogateescape")
            record = json.loads(text)
            body = record.get("files", [])
            if record.get("sha256") == sha256(canonical(body)):
                known.update({(e[0], (e[1], e[2], e[3])): e[4] for e in body})
        except (ValueError, AttributeError):
            continue  # a torn memory is no memory
    return known


def _remember(
    store: Store, place: str, *, path: Path, stamps: dict[str, Stamp], digests: dict[str, str]
) -> None:
    now = time.time_ns()
    young = any(now - mark[2] < YOUNG_NS for mark in stamps.values())
    if young or not store.exists("format"):  # a store that is only looked at is not written
        return
    body = [[name, *mark, digests[name]] for name, mark in stamps.items()]
    record = {"path": str(path), "sha256": sha256(canonical(body)), "files": body}
    with suppress(StorageError):  # without a memory the next look is slower, no more
        data = canonical(record).encode("utf-8", "surrogateescape")
        LocalStore(store.home).put_new(place, data, sync="fast")
