"""Disks that count, fail, die, and remember: what a store reaches in place of the real one."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.disk import Disk

DEATHS = ("crash before", "crash after", "half write")
ERRNOS = ("ENOSPC", "EIO", "EACCES", "EROFS", "EDQUOT")
KINDS = (*DEATHS, *ERRNOS)
DEAD = 86  # exit code of a process that died at its operation


class FaultDisk(Disk):
    """A disk that fails once: at its operation number `at`, from 1, in the way of `kind`.

    A death ends the process at once, as kill -9 does; use it in a forked child. A write that is
    refused because the disk is full leaves half of its bytes, as a real one does.
    """

    def __init__(self, *, at: int = 0, kind: str = "EIO") -> None:
        self.at, self.kind = at, kind
        self.log: list[tuple[str, str]] = []  # operation, path

    @property
    def met(self) -> str | None:
        """Return the operation that failed, or None if it never came to it."""
        return self.log[self.at - 1][0] if 0 < self.at <= len(self.log) else None

    def write_new(self, path: Path, data: bytes | Path) -> None:
        def half() -> None:
            whole = data.read_bytes() if isinstance(data, Path) else data
            Disk.write_new(self, path, whole[: len(whole) // 2])

        self._do("write_new", path, lambda: Disk.write_new(self, path, data), half)

    def fsync(self, path: Path) -> None:
        self._do("fsync", path, lambda: Disk.fsync(self, path))

    def mkdir(self, path: Path) -> None:
        self._do("mkdir", path, lambda: Disk.mkdir(self, path))

    def link(self, path: Path, name: Path) -> None:
        self._do("link", name, lambda: Disk.link(self, path, name))

    def rename(self, path: Path, name: Path) -> None:
        self._do("rename", path, lambda: Disk.rename(self, path, name))

    def remove(self, path: Path) -> None:
        self._do("remove", path, lambda: Disk.remove(self, path))

    def read(self, path: Path) -> bytes:
        return self._do("read", path, lambda: Disk.read(self, path))

    def listdir(self, path: Path) -> list[str]:
        return self._do("listdir", path, lambda: Disk.listdir(self, path))

    def size(self, path: Path) -> int | None:
        return self._do("size", path, lambda: Disk.size(self, path))

    def _do(
        self, name: str, path: Path, act: Callable[[], Any], half: Callable[[], None] | None = None
    ) -> Any:
        self.log.append((name, str(path)))
        if len(self.log) != self.at:
            return act()
        if self.kind in DEATHS:
            try:
                if self.kind == "crash after":
                    act()
                elif self.kind == "half write" and half:
                    half()
            finally:
                os._exit(DEAD)
        if half and self.kind in ("ENOSPC", "EDQUOT"):
            half()
        number = getattr(errno, self.kind)
        raise OSError(number, os.strerror(number), str(path))


class NoSync(Disk):
    """A disk whose flush does nothing: planted on purpose."""

    def fsync(self, path: Path) -> None:
        del path
