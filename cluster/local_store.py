"""A store in a folder of this machine, or of a disk that all workers see."""

import os
import stat
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import final

from cluster.disk import Disk
from cluster.store_errors import fault
from cluster.store_files import (
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

FEW = 8  # files; threads cost more than they save
THREADS = min(4, os.cpu_count() or 1)


@final
class LocalStore:
    """A store in a local folder. Names are relative, with `/`; a name is never written twice."""

    def __init__(self, root: Path, *, disk: Disk | None = None) -> None:
        self.root = root
        self._disk = disk or Disk()
        self._made: set[tuple[Path, Sync]] = set()

    @property
    def uri(self) -> str:
        """Return what opens this store again."""
        return str(self.root)

    @property
    def home(self) -> Path:
        """Return this machine's own folder for the store: the store itself."""
        return self.root

    def path(self, name: str) -> Path:
        """Return where a name lives; a name that leaves the store is refused."""
        return self.root.joinpath(*parts_of(name))

    def put_new(self, name: str, data: bytes | Path, *, sync: Sync = "durable") -> bool:
        """Create a name with these bytes (or a file's), whole; return False if it is there.

        Durable: on return the bytes survive a power cut.

        Raises:
            StorageError: the disk is full, read-only or broken; nothing is left behind.
        """
        final = self.path(name)
        try:
            return self._put(final, data, sync=sync)
        except OSError as error:
            raise fault(error, final) from error

    def _put(self, final: Path, data: bytes | Path, *, sync: Sync) -> bool:
        if self._disk.size(final) is not None:
            return False
        self._folder(final.parent, sync=sync)
        if not data and sync == "fast":
            return self._claim(final)
        draft = final.parent / f".{uuid.uuid4().hex}.tmp"
        try:
            self._disk.write_new(draft, data)
            if sync == "durable":
                self._disk.fsync(draft)
            created = self._link(draft, final)
        finally:
            with suppress(OSError):
                self._disk.remove(draft)
        if created and sync == "durable":
            self._disk.fsync(final.parent)
        return created

    def _claim(self, final: Path) -> bool:
        """Create an empty name, which is whole at once; return whether it was us."""
        try:
            self._disk.write_new(final, b"")
        except FileExistsError:
            return False
        return True

    def _link(self, draft: Path, final: Path) -> bool:
        """Give a whole draft its final name if nobody has it; return whether it was us."""
        try:
            self._disk.link(draft, final)
        except FileExistsError:
            return _is_same(draft, final)  # NFS may report failure after success
        except OSError:
            if _is_same(draft, final):
                return True
            if self._disk.size(final) is not None:
                return False
            return self._create(draft, final)
        return True

    def _create(self, draft: Path, final: Path) -> bool:
        """Write a final name on a file system without links; readers check digests of records."""
        try:
            self._disk.write_new(final, draft)
            self._disk.fsync(final)
        except FileExistsError:
            return False
        except OSError:
            self._disk.remove(final)
            raise
        return True

    def _folder(self, folder: Path, *, sync: Sync) -> None:
        """Make a folder; durable: and flush every entry that leads to it, whoever made it."""
        if (folder, sync) in self._made and self._disk.size(folder) is not None:
            return
        above = [p for p in (folder, *folder.parents) if self.root in p.parents]
        for place in reversed(above):
            if self._disk.size(place) is None:
                self._make(place)
                self._made.discard((place, "durable"))  # one that was there and went
        if sync == "durable":
            for place in reversed(above):
                if (place, sync) not in self._made:
                    self._disk.fsync(place.parent)
                    self._made.add((place, sync))
        self._made.add((folder, sync))

    def _make(self, folder: Path) -> None:
        try:
            self._disk.mkdir(folder)
        except FileExistsError:  # somebody else's, this moment
            if not folder.is_dir():
                raise
        except FileNotFoundError:  # the store's own place is new as well
            folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a name, or None where it is absent."""
        final = self.path(name)
        try:
            return self._disk.read(final)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise fault(error, final) from error

    def list(self, name: str) -> list[str]:
        """Return the sorted last parts of the names directly below a name; drafts are left out."""
        final = self.path(name)
        try:
            return sorted(e for e in self._disk.listdir(final) if not e.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise fault(error, final) from error

    def exists(self, name: str) -> bool:
        """Say whether a name, or something below it, is there."""
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        """Return the bytes of a name, or None where it is absent."""
        final = self.path(name)
        try:
            return self._disk.size(final)
        except OSError as error:
            raise fault(error, final) from error

    def delete(self, name: str) -> None:
        """Remove a name; absent is fine."""
        self.drop(name)

    def drop(self, name: str) -> None:
        """Remove a folder that no record names; absent is fine."""
        final = self.path(name)
        try:
            self._disk.remove(final)
        except OSError as error:
            raise fault(error, final) from error

    def new_folder(self, name: str) -> Path:
        """Make an empty folder of a name that was never used, for bulk files; return its path.

        What is published in it and recorded beside it makes it durable.
        """
        final = self.path(name)
        try:
            self._folder(final.parent, sync="fast")
            self._disk.mkdir(final)
        except OSError as error:
            raise fault(error, final) from error
        return final

    def publish(self, name: str, folder: Path, *, sync: Sync = "durable") -> None:
        """Make the files of a folder, which lies at this name, survive a power cut."""
        if sync == "fast":
            return
        try:
            folders, files = tree(folder)
            if len(files) <= FEW:
                for file in files:
                    self._disk.fsync(file)
            else:
                with ThreadPoolExecutor(THREADS) as pool:
                    list(pool.map(self._disk.fsync, files))
            for place in (*reversed(folders), folder.parent):
                self._disk.fsync(place)
        except OSError as error:
            raise fault(error, self.path(name)) from error

    def folder(self, name: str, files: Files) -> Path:
        """Return where these files of a published folder can be read: the place itself."""
        del files
        return self.path(name)

    def faults(self, name: str, files: Files, *, check: Check) -> Wrong:
        """List what is wrong with the files of a folder: missing, other size, other bytes."""
        out: list[str] = []
        place = self.path(name)
        for file, (size, digest) in files.items():
            try:
                found = self._disk.size(place / file)
                if found is None:
                    out.append(f"{file} is missing")
                elif found != size:
                    out.append(f"{file} has {found} bytes, its record says {size}")
                elif is_read(size, check) and digest_of(place / file) != digest:
                    out.append(f"{file} has other bytes than its record says")
            except OSError as error:
                raise fault(error, place / file) from error
        return out

    def measure(self, name: str) -> tuple[int, float] | None:
        """Return the bytes of a name and of all below it, and the newest of their time stamps."""
        final = self.path(name)
        while True:
            try:
                marks = [final.lstat()]
                for folder, below, files in os.walk(final):
                    marks += [os.lstat(os.path.join(folder, entry)) for entry in (*below, *files)]
            except (FileNotFoundError, NotADirectoryError):
                if not final.exists():
                    return None
                continue  # somebody works in it
            except OSError as error:
                raise fault(error, final) from error
            sizes = (mark.st_size for mark in marks if not stat.S_ISDIR(mark.st_mode))
            return sum(sizes), max(mark.st_mtime for mark in marks)

    def set_aside(self, name: str) -> str | None:
        """Move a damaged name or folder to quarantine/ and return its place; None if absent."""
        final = self.path(name)
        place = self.path(aside_of(name))
        try:
            self._folder(place.parent, sync="durable")
            self._disk.rename(final, place)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise fault(error, final) from error
        return str(place)

    def scratch(self, key: str) -> Path:
        """Return the folder that survives a failed attempt of a key."""
        place = self.path(f"work/{key}")
        try:
            self._folder(place, sync="fast")
        except OSError as error:
            raise fault(error, place) from error
        return place

    def keep(self, name: str, folder: Path) -> None:
        """Carry a folder into the store: it lies in it already."""

    def fetch(self, name: str, *, only: frozenset[str] | None = None) -> Path | None:
        """Return where a folder that was kept can be read here; None if there is none."""
        del only
        return self.path(name) if self.exists(name) else None


def _is_same(draft: Path, final: Path) -> bool:
    try:
        return draft.samefile(final)
    except OSError:
        return False
