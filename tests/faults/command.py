"""The real `vocabox run` as a child: what it said, what it left, and how to kill it."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from cluster.journal import read_events
from cluster.storage import LocalStore, open_store
from components.train.snapshot_folders import damage
from pipelines.graph.record import Record, faults, read_record

ROOT = Path(__file__).parents[2]
MARK = "VOCABOX_FAULTS_MARK"  # in the environment of every process that a command starts
ORPHANS_S = 90.0  # for what a killed driver started to end by itself: two agents of Ray take 62 s


@dataclass
class Command:
    """One running command; its events are read from its output, not from the store."""

    store: Path
    process: "subprocess.Popen[bytes]"
    mark: str
    said: BinaryIO
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _rest: bytes = b""

    @classmethod
    def start(
        cls,
        arguments: Sequence[str],
        *,
        store: Path,
        environment: Mapping[str, str] = os.environ,
    ) -> "Command":
        """Start `vocabox run <arguments> --store <store> --json` in a session of its own."""
        mark = uuid.uuid4().hex
        command = [sys.executable, "-m", "pipelines.cli.entry", "run", *arguments]
        environment = {**environment, MARK: mark, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        said = store.parent / f"said-{mark[:8]}.jsonl"
        with (store.parent / "stderr.txt").open("a") as log, said.open("wb") as out:
            process = subprocess.Popen(
                [*command, "--store", str(store), "--json"], stdout=out, stderr=log,
                env=environment, cwd=ROOT, start_new_session=True,
            )  # fmt: skip
        return cls(store, process, mark, said.open("rb"))

    def hear(self) -> None:
        """Take what was said since the last time."""
        *lines, self._rest = (self._rest + self.said.read()).split(b"\n")
        self.events += [json.loads(line) for line in lines if line]

    def finish(self, *, timeout: float = 600) -> int:
        """Hear all of it and return the exit code."""
        until = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < until:
            self.hear()
            time.sleep(0.02)
        self.hear()
        if self.process.poll() is None:
            self.kill(group=True)
        return self.process.returncode

    def states(self, state: str) -> Counter[str]:
        """Count how often each node was told to be in a state."""
        return Counter(e["node"] for e in self.events if e.get("state") == state)

    @property
    def retries(self) -> Counter[str]:
        """Count how often each node was begun after its first time."""
        return Counter({n: times - 1 for n, times in self.states("running").items() if times > 1})

    def key(self, node: str) -> str | None:
        """Return the key of a node that has begun."""
        keys = [e["key"] for e in self.events if e.get("node") == node and e.get("key")]
        return keys[-1] if keys else None

    def kill(self, *, group: bool) -> None:
        """Kill the driver with -9, and all of its session where `group` says so."""
        if self.process.poll() is None:
            (os.killpg if group else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.hear()

    def orphans(self) -> list[str]:
        """Return what the command started and what still lives, after time to end by itself."""
        until = time.monotonic() + ORPHANS_S
        while (left := _marked(self.mark)) and time.monotonic() < until:
            time.sleep(0.2)
        for pid, _ in left:
            os.kill(pid, signal.SIGKILL)
        return [name for _, name in left]


def _marked(mark: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (place / "environ").read_bytes():
                name = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80]
                if name:  # what has ended and is not yet collected has none
                    found.append((int(place.name), name))
        except OSError:
            continue  # it ended while it was looked at
    return found


def records(store: Path) -> dict[str, Record]:
    """Return the record of every node of a finished store by the node's name."""
    opened = open_store(str(store))
    found: dict[str, Record] = {}
    for place in sorted((store / "nodes").glob("*/*/manifest.json")):
        record = read_record(opened, place.parent.name)
        if record is not None:
            found[record.body["node"]] = record
    return found


def torn(store: LocalStore) -> list[str]:
    """Return what is wrong with artifacts that have a record: nothing may be."""
    wrong: list[str] = []
    for place in sorted((store.root / "nodes").glob("*/*/manifest.json")):
        record = read_record(store, place.parent.name)
        if record is None:
            wrong.append(f"{place}: a record that cannot be read")
        else:
            wrong += [
                f"{record.body['node']}: {text}" for text in faults(store, record, check="all")
            ]
    return wrong


def checkpoints(store: Path, key: str) -> list[int]:
    """Return the steps of the whole checkpoints of a node that is not finished."""
    folders = sorted((store / "work" / key / "checkpoints").glob("step*"))
    return [int(f.name.removeprefix("step")) for f in folders if damage(f) is None]


def last_step(store: Path, node: str) -> int:
    """Return the last step that a node reported to the journals of the store."""
    journals = (store / "runs").glob("*/events.jsonl")
    events = (event for journal in journals for event in read_events(journal)[0])
    of_node = (e for e in events if e.get("event") == "metrics" and e.get("node") == node)
    return max((int(e["step"]) for e in of_node), default=0)
