"""Runs in a store for tests of keeping: made by a real walk under a real lease."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.call import InProcessExecutor
from cluster.lease import Lease, Watch, take
from cluster.storage import LocalStore, open_store
from pipelines.graph.node import Graph, Node
from pipelines.graph.run import walk
from pipelines.runs.fenced import Fenced
from tests.pipelines.graph.bodies import node

DAY_S = 86400.0


class Kept:
    """A store, and runs that were made in it."""

    def __init__(self, folder: Path) -> None:
        self.store: LocalStore = open_store(str(folder / "store"))

    @property
    def where(self) -> str:
        return str(self.store.root)

    def run(self, run: str, *nodes: Node) -> dict[str, Any]:
        """Walk a graph as a run, and give it back; return the outcome of each node."""
        with self.lease(run) as held:
            return self.walk(held, run, *nodes)

    def walk(self, held: Lease, run: str, *nodes: Node, **more: Any) -> dict[str, Any]:
        fenced = Fenced(held, lambda event: None)
        more = {"executor": InProcessExecutor(), **more}
        outcome = walk(
            Graph(nodes=nodes, recipe="toy"), store=self.store, emit=fenced, run=run,
            epoch=held.epoch, **more,
        )  # fmt: skip
        assert outcome.status == "done", outcome
        fenced.flush()
        return dict(outcome.nodes)

    @contextmanager
    def lease(self, run: str) -> Iterator[Lease]:
        with take(self.store, f"runs/{run}") as held:
            yield held

    def age(self, *, days: float = 2.0) -> None:
        """Set all time stamps back; but who works on a run has just given a sign of life."""
        for path in [self.store.root, *self.store.root.rglob("*")]:
            stamp = path.lstat().st_mtime - days * DAY_S
            os.utime(path, (stamp, stamp), follow_symlinks=False)
        for run in self.store.list("runs"):
            if Watch(self.store, f"runs/{run}").look():
                beats = self.store.path(f"runs/{run}/beats")
                beats.mkdir(exist_ok=True)
                os.utime(beats)

    def names(self) -> set[str]:
        """Return all files, but for what is written while one looks."""
        files = (p for p in self.store.root.rglob("*") if p.is_file())
        return {str(p.relative_to(self.store.root)) for p in files}

    def manifests(self) -> set[str]:
        return {Path(name).parent.name for name in self.names() if name.endswith("manifest.json")}


def pair(value: float = 1.0, *, name: str = "last") -> Node:
    """Return a node that reads one which does not depend on the value."""
    return node(name, node("first"), value=value)


def neutral(text: str) -> str:
    """Return a text without keys and ages, for goldens."""
    text = re.sub(r"nodes\.[0-9a-f]{2}\.", "nodes.XX.", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "KEY64", re.sub(r"\b[0-9a-f]{32}\b", "ATTEMPT", text))
    text = re.sub(r"\b[0-9a-f]{12}\b", "KEY", re.sub(r"\.[0-9a-f]{8}\b", ".MARK", text))
    return re.sub(r'"(started|seconds)": [\d.e-]+', r'"\1": 0', text)


def wait_for_a_tick() -> None:
    time.sleep(0.02)  # time stamps of files have ticks
