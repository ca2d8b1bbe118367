"""A small graph that the faults are done to: its bodies count themselves outside of the store.

python -m tests.faults.toy STORE [--executor ray|inline] [--train]     run it, as a driver does
python -m tests.faults.toy STORE --address HOST:PORT                   the same on a cluster
"""

import argparse
import hashlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cluster.failures import failure_of
from cluster.lease import TTL_S, OwnedError
from cluster.workers import Group, run_group
from pipelines.graph.artifact import FILES
from pipelines.graph.attempts import code_of
from pipelines.graph.node import Graph, Node, RunOn, Task
from pipelines.runs.drive import drive
from pipelines.runs.loading import Loaded

COUNT = "VOCABOX_TOY_COUNT"  # a file: a line "<node>" for every body that began
RUN = "toy-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Toy:
    """How long a body takes, and what tells it from others."""

    name: str
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained(Toy):
    """The same of a group."""

    world: int = 1


def body(task: Task) -> None:
    """Write a digest of the inputs: a result that was wrongly used again changes all below."""
    count(task.cfg.name)
    time.sleep(task.cfg.seconds)
    write(task)


def train(task: Task) -> None:
    """Do the same on a group of workers."""
    count(task.cfg.name)
    run_group(rank, {"seconds": task.cfg.seconds}, workers=task.run_on.workers,
              local=task.run_on.local, scratch=task.scratch, name="toy", say=task.say)  # fmt: skip
    write(task)


def rank(arg: dict[str, Any], group: Group) -> int:
    """Be one worker."""
    time.sleep(arg["seconds"])
    return group.world


def write(task: Task) -> None:
    """Write what a body makes."""
    told = hashlib.sha256(task.cfg.name.encode())
    for name in sorted(task.inputs):
        told.update((task.path(name) / "value.json").read_bytes())
    (task.out / "value.json").write_text(json.dumps(told.hexdigest()))
    (task.out / "more").mkdir()
    (task.out / "more" / "bulk.bin").write_bytes(told.digest() * 500)


def count(name: str) -> None:
    """Say outside of the store that a body began."""
    if place := os.environ.get(COUNT):
        handle = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(handle, f"{name}\n".encode())
        os.close(handle)


def toy(*, seconds: float = 0.0, train_in: str = "") -> Graph:
    """Return a graph with a wide part; with `train_in` (ray or local) one node is a group."""

    def one(name: str, *above: Node) -> Node:
        return Node(name=name, fn=body, cfg=Toy(name=name, seconds=seconds), makes=FILES,
                    inputs={a.name: a for a in above})  # fmt: skip

    first = one("first")
    middle = [one(f"m{i}", first) for i in range(3)]
    last = one("last", *middle)
    ends = [last, one("beside")]
    if train_in:
        ends.append(
            Node(name="train", fn=train, cfg=Trained(name="train", seconds=seconds),
                 makes=FILES, inputs={"first": first},
                 run_on=RunOn(workers=1, local=train_in == "local"))
        )  # fmt: skip
    return Graph(nodes=tuple(ends), recipe="toy")


def be_driver(
    store: Path,
    graph: Graph,
    *,
    executor: Any,
    take_over_after: float = TTL_S,
    address: str = "local",
) -> int:
    """Run a toy as `vocabox run` would; return the exit code."""
    try:
        ended = drive(_loaded(store, graph), store=str(store), emit=_say, executor=executor,
                      take_over_after=take_over_after, address=address)  # fmt: skip
    except OwnedError as error:
        print(error, file=sys.stderr)
        return code_of(failure_of(error, where="toy"))
    if ended.reason:
        print(ended.reason, file=sys.stderr)
    return ended.code


def _say(event: Any) -> None:
    print(json.dumps(dict(event)), flush=True)


def _loaded(store: Path, graph: Graph) -> Loaded:
    tracking = SimpleNamespace(kind="none", uri=None, experiment="")
    cfg = SimpleNamespace(tracking=tracking, backbone=SimpleNamespace(kind="none"))
    return Loaded(recipe="toy", cfg=cfg, graph=graph, resolved={}, text="", digest="toy",
                  file=store / "toy.yaml", root=store, overrides=())  # fmt: skip


def main(arguments: list[str]) -> int:
    """Be a driver."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.toy", description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--executor", choices=["ray", "inline"], default="ray")
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--address", default="local")
    given = parser.parse_args(arguments)
    train_in = {"ray": "ray", "inline": "local"}[given.executor] if given.train else ""
    return be_driver(given.store, toy(seconds=given.seconds, train_in=train_in),
                     executor=given.executor, address=given.address)  # fmt: skip
