"""Bodies of maps for tests: a listing, a unit, and who reads the units."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.graph.artifact import FILES, LISTING, SHARDS
from pipelines.graph.commit import execute
from pipelines.graph.node import Each, Graph, Node, RunOn, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    text: str = "[1, 2, 3]"  # what list.json holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Plain:
    pass


def write_list(task: Task) -> None:
    (task.out / "list.json").write_text(task.cfg.text)


def write_shards(task: Task) -> None:
    """Write what looks like a set of shards; each digit of the setting is one."""
    for i, digit in enumerate(json.loads(task.cfg.text)):
        (task.out / f"part-{i}.tar").write_text(str(digit))
    for name in ("record.json", "index.parquet", "vocabulary.json"):
        (task.out / name).write_text("{}")


def square(task: Task) -> None:
    """Write the square of an element; refuse one that the file VOCABOX_TEST_BAD names."""
    element: Any = task.element("each")
    if isinstance(element, Path):
        inside = element / "value.json" if element.is_dir() else element
        element = json.loads(inside.read_text())
    bad = Path(os.environ.get("VOCABOX_TEST_BAD", "/nowhere"))
    if bad.is_file() and json.loads(bad.read_text()) == element:
        raise ValueError(f"refuses {element}")
    with Path(os.environ["VOCABOX_TEST_LOG"]).open("a") as file:
        file.write(f"{element}\n")
    (task.out / "value.json").write_text(json.dumps(element**2))


def gather(task: Task) -> dict[str, object]:
    """Write the values of all units, in order."""
    values = [json.loads((place / "value.json").read_text()) for place in task.units("units")]
    (task.out / "value.json").write_text(json.dumps(values))
    return {"values": values}


def listing(text: str, **more: Any) -> Node:
    return Node(name="list", fn=write_list, cfg=Listed(text=text), makes=LISTING, **more)


def mapped(above: Node, name: str = "square", **more: Any) -> Node:
    return Node(name=name, fn=square, cfg=Plain(), makes=FILES, inputs={"each": Each(node=above)},
                **{"run_on": RunOn(retries=0), **more})  # fmt: skip


def gathered(above: Node) -> Node:
    return Node(name="gather", fn=gather, cfg=Plain(), makes=FILES, inputs={"units": above})


def graph(text: str = "[1, 2, 3]") -> Graph:
    """Return list -> square (a map) -> gather."""
    return Graph(nodes=(gathered(mapped(listing(text))),), recipe="fan")


def over_shards(text: str) -> Graph:
    packed = Node(name="pack", fn=write_shards, cfg=Listed(text=text), makes=SHARDS)
    return Graph(nodes=(gathered(mapped(packed)),), recipe="fan")


def twice(text: str) -> Graph:
    """Return a map over the units of a map."""
    return Graph(nodes=(gathered(mapped(mapped(listing(text)), "again")),), recipe="fan")


def graph_with(text: str) -> Graph:
    """Return the graph of `graph`, whose units are tried again once."""
    units = mapped(listing(text), run_on=RunOn(retries=1))
    return Graph(nodes=(gathered(units),), recipe="fan")


def execute_first(payloads: list[dict[str, Any]]) -> dict[str, Any]:
    """Run the first node of a call."""
    return execute(payloads[0])


def cube(task: Task) -> None:
    """Write the cube of an element."""
    (task.out / "value.json").write_text(json.dumps(task.element("each") ** 3))
