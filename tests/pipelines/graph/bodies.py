"""Bodies of nodes for tests: small, at module level, each leaves a mark when it runs."""

import json
import os
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster.call import InProcessExecutor
from cluster.local_store import LocalStore
from cluster.storage import open_store
from pipelines.graph.artifact import FILES
from pipelines.graph.node import Graph, Node, Outside, RunOn, Task, View
from pipelines.graph.run import walk

LARGE = 600_000  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    value: float = 1.0
    fail: str = ""  # name of an error to raise
    sleep: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    steps: int = 3
    world: int = 1
    inner: Number = field(default_factory=Number)


class LostError(RuntimeError):
    """Stands for a dead machine."""


def add(task: Task) -> dict[str, object]:
    """Write the sum of all inputs and the setting."""
    _mark(task)
    total = float(task.cfg.value)
    for place in task.inputs.values():
        for path in [place / "value.json"] if isinstance(place, Path) else place.values():
            total += json.loads(path.read_text())
    task.say(1, 2, "half way", **{"train/loss": 0.5})
    if task.cfg.fail:
        raise {"ValueError": ValueError, "OSError": OSError}[task.cfg.fail]("as asked for")
    (task.out / "value.json").write_text(json.dumps(total))
    (task.out / "more").mkdir()
    (task.out / "more" / "fixed.json").write_text("7")
    return {"total": total}


def add_inner(task: Task) -> dict[str, object]:
    """Do as `add`, by the settings inside the settings."""
    return add(replace(task, cfg=task.cfg.inner))


def parity(task: Task) -> None:
    """Write whether the input is odd: many inputs give the same bytes."""
    _mark(task)
    value = json.loads((task.path("number") / "value.json").read_text())
    (task.out / "value.json").write_text(json.dumps(value % 2))


def large(task: Task) -> None:
    """Write many bytes that do not compress, the same at each time."""
    (task.out / "large.bin").write_bytes(random.Random(task.cfg.value).randbytes(LARGE))


def nothing(task: Task) -> None:
    _mark(task)


def train(task: Task) -> None:
    _mark(task)
    (task.out / "value.json").write_text(str(task.cfg.steps))


def flaky(task: Task) -> None:
    """Fail once in a way that only scratch remembers."""
    _mark(task)
    seen = task.scratch / "seen"
    (task.out / "half.bin").write_bytes(b"x" * 100)
    if not seen.exists():
        seen.touch()
        raise OSError(28, "No space left on device")
    (task.out / "value.json").write_text("1")


def _mark(task: Task) -> None:
    """Count executions outside the store."""
    if log := os.environ.get("VOCABOX_TEST_LOG"):
        with Path(log).open("a") as file:
            file.write(task.out.parent.name + "\n")


def node(name: str, *above: Node | View | Outside, value: float = 1.0, **more: Any) -> Node:
    """Return an adding node; inputs are named i0, i1, ..."""
    more = {"fn": add, "cfg": Number(value=value), "run_on": RunOn(retries=0), **more}
    return Node(name=name, makes=FILES, inputs={f"i{i}": a for i, a in enumerate(above)}, **more)


def chain(length: int = 4, *, value: float = 1.0) -> Graph:
    """Return n0 -> n1 -> ...; only n0 has the value."""
    nodes = [node("n0", value=value)]
    for i in range(1, length):
        nodes.append(node(f"n{i}", nodes[-1]))
    return Graph(nodes=(nodes[-1],), recipe="chain")


class Bench:
    """A store, and what walks over it did."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        open_store(str(folder / "store"))
        self.store = LocalStore(folder / "store")
        self.events: list[dict[str, Any]] = []

    def walk(self, graph: Graph, **more: Any) -> Any:
        self.events = []
        more = {"executor": InProcessExecutor(), **more}
        return walk(graph, store=self.store, emit=self.events.append, run="run-1", **more)

    def states(self, outcome: Any) -> dict[str, str]:
        return {name: ended.state for name, ended in outcome.nodes.items()}


def wide(count: int) -> Graph:
    """Return one node, `count` - 2 that read it, and one that reads those."""
    first = node("first")
    middle = [node(f"m{i}", first, value=i) for i in range(count - 2)]
    return Graph(nodes=(node("last", *middle),), recipe="wide")


def write_large(task: Task) -> None:
    """Write a number in more bytes than are hashed at a first look."""
    (task.out / "value.json").write_text(" " * (2 << 20) + "1")
