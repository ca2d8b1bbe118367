"""One place in an object store, through fsspec: whole objects in and out, under a deadline each.

An object is there whole or not at all: nothing is written as a stream onto a name. The libraries'
own retries are off where they can be, so that tries are counted once, here.
"""

import errno
import importlib.util
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, final

from cluster.patience import Patience, gave_up
from cluster.store_errors import StorageError, StoreError

AT_ONCE = 8  # transfers
READ = ("AWS_", "GOOGLE_", "GCSFS_", "STORAGE_EMULATOR_HOST", "FSSPEC_")  # by the libraries
SETTLE_S = 0.2  # before what was written without a condition is read back


@final
class Bucket:
    """The objects below bucket/prefix. Thread-safe; a forked child opens its own connections."""

    def __init__(self, scheme: str, root: str, *, patience: Patience | None = None) -> None:
        self.scheme, self.root = scheme, root  # root: bucket/prefix
        self.patience = patience or Patience(tries=2 if scheme in RETRIES_ITSELF else 5)
        self.condition = True  # the server knows "create if absent"

    def address(self, name: str) -> str:
        """Return the URI of a name."""
        return f"{self.scheme}://{self.root}/{name}".rstrip("/")

    def put(self, name: str, data: bytes | Path) -> None:
        """Write an object whole; one of that name is replaced."""
        self._ask(name, lambda _: self._write(name, data, "overwrite"), absent="fault")

    def put_new(self, name: str, data: bytes | Path) -> bool:
        """Write an object if there is none of that name; return whether it was us.

        Where the server knows no condition: write, read back, compare. Then two writers of one
        moment may both be told that they won if the later one's bytes come after the pause; what
        is written so carries an id of its own, and a reader sees one of the two, whole.
        """
        if not self.condition:
            return self._put_and_look(name, data)
        torn = self.scheme in RETRIES_ITSELF  # an earlier try may have been heard

        def once(_: int) -> bool:
            nonlocal torn
            try:
                self._write(name, data, "create")
            except FileExistsError:
                return torn and self.get(name) == _bytes(data)
            except Exception as error:
                torn = True
                if isinstance(error, OSError) and error.errno == errno.ENOSYS:
                    self.condition = False
                    return self._put_and_look(name, data)
                raise
            return True

        return self._ask(name, once, absent="fault")

    def _put_and_look(self, name: str, data: bytes | Path) -> bool:
        if self.size(name) is not None:
            return False
        self.put(name, data)
        time.sleep(SETTLE_S)
        return self.get(name) == _bytes(data)

    def knows_condition(self, name: str) -> bool:
        """Try on a spare name whether the server refuses a second "create if absent"."""
        try:
            won = [self.put_new(name, b"1"), self.put_new(name, b"2")]
        finally:
            self.remove([name])
        self.condition = self.condition and won == [True, False]
        return self.condition

    def get(self, name: str) -> bytes | None:
        """Return the bytes of an object; None where there is none."""
        return self._or_none(name, "_cat_file", self._path(name), **READS[self.scheme])

    def get_file(self, name: str, place: Path, *, size: int) -> bool:
        """Write the bytes of an object to a file; return whether there is one."""

        def once(_: int) -> bool:
            place.unlink(missing_ok=True)
            self._call("_get_file", self._path(name), str(place), size=size)
            return True

        try:
            return self._ask(name, once)
        except FileNotFoundError:
            return False

    def size(self, name: str) -> int | None:
        """Return the bytes of an object; None where there is none."""
        found = self._or_none(name, "_info", self._path(name))
        return int(found["size"]) if found and found["type"] == "file" else None

    def exists(self, name: str) -> bool:
        """Say whether an object of this name, or below it, is there."""
        return self._or_none(name, "_info", self._path(name)) is not None

    def names(self, name: str) -> list[str]:
        """Return the last parts of what lies directly below a name, sorted."""
        found = self._or_none(name, "_ls", self._path(name), detail=False) or []
        below = f"{self._path(name)}/"
        parts = {str(path).rstrip("/").removeprefix(below) for path in found}
        return sorted(part for part in parts if part and "/" not in part)

    def sizes(self, name: str) -> dict[str, int]:
        """Return the bytes of each object below a name, by its name relative to it."""
        found = self._or_none(name, "_find", self._path(name), detail=True) or {}
        below = f"{self._path(name)}/"
        return {
            path.removeprefix(below): int(info["size"])
            for path, info in found.items()
            if path.startswith(below)
        }

    def stamps(self, name: str) -> dict[str, tuple[int, float]]:
        """Return bytes and time stamp (seconds, by the server's clock) of each object below."""
        found = self._or_none(name, "_find", self._path(name), detail=True) or {}
        return {path: (int(info["size"]), _stamp(info)) for path, info in found.items()}

    def look(self) -> None:
        """Ask for the bucket itself; that it is not there is a fault."""
        verb, given, more = LOOKS[self.scheme](self.root.partition("/")[0])
        self._ask("", lambda _: self._call(verb, *given, **more), absent="fault")

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; absent is fine."""

        def once(name: str) -> None:
            self._or_none(name, "_rm_file", self._path(name))

        self.each(once, names)

    def move(self, name: str, to: str) -> int:
        """Copy all objects under and below a name, then remove them; return how many."""
        sizes = {f"/{file}": size for file, size in self.sizes(name).items()}
        if (alone := self.size(name)) is not None:
            sizes[""] = alone
        files = list(sizes)

        def once(file: str) -> None:
            here, there = self._path(name + file), self._path(to + file)
            self._ask(name, lambda _: self._call("_cp_file", here, there, size=sizes[file]))

        self.each(once, files)
        self.remove([name + file for file in files])
        return len(files)

    def each(self, act: Callable[[str], object], names: Sequence[str]) -> None:
        """Do something to many names, some at once; the first error comes through."""
        if len(names) < 2:
            list(map(act, names))
            return
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(act, names))

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}".rstrip("/")

    def _write(self, name: str, data: bytes | Path, mode: str) -> None:
        if isinstance(data, Path):
            size = data.stat().st_size
            self._call("_put_file", str(data), self._path(name), mode=mode, size=size)
        else:
            self._call("_pipe_file", self._path(name), data, mode=mode, size=len(data))

    def _or_none(self, name: str, verb: str, *given: Any, **more: Any) -> Any:
        try:
            return self._ask(name, lambda _: self._call(verb, *given, **more))
        except FileNotFoundError:
            return None

    def _ask(
        self,
        name: str,
        once: Callable[[int], Any],
        *,
        absent: Literal["answer", "fault"] = "answer",
    ) -> Any:
        """Ask until there is an answer; what it refuses is a fault of the store."""
        try:
            return self.patience.insist(once, what=self.address(name))
        except (StorageError, StoreError):
            raise
        except Exception as error:
            if isinstance(error, FileNotFoundError) and absent == "answer":
                raise
            raise gave_up(error, what=self.address(name)) from error

    def _call(self, verb: str, *given: Any, size: int = 0, **more: Any) -> Any:
        """Make one request, or those of one transfer, within the deadline."""
        from fsspec.asyn import sync

        fs = _filesystem(self.scheme, self.patience)
        return sync(fs.loop, getattr(fs, verb), *given, timeout=self.patience.seconds(size), **more)


_made: dict[Any, Any] = {}
_making = threading.Lock()


def _filesystem(scheme: str, patience: Patience) -> Any:
    """Return the library's client; one for a process, for what the environment says now."""
    told = sorted((name, text) for name, text in os.environ.items() if name.startswith(READ))
    mark = (os.getpid(), scheme, patience.deadline_s, tuple(told))
    with _making:
        if mark not in _made:
            _made[mark] = FILESYSTEMS[scheme](patience)
        return _made[mark]


def _s3(patience: Patience) -> Any:
    _need("s3", "s3fs")
    import s3fs

    fs: Any = s3fs.S3FileSystem(
        skip_instance_cache=True,
        use_listings_cache=False,
        config_kwargs={
            "connect_timeout": min(10.0, patience.deadline_s),
            "read_timeout": patience.deadline_s,
            "retries": {"total_max_attempts": 1},
        },
    )
    fs.retries = 1
    return fs


def _gs(patience: Patience) -> Any:
    _need("gs", "gcsfs")
    from gcsfs.core import GCSFileSystem  # the package's own name is another, which asks by gRPC

    return GCSFileSystem(skip_instance_cache=True, use_listings_cache=False)


# The cheapest request that tells of a bucket: verb, arguments, options.
LOOKS: dict[str, Callable[[str], tuple[str, tuple[str, ...], dict[str, Any]]]] = {
    "s3": lambda bucket: ("_call_s3", ("list_objects_v2",), {"Bucket": bucket, "MaxKeys": 1}),
    "gs": lambda bucket: ("_call", ("GET", "b/{}/o", bucket), {"maxResults": 1, "json_out": True}),
}
READS: dict[str, dict[str, Any]] = {"s3": {"max_concurrency": 1}, "gs": {}}  # one request
FILESYSTEMS: dict[str, Callable[[Patience], Any]] = {"s3": _s3, "gs": _gs}
EXTRAS = {"s3": "s3", "gs": "gcs"}
RETRIES_ITSELF = ("gs",)  # whose library tries again where nobody sees it


def _need(scheme: str, module: str) -> None:
    if importlib.util.find_spec(module) is None:
        extra = EXTRAS[scheme]
        raise StoreError(
            f"--store: {scheme}:// needs the package {module}, which is not installed; got no "
            f"{module}. Install it: pip install 'vocabox[{extra}]'"
        )


def _stamp(info: dict[str, Any]) -> float:
    """Return when an object was written: S3 gives a date, Google's JSON its text."""
    at = info.get("LastModified") or datetime.fromisoformat(info["updated"])
    return float(at.timestamp())


def _bytes(data: bytes | Path) -> bytes:
    return data.read_bytes() if isinstance(data, Path) else data
