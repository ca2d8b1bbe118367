"""What a power cut may leave of a commit, and whether a reader is ever shown a part.

Files are inodes whose bytes are lost, half there, zeros or whole until they are flushed; entries of
a folder may be lost until the folder is flushed. At each prefix of the operations every subset of
what is not flushed is made (a sample of them where there are many) and read. Not modelled: torn
sectors, disks that lie, renames from one folder to another.
"""

import contextlib
import itertools
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cluster.disk import Disk
from cluster.local_store import LocalStore
from cluster.storage import open_store
from pipelines.graph import record
from pipelines.graph.commit import carry_out
from pipelines.graph.record import faults, read_record
from tests.faults import commits
from tests.faults.commits import call_of

# what is left of bytes that were not flushed
LEFT: tuple[Callable[[bytes], bytes], ...] = (
    lambda _: b"",
    lambda data: data[: len(data) // 2],
    lambda data: bytes(len(data)),
    lambda data: data,
)
SAMPLE = 64  # images of one prefix
RARE = 0.1  # how often something is lost in every other image


@dataclass
class Cut:
    """What the images of all prefixes came to."""

    images: int = 0
    whole: int = 0
    absent: int = 0
    torn: list[str] = field(default_factory=list[str])
    noticed: int = 0  # not whole, and known not to be: it is made again
    lost: int = 0  # absent although the commit had been told to be done


class Recorder(Disk):
    """Does each operation on a real disk, or only remembers it, and keeps them in order."""

    def __init__(self, root: Path, *, flushes: bool = True) -> None:
        self.root, self.flushes = root, flushes
        self.operations: list[tuple[Any, ...]] = []
        self._known = {root}

    def write_new(self, path: Path, data: bytes | Path) -> None:
        for place in sorted(self.root.rglob("*")):  # what a body wrote, and nobody flushed
            if place not in self._known:
                self._made_by_the_body(place)
        super().write_new(path, data)
        self._note("file", path, path.read_bytes())

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        self._note("folder", path)

    def link(self, path: Path, name: Path) -> None:
        super().link(path, name)
        self._note("link", name, path)

    def rename(self, path: Path, name: Path) -> None:
        raise NotImplementedError("a rename from one folder to another is not modelled")

    def remove(self, path: Path) -> None:
        super().remove(path)
        self.operations.append(("remove", path))

    def fsync(self, path: Path) -> None:
        super().fsync(path)
        if path not in self._known and path != self.root.parent:
            self._made_by_the_body(path)
        if self.flushes and path != self.root.parent:
            self.operations.append(("flush", path))

    def _made_by_the_body(self, path: Path) -> None:
        """Note what a node's body wrote itself, not flushed until now."""
        for above in reversed(path.relative_to(self.root).parents):
            if (place := self.root / above) not in self._known:
                self._note("folder", place)
        self._note(*(("folder", path) if path.is_dir() else ("file", path, path.read_bytes())))

    def _note(self, what: str, path: Path, *more: Any) -> None:
        self._known.add(path)
        self.operations.append((what, path, *more))


@dataclass
class _State:
    """Inodes and entries after some operations; what is not flushed may be lost."""

    inode: dict[Path, int]
    data: dict[int, bytes] = field(default_factory=dict[int, bytes])  # of files
    flushed: set[int] = field(default_factory=set[int])
    entries: list[list[Any]] = field(default_factory=list[list[Any]])  # folder, name, inode, safe

    def do(self, operation: tuple[Any, ...], fresh: Iterator[int]) -> None:
        what, path = operation[:2]
        if what == "flush":
            number = self.inode[path]
            self.flushed.add(number)
            for entry in self.entries:
                entry[3] = entry[3] or entry[0] == number
        elif what == "remove":
            if path in self.inode:
                self._enter(path, None)
            for gone in [p for p in self.inode if p == path or path in p.parents]:
                del self.inode[gone]
        else:
            number = self.inode[operation[2]] if what == "link" else next(fresh)
            if what == "file":
                self.data[number] = operation[2]
            self._enter(path, number)
            self.inode[path] = number

    def _enter(self, path: Path, number: int | None) -> None:
        self.entries.append([self.inode[path.parent], path.name, number, False])

    def images(self, top: int, draw: random.Random) -> Iterator[dict[str, Any]]:
        """Yield trees: name -> bytes or tree."""
        loose = [entry for entry in self.entries if not entry[3]]
        open_files = [number for number in self.data if number not in self.flushed]
        choices = [(0, 1)] * len(loose) + [(0, 1, 2, 3)] * len(open_files)
        every = itertools.product(*choices)
        many = 2 ** len(loose) * 4 ** len(open_files) > SAMPLE
        sample = (_drawn(choices, draw, even=i % 2 == 0) for i in range(SAMPLE))
        for pick in sample if many else every:
            there = {id(entry) for entry, yes in zip(loose, pick, strict=False) if yes}
            parts = dict(zip(open_files, pick[len(loose) :], strict=True))
            yield self._tree(top, there, parts)

    def _tree(self, folder: int, there: set[int], parts: dict[int, int]) -> dict[str, Any]:
        found: dict[str, int] = {}
        for entry in self.entries:
            if entry[0] == folder and (entry[3] or id(entry) in there):
                found.pop(entry[1], None)
                if entry[2] is not None:
                    found[entry[1]] = entry[2]
        out: dict[str, Any] = {}
        for name, number in found.items():
            if number in self.data:
                data = self.data[number]
                out[name] = LEFT[parts.get(number, 3)](data)
            else:
                out[name] = self._tree(number, there, parts)
        return out


def _drawn(choices: list[tuple[int, ...]], draw: random.Random, *, even: bool) -> tuple[int, ...]:
    """Return a choice of what survives; not even: nearly all of it does."""
    return tuple(draw.choice(c) if even or draw.random() < RARE else c[-1] for c in choices)


def power_cuts(
    folder: Path,
    *,
    policy: Literal["durable", "fast"] = "durable",
    flushes: bool = True,
    boot: str = "another",
    seed: int = 0,
) -> Cut:
    """Cut the power at each operation of a commit and read every image; see the module.

    Args:
        folder: for the stores.
        policy: fast: the files of a cheap body are not flushed; a reader must notice what is lost.
        flushes: false: a disk that never does what it says.
        boot: of the machine that reads.
        seed: of the sample.
    """
    root = folder / "store"
    store = open_store(str(root))
    call = call_of(store)
    disk = Recorder(root, flushes=flushes)
    with commits.flushing(policy):
        carry_out(call, LocalStore(root, disk=disk))
    found, draw, fresh = Cut(), random.Random(seed), itertools.count(1)
    state = _State({root: 0})
    for done in range(len(disk.operations) + 1):
        for i, image in enumerate(state.images(0, draw)):
            place = folder / f"image{done}-{i}"
            _lay(place, image)
            told = done == len(disk.operations)
            with _booted(boot):
                _read(LocalStore(place), call.key, found, told=told, where=f"operation {done}")
            shutil.rmtree(place)
        if done < len(disk.operations):
            state.do(disk.operations[done], fresh)
    return found


def _lay(place: Path, tree: dict[str, Any]) -> None:
    place.mkdir()
    for name, what in tree.items():
        if isinstance(what, dict):
            _lay(place / name, what)
        else:
            (place / name).write_bytes(what)


@contextlib.contextmanager
def _booted(name: str) -> Iterator[None]:
    """Read as a machine does that was started since."""
    before, record.boot = record.boot, lambda: name
    try:
        yield
    finally:
        record.boot = before


def _read(store: LocalStore, key: str, found: Cut, *, told: bool, where: str) -> None:
    found.images += 1
    made = read_record(store, key)
    wrong = [] if made is None else store.faults(made.name, made.files, check="all")
    if made is not None and made.fast and faults(store, made, check="sizes"):
        found.noticed += 1
    elif made is not None and wrong:
        found.torn.append(f"{where}: {wrong[0]}")
    elif made is not None:
        found.whole += 1
    else:
        found.absent += 1
        found.lost += told
