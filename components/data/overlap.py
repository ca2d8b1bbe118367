"""Pictures that are in two sets which must be apart, whatever their names: found by their bytes.

Files of another size have other bytes, so only those of one size in both sets are read.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.data.decode import PictureError, look, picture_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """One picture of a source."""

    source: str  # which source, for messages
    name: str  # of the file in the source
    path: Path


def shared(first: Iterable[Named], second: Iterable[Named]) -> Iterator[tuple[Named, Named]]:
    """Yield each picture of `second` that is in `first` too, with one of `first` it equals.

    A file that several sources list counts once; what is no picture is packing's to name.
    """
    held = _files(second)
    sizes = {size for _, size in held.values()}
    taught = {path: one for path, one in _files(first).items() if one[1] in sizes}
    common = {size for _, size in taught.values()}
    known: dict[bytes, Named] = {}
    for one, _ in taught.values():
        if digest := _digest(one.path):
            known.setdefault(digest, one)
    for one, size in held.values():
        if size in common and (digest := _digest(one.path)) and digest in known:
            yield known[digest], one


def _files(listed: Iterable[Named]) -> dict[Path, tuple[Named, int]]:
    """Return the files that are there, each once, with their sizes in bytes."""
    found: dict[Path, tuple[Named, int]] = {}
    for one in listed:
        if one.path not in found:
            try:
                found[one.path] = one, one.path.stat().st_size
            except OSError:
                continue  # packing says that it is missing
    return found


def _digest(path: Path) -> bytes | None:
    """Return the digest of a picture's bytes; None of what is none: two error pages are equal."""
    try:
        data = picture_bytes(path)
        look(data)
    except PictureError:
        return None
    return hashlib.sha256(data).digest()
