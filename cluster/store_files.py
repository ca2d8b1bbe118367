"""Names in a store, and folders of files: what is in them, and whether it is what was written."""

import hashlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from cluster.store_errors import StoreError

SMALL = 1 << 20  # bytes: files up to this are hashed on first read, larger ones are only measured

Wrong = list[str]  # what is wrong with files, one text each
Files = Mapping[str, tuple[int, str]]  # relative name -> bytes, sha256
Check = Literal["sizes", "small", "all"]  # of every file its size; of small ones, of all the bytes
Sync = Literal["durable", "fast"]  # on return it survives a power cut; or soon after


def parts_of(name: str) -> tuple[str, ...]:
    """Return the parts of a store's name; one that leaves the store is refused."""
    parts = tuple(name.split("/"))
    if not name or any(part in ("", ".", "..") for part in parts):
        raise StoreError(f"store name: must stay in the store; got '{name}'.")
    return parts


def aside_of(name: str) -> str:
    """Return a new name in the quarantine for what lies under a name."""
    return f"quarantine/{name.replace('/', '.')}.{uuid.uuid4().hex[:8]}"


def tree(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders, outermost first, and the files, sorted, of a folder."""
    folders: list[Path] = []
    files: list[Path] = []
    for place, _, names in os.walk(folder):
        folders.append(Path(place))
        files += [Path(place) / name for name in names]
    return folders, sorted(files)


def is_read(size: int, check: Check) -> bool:
    """Say whether a check reads the bytes of a file of this size."""
    return check == "all" or (check == "small" and size <= SMALL)


def digest_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
