"""A kill at every file operation of a commit, one after the other, and what a reader then finds.

Operations are counted by Python's audit events on paths of the store, in a forked child: the code
that is run is the product's own. `manifest first` is a fault planted on purpose: a commit that
gives the record before the files; the harness must find it, or the harness is broken.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.storage import LocalStore, open_store
from pipelines.graph import commit
from pipelines.graph.claims import Claimant
from pipelines.graph.commit import execute
from pipelines.graph.dispatch import payload_of
from pipelines.graph.lookup import Lookup
from pipelines.graph.record import Record, faults, read_record
from tests.pipelines.graph.bodies import node

EVENTS = ("open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree")
Run = Callable[[dict[str, Any]], object]


def points(folder: Path, *, run: Run = execute, first_only: bool = False) -> tuple[int, list[str]]:
    """Kill a commit at each of its operations; return how many there are and what was torn.

    With `first_only` it ends with the first that was torn.

    After each kill the artifact must be absent or whole, and the same call must finish it with
    the bytes of an undisturbed one.
    """
    wrong: list[str] = []
    store = open_store(str(folder / "alone"))
    whole = execute(_payload(store))["digest"]
    at = 0
    while not (wrong and first_only):
        at += 1
        store = open_store(str(folder / f"{at:03d}"))
        if not _killed(run, _payload(store), store.root, at=at):
            return at - 1, wrong
        key = _payload(store)["key"]
        record = read_record(store, key)
        if record is not None:
            wrong += [f"operation {at}: {text}" for text in faults(store, record, check="all")]
        elif store.exists(f"nodes/{key[:2]}/{key}/manifest.json"):
            wrong.append(f"operation {at}: a record that cannot be read")
        if execute(_payload(store))["digest"] != whole:
            wrong.append(f"operation {at}: other bytes after it")
        shutil.rmtree(store.root)
    return at, wrong


def _payload(store: LocalStore) -> dict[str, Any]:
    lookup = Lookup(store)
    known = lookup.identify(node("one"), {})
    return payload_of(
        known, lookup=lookup, recipe="r", claimant=Claimant(run="r-1"), forced="no", reporter=None
    )


def _killed(run: Run, payload: dict[str, Any], root: Path, *, at: int) -> bool:
    """Run in a child that dies at its n-th operation on the store; say whether it came to that."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, given: tuple[Any, ...]) -> None:
            nonlocal count
            if event in EVENTS and given and str(root) in str(given[0]):
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            run(payload)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def manifest_first(payload: dict[str, Any]) -> object:
    """Commit in the wrong order: the record, then the files it names."""
    files: dict[str, bytes] = {}
    seal = commit.seal

    def early(out: Path, **more: Any) -> dict[str, tuple[int, str]]:
        entries = seal(out, **more)
        files.update({name: (out / name).read_bytes() for name in entries})
        for name in entries:
            (out / name).unlink()
        return entries

    publish = commit.publish

    def late(store: LocalStore, body: dict[str, Any], forced: str) -> Record:
        record = publish(store, body, forced)
        for name, data in files.items():
            (record.place(store) / name).write_bytes(data)
        return record

    commit.seal, commit.publish = early, late
    return execute(payload)
