"""Stub gangs on a real Ray: what a training node or a pool holds, and nothing else."""

import time
from dataclasses import dataclass

from pipelines.graph.artifact import FILES
from pipelines.graph.node import Graph, Node, RunOn, Task

HOLD_S = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    value: int = 0


def hold_gang(task: Task) -> dict[str, object]:
    """Hold one placement group of all workers, as Train and a pool do; say how long it took."""
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    begun = time.monotonic()
    group = placement_group([{"CPU": task.run_on.cpus_per_worker}] * task.run_on.workers)
    ray.get(group.ready())
    waited = time.monotonic() - begun
    time.sleep(HOLD_S)
    remove_placement_group(group)
    (task.out / "value.txt").write_text(str(task.cfg.value))
    return {"waited": waited}


def small(task: Task) -> None:
    (task.out / "value.txt").write_text(str(task.cfg.value))


def crowd() -> Graph:
    """Return 3 training gangs, 2 pools and 40 tasks, and one node after them all."""
    nodes = [
        Node(name=f"gang{i}", fn=hold_gang, cfg=Number(value=i), makes=FILES,
             run_on=RunOn(workers=2 if i < 3 else 1 + i % 2))
        for i in range(5)
    ]  # fmt: skip
    for i in range(40):
        above = {"above": nodes[i % 5]} if i % 4 == 0 else {}
        nodes.append(Node(name=f"t{i:02}", fn=small, cfg=Number(value=i), makes=FILES,
                          inputs=above))  # fmt: skip
    inputs = {f"i{i}": node for i, node in enumerate(nodes)}
    return Graph(
        nodes=(Node(name="last", fn=small, cfg=Number(), makes=FILES, inputs=inputs),),
        recipe="crowd",
    )


def sleep_once(task: Task) -> None:
    """Say nothing for a long time, once."""
    mark = task.scratch / "seen"
    if not mark.exists():
        mark.touch()
        time.sleep(600)
    (task.out / "value.txt").write_text("1")
