"""A store in an object store: s3://bucket/prefix, gs://bucket/prefix.

Names are objects. Folders are filled on this machine, below `home`, and carried up file by file;
a record names them with their digests, so what is brought down is checked, and a part of it is
never taken for the whole. Scratch and run directories are of this machine, and are carried.
"""

import json
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from cluster.bucket import Bucket
from cluster.disk import Disk
from cluster.local_store import LocalStore
from cluster.store_errors import DamagedError, StorageError, fault
from cluster.store_files import (
    SMALL,
    Check,
    Files,
    Sync,
    Wrong,
    aside_of,
    digest_of,
    is_read,
    parts_of,
    tree,
)

KEPT = ".kept.json"  # what a kept folder holds; written last


@final
class ObjectStore:
    """A store below bucket/prefix, with a folder of this machine for what is worked on."""

    def __init__(self, bucket: Bucket, *, home: Path, disk: Disk | None = None) -> None:
        self._bucket = bucket
        self._here = LocalStore(home, disk=disk)
        self._disk = disk or Disk()
        self._looked: set[Path] = set()  # small files whose bytes were read in this process

    @property
    def uri(self) -> str:
        """Return what opens this store again."""
        return self._bucket.address("")

    @property
    def home(self) -> Path:
        """Return this machine's own folder for the store."""
        return self._here.root

    def put_new(self, name: str, data: bytes | Path, *, sync: Sync = "durable") -> bool:
        """Create an object; return False if it is there. What was answered for stays."""
        del sync
        return self._bucket.put_new(_name(name), data)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a name, or None where it is absent."""
        return self._bucket.get(_name(name))

    def list(self, name: str) -> list[str]:
        """Return the sorted last parts of the names directly below a name."""
        return [part for part in self._bucket.names(_name(name)) if not part.startswith(".")]

    def exists(self, name: str) -> bool:
        """Say whether a name, or something below it, is there."""
        return self._bucket.exists(_name(name))

    def size(self, name: str) -> int | None:
        """Return the bytes of a name, or None where it is absent."""
        return self._bucket.size(_name(name))

    def delete(self, name: str) -> None:
        """Remove a name; absent is fine."""
        self._bucket.remove([_name(name)])

    def drop(self, name: str) -> None:
        """Remove a folder that no record names, in the bucket and here; absent is fine."""
        below = self._bucket.sizes(_name(name))
        self._bucket.remove([f"{name}/{file}" for file in below])
        self._here.drop(name)

    def new_folder(self, name: str) -> Path:
        """Make an empty folder on this machine, to be filled and published under this name."""
        return self._here.new_folder(name)

    def publish(self, name: str, folder: Path, *, sync: Sync = "durable") -> None:
        """Carry the files of a folder up; on return all are there with their sizes."""
        self._here.publish(name, folder, sync=sync)  # it stays here, as if it had been brought
        files = [str(path.relative_to(folder)) for path in tree(folder)[1]]
        self._bucket.each(lambda file: self._bucket.put(f"{name}/{file}", folder / file), files)
        there = self._bucket.sizes(_name(name))
        lost = [file for file in files if there.get(file) != (folder / file).stat().st_size]
        if lost:
            raise StorageError(
                f"store: {self._bucket.address(name)} took {len(files)} files and has other bytes; "
                f"got {lost[0]} of {there.get(lost[0])} bytes. Run the same command again"
            )

    def folder(self, name: str, files: Files) -> Path:
        """Bring these files of a published folder here, those that are not yet; return its place.

        Raises:
            DamagedError: a file is missing in the bucket, or has other bytes than its digest says.
        """
        place = self._here.path(name)
        lost = [file for file, told in files.items() if not self._is_here(place / file, told)]
        wrong: list[str] = []

        def bring(file: str) -> None:
            found = self._bring(f"{name}/{file}", place / file, files[file])
            if found is not None:
                wrong.append(f"{file} {found}")

        self._bucket.each(bring, lost)
        if wrong:
            raise DamagedError("; ".join(sorted(wrong)[:3]))
        return place

    def _is_here(self, path: Path, told: tuple[int, str]) -> bool:
        """Say whether a file was brought before; a small one is read once in a process."""
        size, digest = told
        if self._disk.size(path) != size:
            return False
        if size <= SMALL and path not in self._looked:
            if digest_of(path) != digest:
                return False
            self._looked.add(path)
        return True

    def _bring(self, name: str, path: Path, told: tuple[int, str]) -> str | None:
        """Bring one file; return what is wrong with it in the bucket, or None.

        It is given its name here when its bytes are known to be right, and flushed: a part of a
        file is never found under it.
        """
        size, digest = told
        found = ""
        draft = self.home / ".brought" / uuid.uuid4().hex
        for _ in range(2):  # what came otherwise may have been cut on the way
            try:
                draft.parent.mkdir(parents=True, exist_ok=True)
                if not self._bucket.get_file(name, draft, size=size):
                    return "is missing"
                got = draft.stat().st_size
                if got == size and digest_of(draft) == digest:
                    self._disk.fsync(draft)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._disk.rename(draft, path)
                    return None
                other = f"has {got} bytes, its record says {size}"
                found = other if got != size else "has other bytes than its record says"
            except OSError as error:
                raise fault(error, path) from error
            finally:
                with suppress(OSError):
                    self._disk.remove(draft)
        return found

    def faults(self, name: str, files: Files, *, check: Check) -> Wrong:
        """List what is wrong with the files of a folder in the bucket.

        Sizes come from one listing; bytes are read for the check "all" only: `folder` checks
        what it brings.
        """
        there = self._bucket.sizes(_name(name))
        out: list[str] = []
        for file, (size, digest) in files.items():
            found = there.get(file)
            if found is None:
                out.append(f"{file} is missing")
            elif found != size:
                out.append(f"{file} has {found} bytes, its record says {size}")
            elif check == "all" and is_read(size, check):
                out += self._other_bytes(f"{name}/{file}", file, size, digest)
        return out

    def _other_bytes(self, name: str, file: str, size: int, digest: str) -> Wrong:
        place = self.home / ".brought" / f"{uuid.uuid4().hex}.looked"
        try:
            wrong = self._bring(name, place, (size, digest))
        finally:
            place.unlink(missing_ok=True)
        return [] if wrong is None else [f"{file} {wrong}"]

    def measure(self, name: str) -> tuple[int, float] | None:
        """Return the bytes of a name and of all below it, and the newest of their time stamps."""
        found = self._bucket.stamps(_name(name)).values()
        return (sum(n for n, _ in found), max(at for _, at in found)) if found else None

    def set_aside(self, name: str) -> str | None:
        """Move a damaged name or folder to quarantine/, in the bucket and here."""
        place = aside_of(_name(name))
        moved = self._bucket.move(name, place)
        here = self._here.set_aside(name)
        return self._bucket.address(place) if moved else here

    def scratch(self, key: str) -> Path:
        """Return the folder of this machine that survives a failed attempt of a key."""
        return self._here.scratch(key)

    def keep(self, name: str, folder: Path) -> None:
        """Carry the files of a folder up as they are now; again replaces what has changed.

        Names that begin with a dot are drafts, and stay here.
        """
        now = {
            str(path.relative_to(folder)): (path.stat().st_size, digest_of(path))
            for path in tree(folder)[1]
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        }
        before = self._kept(name)
        changed = [file for file, told in now.items() if before.get(file) != told]
        self._bucket.each(lambda file: self._bucket.put(f"{name}/{file}", folder / file), changed)
        if changed or not before:
            record = {"files": {file: list(told) for file, told in now.items()}, "version": 1}
            text = json.dumps(record, sort_keys=True)
            self._bucket.put(f"{name}/{KEPT}", text.encode())

    def fetch(self, name: str, *, only: frozenset[str] | None = None) -> Path | None:
        """Bring a kept folder (of its files those named) here; None where nothing is kept."""
        kept = self._kept(name)
        if not kept:
            return None
        place = self._here.path(name)
        wanted = [file for file in kept if only is None or _is_named(file, only)]
        lost = [file for file in wanted if not self._is_same(place / file, kept[file])]

        def bring(file: str) -> None:
            self._bring(f"{name}/{file}", place / file, kept[file])

        self._bucket.each(bring, lost)
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _is_same(self, path: Path, told: tuple[int, str]) -> bool:
        return self._disk.size(path) == told[0] and digest_of(path) == told[1]

    def _kept(self, name: str) -> dict[str, tuple[int, str]]:
        try:
            found: dict[str, Any] = json.loads(self._bucket.get(f"{_name(name)}/{KEPT}") or b"{}")
            files: dict[str, list[Any]] = found.get("files", {})
            return {file: (int(size), str(digest)) for file, (size, digest) in files.items()}
        except (ValueError, AttributeError):
            return {}


def _is_named(file: str, only: frozenset[str]) -> bool:
    return file in only or any(file.startswith(name) for name in only if name.endswith("/"))


def _name(name: str) -> str:
    parts_of(name)
    return name
