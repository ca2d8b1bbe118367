"""A store: six verbs over a folder. What is put there is absent or whole, and stays."""

import errno
import io
import json
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

FORMAT = 1
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # a good place, which does not take more now
LATER = ("s3", "gs", "gcs", "abfs", "abfss", "az", "hdfs")


class StoreError(ValueError):
    """The place given is not a store that can be used; nothing was written (exit 2)."""


class StorageError(OSError):
    """The store failed in the middle: full, turned read-only, unreachable (exit 4)."""


class DamagedError(ValueError):
    """A stored thing is not what its record says (exit 3)."""


class LocalStore:
    """A store in a local folder. Names are relative, with `/`; a name is never written twice."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: set[Path] = set()
        self._kept: set[Path] = set()  # folders whose entries survive a power cut

    def path(self, name: str) -> Path:
        """Return where a name lives; a name that leaves the store is refused."""
        parts = name.split("/")
        if not name or any(part in ("", ".", "..") for part in parts):
            raise StoreError(f"store name: must stay in the store; got '{name}'.")
        return self.root.joinpath(*parts)

    def put_new(
        self, name: str, data: bytes | Path, *, sync: Literal["durable", "fast"] = "durable"
    ) -> bool:
        """Create a name with these bytes (or a file's), whole; return False if it is there.

        Durable: on return the bytes survive a power cut.

        Raises:
            StorageError: the disk is full, read-only or broken; nothing is left behind.
        """
        final = self.path(name)
        try:
            return self._put(final, data, durable=sync == "durable")
        except OSError as error:
            raise fault(error, final) from error

    def _put(self, final: Path, data: bytes | Path, *, durable: bool) -> bool:
        if final.exists():
            return False
        self._folder(final.parent, durable=durable)
        if not data and not durable:
            return _create(draft=None, final=final)  # an empty name is whole at once
        draft = final.parent / f".{uuid.uuid4().hex}.tmp"
        try:
            with draft.open("xb") as file:
                _fill(file.fileno(), data)
                if durable:
                    os.fsync(file.fileno())
            created = _link(draft, final)
        finally:
            with suppress(OSError):
                draft.unlink()
        if created and durable:
            sync_folder(final.parent)
        return created

    def _folder(self, folder: Path, *, durable: bool) -> None:
        """Make a folder; where durable, the entries that lead to it survive a power cut."""
        if folder not in self._made or not folder.is_dir():
            for new in (folder, *folder.parents):
                if new.exists():
                    break
                self._kept.discard(new)
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)
        for made in (folder, *folder.parents) if durable else ():
            if made in self._kept or made == self.root.parent:
                break
            sync_folder(made.parent)
            self._kept.add(made)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a name, or None where it is absent."""
        final = self.path(name)
        try:
            return final.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise fault(error, final) from error

    def list(self, name: str) -> list[str]:
        """Return the sorted last parts of the names directly below a name; drafts are left out."""
        final = self.path(name)
        try:
            return sorted(e for e in os.listdir(final) if not e.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise fault(error, final) from error

    def exists(self, name: str) -> bool:
        """Say whether a name, or something below it, is there."""
        return self.path(name).exists()

    def size(self, name: str) -> int | None:
        """Return the bytes of a name, or None where it is absent."""
        try:
            return self.path(name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def delete(self, name: str) -> None:
        """Remove a name; absent is fine."""
        final = self.path(name)
        try:
            final.unlink(missing_ok=True)
        except OSError as error:
            raise fault(error, final) from error

    def new_folder(self, name: str) -> Path:
        """Make an empty folder of a new name; it is durable when something beside it is."""
        final = self.path(name)
        try:
            self._folder(final.parent, durable=False)
            final.mkdir()
        except OSError as error:
            raise fault(error, final) from error
        return final

    def set_aside(self, name: str) -> Path | None:
        """Move a damaged name or folder to quarantine/ and return its place; None if absent."""
        final = self.path(name)
        place = self.path(f"quarantine/{name.replace('/', '.')}.{uuid.uuid4().hex[:8]}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            final.rename(place)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise fault(error, final) from error
        return place


def open_store(where: str, *, mode: Literal["read", "write"] = "write") -> LocalStore:
    """Open a store, or make one where nothing is yet (mode write).

    Mode read never writes: a place that is not there yet is an empty store.

    Raises:
        StoreError: not a store, not writable, of a newer version, or a scheme not known.
        StorageError: the disk is full or broken.
    """
    root = _place(where)
    if root.exists() and not root.is_dir():
        raise StoreError(f"--store: must be a folder; got a file, {root}. Name another place.")
    record = root / "format"
    try:
        if record.is_file():
            _check_format(record)
        elif root.is_dir() and any(root.iterdir()):
            raise StoreError(
                f"--store: {root} holds other files and no store (there is no 'format' in it). "
                "Name an empty folder, or one that is not there yet."
            )
        elif mode == "write":
            root.mkdir(parents=True, exist_ok=True)
            LocalStore(root).put_new("format", json.dumps({"version": FORMAT}).encode())
        if mode == "write":
            _probe(root)
    except OSError as error:
        if error.errno in FULL:
            raise fault(error, root) from error
        raise StoreError(
            f"--store: {root} cannot be written; got '{error.strerror or error}'. "
            "Name a place you may write to, with room."
        ) from error
    return LocalStore(root)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _place(where: str) -> Path:
    parts = urlsplit(where)
    if parts.scheme in LATER:
        raise StoreError(
            f"--store: stores on {parts.scheme}:// are not there yet; got '{where}'. "
            "Name a folder on a disk that all workers see."
        )
    if parts.scheme == "file":
        return Path(parts.path).absolute()
    if "://" in where:
        raise StoreError(
            f"--store: no store has the scheme '{parts.scheme}'; got '{where}'. "
            "Name a folder, or file:///folder."
        )
    if not where:
        raise StoreError("--store: a folder is needed; got ''. Name one.")
    return Path(where).expanduser().absolute()


def _check_format(record: Path) -> None:
    try:
        found = json.loads(record.read_bytes())
        version = found["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"--store: {record} is not the record of a store; got {record.read_bytes()[:40]!r}. "
            "Name another place."
        ) from error
    if version != FORMAT:
        raise StoreError(
            f"--store: {record.parent} has format {version}; this vocabox writes {FORMAT}. "
            "Use the vocabox that made it, or another place."
        )


def _probe(root: Path) -> None:
    """Write and remove one byte, because permissions alone do not tell."""
    draft = root / f".{uuid.uuid4().hex}.tmp"
    try:
        draft.write_bytes(b"x")
    finally:
        with suppress(OSError):
            draft.unlink()


def _fill(handle: int, data: bytes | Path) -> None:
    with data.open("rb") if isinstance(data, Path) else io.BytesIO(data) as source:
        while block := source.read(1 << 20):
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(handle, rest) :]


def _link(draft: Path, final: Path) -> bool:
    """Give a whole draft its final name if nobody has it; return whether it was us."""
    try:
        os.link(draft, final)
    except FileExistsError:
        return _is_same(draft, final)  # NFS may report failure after success
    except OSError:
        if _is_same(draft, final):
            return True
        return False if final.exists() else _create(draft, final)
    return True


def _is_same(draft: Path, final: Path) -> bool:
    with suppress(OSError):
        return draft.samefile(final)
    return False


def _create(draft: Path | None, final: Path) -> bool:
    """Write a final name on a file system without links; readers check digests of records."""
    try:
        with final.open("xb") as file:
            if draft is not None:
                _fill(file.fileno(), draft)
                os.fsync(file.fileno())
    except FileExistsError:
        return False
    except OSError:
        final.unlink(missing_ok=True)
        raise
    return True


def fault(error: OSError, place: Path | str) -> StorageError:
    """Return an error that says which place on the disk failed, and what to do."""
    if isinstance(error, StorageError):
        return error
    return StorageError(
        error.errno,
        f"store: {place} cannot be read or written; got '{error.strerror or error}'. "
        "Make room or mend the disk, and run the same command again",
    )
