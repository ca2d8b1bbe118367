"""A driver stopped at every file operation of a run, followed by another, and woken again.

The second driver takes the run over and ends it; the first must then find that it is no longer the
owner, and change nothing. `racy` is a fault planted on purpose: an owner that looks and then
writes over what is there; the harness must find it, or the harness is broken.
"""

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster import lease
from cluster.failures import EXIT
from cluster.lease import Lease, journal
from cluster.numbered import Numbered, Record
from cluster.storage import LocalStore, open_store
from pipelines.graph.record import faults, read_record
from tests.faults.toy import RUN, be_driver, toy

# what a driver does to the disk, as Python tells of it
EVENTS = ("open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree")
SILENCE_S = 0.3  # after which the second driver takes over
DEPOSED, DONE = EXIT["owned"], EXIT["done"]


def points(
    folder: Path, *, planted: Callable[[], None] = lambda: None, every: int = 1, first: int = 1
) -> tuple[int, int, list[str]]:
    """Stop a driver at each `every`-th operation; return operations, takeovers and what is wrong.

    With a fault `planted` it ends with the first thing that is wrong.
    """
    alone = folder / "alone"
    assert _driver(alone) == DONE
    whole = _artifacts(open_store(str(alone)))
    wrong: list[str] = []
    at, takeovers = first, 0
    while True:
        store = folder / f"{at:04d}"
        old = _stopped(store, at=at, planted=planted)
        if old is None:
            return at, takeovers, wrong
        takeovers += 1
        wrong += [f"operation {at}: {text}" for text in _followed(store, old, whole=whole)]
        if wrong and planted.__name__ != "<lambda>":
            return at, takeovers, wrong
        at += every


def racy() -> None:
    """Plant an owner that never asks, and writes over what others wrote."""

    def create(self: Numbered, number: int, body: Record) -> bool:
        name = self._name(number)
        self._store.delete(name)
        return _create(self, number, body)

    _create = Numbered.create
    Numbered.create = create
    Lease.check = lambda self: None  # type: ignore[method-assign]
    Lease._look = lambda self: None  # type: ignore[method-assign]


def _followed(folder: Path, old: int, *, whole: dict[str, str]) -> list[str]:
    """Let a second driver end the run of a stopped one, wake that, and say what is wrong."""
    wrong: list[str] = []
    code = _driver(folder)
    if code != DONE:
        wrong.append(f"the second driver ended with {code}")
    store = open_store(str(folder))
    before = _state(store)
    takes = [r for r in journal(store, f"runs/{RUN}").since(1) if r["kind"] == "take"]
    os.kill(old, signal.SIGCONT)
    status = os.waitstatus_to_exitcode(os.waitpid(old, 0)[1])
    if status not in (DEPOSED, DONE):
        wrong.append(f"the first driver ended with {status}")
    after = _state(store)
    changed = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    if len(takes) > 1:  # else the first one had ended its run, and was still its owner
        wrong += [f"changed after the takeover: {name}" for name in changed[:3]]
    if _artifacts(store) != whole:
        wrong.append("other artifacts than undisturbed")
    return wrong + _records(store)


def _records(store: LocalStore) -> list[str]:
    """Say what is wrong with a run's records: out of epoch, or a result recorded twice."""
    wrong: list[str] = []
    epoch, seen = 0, set[str]()
    for record in journal(store, f"runs/{RUN}").since(1):
        if record["epoch"] < epoch:
            wrong.append(f"record {record['n']} is of epoch {record['epoch']}, after {epoch}")
        epoch = max(epoch, record["epoch"])
        for name in record.get("nodes", {}):
            if name in seen:
                wrong.append(f"{name} is recorded done twice")
            seen.add(name)
    if seen != {n.name for n in toy().every()}:
        wrong.append(f"recorded done: {sorted(seen)}")
    return wrong


def _artifacts(store: LocalStore) -> dict[str, str]:
    """Return key -> digest of all whole artifacts; a torn one is no name at all."""
    found: dict[str, str] = {}
    for path in store.root.glob("nodes/*/*"):
        record = read_record(store, path.name)
        if record is not None:
            torn = faults(store, record, check="all")
            found[path.name] = "; ".join(torn) or record.digest
    return found


def _state(store: LocalStore) -> dict[str, str]:
    """Return what a run says of itself and of its results; drafts and litter say nothing."""
    told = ("finished.json", "config.json")
    kept = list(store.root.glob("nodes/*/*/manifest.json"))
    kept += [p for p in (store.root / "runs" / RUN).rglob("*")
             if p.parent.name == "journal" or p.name in told]  # fmt: skip
    kept = [p for p in kept if not p.name.startswith(".")]
    return {
        str(p.relative_to(store.root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept
    }


def _driver(folder: Path) -> int:
    """Run the toy in a child and return its exit code."""
    child = os.fork()
    if child == 0:
        _run(folder)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _stopped(folder: Path, *, at: int, planted: Callable[[], None]) -> int | None:
    """Start a driver that stops at its n-th operation on the store; None where it ended."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, given: tuple[Any, ...]) -> None:
            nonlocal count
            if event in EVENTS and given and str(folder) in str(given[0]):
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGSTOP)

        planted()
        sys.addaudithook(hook)
        _run(folder)
    _, status = os.waitpid(child, os.WUNTRACED)
    return child if os.WIFSTOPPED(status) else None


def _run(folder: Path) -> None:
    """Be a driver of the toy; never return."""
    lease.BEAT_S, lease.POLL_S = 0.1, 0.02
    out = os.open(os.devnull, os.O_WRONLY)
    os.dup2(out, 1)
    try:
        os._exit(be_driver(folder, toy(), executor="inline", take_over_after=SILENCE_S))
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(99)
