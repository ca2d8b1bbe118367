"""A fault of every kind at every storage operation of a commit, and what a reader then finds.

The code that is run is the product's own; only the disk that its store reaches is another. Three
faults planted on purpose show that the harness finds what it looks for: a record that is created
before its files, one that is written in place, and (for the power cut) a disk that never flushes.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from cluster.failures import failure_of
from cluster.local_store import LocalStore
from cluster.storage import StorageError, open_store
from pipelines.graph import commit
from pipelines.graph.claims import Claimant
from pipelines.graph.commit import Call, carry_out
from pipelines.graph.dispatch import payload_of
from pipelines.graph.lookup import Lookup
from pipelines.graph.record import Record, faults, home, read_record
from tests.faults.disks import DEAD, DEATHS, KINDS, FaultDisk
from tests.pipelines.graph.bodies import node

ONCE = ("remove", "read", "size", "listdir")  # where a fault may leave litter: it was cleaning up
MOST = 200  # operations of a commit; more is a harness that does not end


@dataclass
class Found:
    """What the faults of one kind came to."""

    kind: str
    operations: int = 0
    wrong: list[str] = field(default_factory=list[str])


@contextlib.contextmanager
def flushing(policy: Literal["durable", "fast"]) -> Iterator[None]:
    """Commit as after a long body, whose files are flushed, or as after a cheap one."""
    before = commit.CHEAP_S
    commit.CHEAP_S = {"durable": 0.0, "fast": 600.0}[policy]
    try:
        yield
    finally:
        commit.CHEAP_S = before


def every_kind(folder: Path, *, kinds: tuple[str, ...] = KINDS, before: str = "") -> list[Found]:
    """Let every operation of a commit meet each kind of fault; see `points`."""
    return [points(folder / kind.replace(" ", "_"), kind=kind, before=before) for kind in kinds]


def points(folder: Path, *, kind: str, before: str = "", first_only: bool = False) -> Found:
    """Commit once for each operation, which meets a fault of this kind; say what was wrong.

    After it the artifact is absent or whole; an error is one of storage, names the place, and
    leaves nothing behind; the same call, without a fault, ends with the bytes of one left alone.

    Args:
        folder: for the stores.
        kind: one of KINDS.
        before: "torn": a torn record of a power cut lies where the new one goes.
        first_only: end with the first that was wrong.
    """
    found = Found(kind)
    whole = _digest_alone(folder)
    while not (found.wrong and first_only) and found.operations < MOST:
        at = found.operations + 1
        place = folder / f"{at:03d}"
        store = open_store(str(place))
        call = call_of(store)
        if before == "torn":
            store.put_new(f"{home(call.key)}/manifest.json", b'{"torn')
        met, wrong = _once(call, place, at=at, kind=kind)
        if before == "torn":
            wrong = [text for text in wrong if text != "manifest.json was left"]
        if met is None:
            break
        found.operations = at
        where = f"{kind} at operation {at} ({met})"
        wrong += _after(call, place, whole)
        found.wrong += [f"{where}: {text}" for text in wrong]
        shutil.rmtree(place)
    return found


def call_of(store: Any) -> Call:
    """Return what a worker would be given for one small node."""
    lookup = Lookup(store)
    known = lookup.identify(node("one"), {})
    fields = payload_of(
        known, lookup=lookup, recipe="r", claimant=Claimant(run="r-1"), forced="no", reporter=None
    )
    return Call(**fields)


def _carried(call: Call, store: Any) -> dict[str, Any]:
    """Do as a driver does: a claim of a run that does not live is taken over."""
    answer = carry_out(call, store)
    if "claimed" not in answer:
        return answer
    over = replace(call.claimant, over=answer["claimed"]["mark"])
    return carry_out(replace(call, claimant=over), store)


def _digest_alone(folder: Path) -> str:
    store = open_store(str(folder / "alone"))
    return str(carry_out(call_of(store), store)["digest"])


def _once(call: Call, place: Path, *, at: int, kind: str) -> tuple[str | None, list[str]]:
    """Commit with one fault; return the operation it met, None if there is none, and what is wrong.

    A death happens in a child, which tells of its operation by its exit code.
    """
    disk = FaultDisk(at=at, kind=kind)
    if kind in DEATHS:
        child = os.fork()
        if child == 0:
            try:
                carry_out(call, LocalStore(place, disk=disk))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        return ("it died" if os.waitstatus_to_exitcode(status) == DEAD else None), []
    wrong: list[str] = []
    try:
        carry_out(call, LocalStore(place, disk=disk))
    except StorageError as error:
        if failure_of(error, where="one").kind != "storage" or str(place) not in str(error):
            wrong.append(f"an error that does not say so: {error}")
        if disk.met not in ONCE:
            wrong += _litter(call, place)
    except Exception as error:
        wrong.append(f"another error came out: {error!r}")
    return disk.met, wrong


def _litter(call: Call, place: Path) -> Iterator[str]:
    """Say what a fault that was not a death left beside whole artifacts."""
    record = read_record(LocalStore(place), call.key)
    kept = {"manifest.json", record.body["attempt"]} if record else set[str]()
    below = place / home(call.key)
    for path in below.iterdir() if below.is_dir() else ():
        if path.name not in kept:
            yield f"{path.name} was left"


def _after(call: Call, place: Path, whole: str) -> list[str]:
    """Say what a reader finds wrong, and whether the same call mends it."""
    store = LocalStore(place)
    wrong: list[str] = []
    record = read_record(store, call.key)
    name = f"{home(call.key)}/manifest.json"
    if record is not None:
        wrong += faults(store, record, check="all")
    elif (store.read(name) or b'{"torn') != b'{"torn':
        wrong.append("a record that cannot be read")
    lost = [p for p in store.list("quarantine") if p.startswith("nodes") and "manifest" not in p]
    wrong += [f"{p} went to quarantine, and nothing was damaged" for p in lost]
    try:
        if _carried(call, store)["digest"] != whole:
            wrong.append("other bytes after it")
    except Exception as error:
        wrong.append(f"the same call does not mend it: {error!r}")
    return wrong


Planted = Callable[[], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def manifest_first() -> Iterator[None]:
    """Commit in the wrong order: the record, then the files it names."""
    seal, publish = commit.seal, commit.publish
    files: dict[str, bytes] = {}

    def early(out: Path, **more: Any) -> dict[str, tuple[int, str]]:
        entries = seal(out, **more)
        files.update({name: (out / name).read_bytes() for name in entries})
        for name in entries:
            (out / name).unlink()
        return entries

    def late(store: LocalStore, body: dict[str, Any], forced: str) -> Record:
        record = publish(store, body, forced)
        for name, data in files.items():
            store._disk.write_new(record.place(store) / name, data)
        return record

    commit.seal, commit.publish = early, late
    try:
        yield
    finally:
        commit.seal, commit.publish = seal, publish


@contextlib.contextmanager
def written_in_place() -> Iterator[None]:
    """Write a name where it will be read, without a draft: what Ray Train does to its snapshot."""
    real = LocalStore._put

    def in_place(self: LocalStore, final: Path, data: bytes | Path, *, sync: Any) -> bool:
        if final.exists():
            return False
        self._folder(final.parent, sync=sync)
        self._disk.write_new(final, data)
        self._disk.fsync(final)
        return True

    LocalStore._put = in_place
    try:
        yield
    finally:
        LocalStore._put = real


PLANTED: dict[str, Planted] = {"manifest first": manifest_first, "in place": written_in_place}
