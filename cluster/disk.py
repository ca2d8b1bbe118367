"""The one object through which a store on this machine reaches the disk.

Nine operations, each one thing that can fail or be cut off: whoever wants to know what a store
leaves behind gives it another object that counts, fails, waits or records.
"""

import os
import shutil
from pathlib import Path

BLOCK = 1 << 20  # bytes


class Disk:
    """The disk of this machine. Every operation raises the OSError that the system gives."""

    def write_new(self, path: Path, data: bytes | Path) -> None:
        """Create a file that is not there with these bytes, or with those of another file.

        Nothing is flushed. A fault or a crash leaves a part of it.
        """
        with path.open("xb", buffering=0) as file:
            if isinstance(data, Path):
                with data.open("rb") as source:
                    while block := source.read(BLOCK):
                        _write(file.fileno(), block)
            else:
                _write(file.fileno(), data)

    def fsync(self, path: Path) -> None:
        """Make the bytes of a file, or the entries of a folder, survive a power cut."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def mkdir(self, path: Path) -> None:
        """Make a folder that is not there, in one that is."""
        path.mkdir()

    def link(self, path: Path, name: Path) -> None:
        """Give a file a second name, which nobody has."""
        os.link(path, name)

    def rename(self, path: Path, name: Path) -> None:
        """Give a file or folder another name."""
        path.rename(name)

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with all that is in it; absent is fine."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def read(self, path: Path) -> bytes:
        """Return the bytes of a file."""
        return path.read_bytes()

    def listdir(self, path: Path) -> list[str]:
        """Return the names in a folder, in no order."""
        return os.listdir(path)

    def size(self, path: Path) -> int | None:
        """Return the bytes of a file (of a folder: of its entry), or None where nothing is."""
        try:
            return path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None


def _write(handle: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(handle, rest) :]
