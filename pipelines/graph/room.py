"""What a node takes while it runs, and whether there will ever be room for it."""

from collections.abc import Mapping

from pipelines.graph.node import Node
from pipelines.graph.problem import Problem, Problems
from pipelines.graph.schedule_state import Capacity, Need

GB = 1e9


def need_of(node: Node) -> Need:
    """Return the CPUs, GPUs and bytes of memory that a node takes; of an elastic one, the least."""
    on = node.run_on
    one = part_of(node)
    times = on.min_workers or on.workers or 1
    return Need(times * one.cpus, times * one.gpus, float(times * one.memory), gang=on.workers > 0)


def part_of(node: Node) -> Need:
    """Return what must be on one machine: a whole ordinary node, or one worker of a gang."""
    on = node.run_on
    if on.workers:
        return Need(on.cpus_per_worker, on.gpus_per_worker, float(on.memory))
    return Need(on.cpus, 0.0, float(on.memory))


def total_of(capacity: Mapping[str, float]) -> Capacity:
    """Return what there is in all; what an executor does not count has no end."""
    return Capacity(
        capacity.get("cpus", 0.0),
        capacity.get("gpus", 0.0),
        capacity.get("memory", Capacity(0).memory),
    )


def largest_of(capacity: Mapping[str, float]) -> Capacity:
    """Return the most of each that one machine has; all there is where there is one machine."""
    total = total_of(capacity)
    return Capacity(
        capacity.get("most_cpus", total.cpus),
        capacity.get("most_gpus", total.gpus),
        capacity.get("most_memory", total.memory),
    )


def room(node: Node, capacity: Mapping[str, float]) -> Problems:
    """A gang runs whole or not at all, so it must fit into all there is; a part on one machine."""
    need, part = need_of(node), part_of(node)
    total, largest = total_of(capacity), largest_of(capacity)
    if not need.fits(total):
        yield Problem(
            where=f"run_on.{node.name}", what=f"needs {_said(need)} at once",
            got=f"{_had(need, total)} in all",
            do="Lower workers or what each takes, or use a larger cluster.",
        )  # fmt: skip
    elif not part.fits(largest):
        yield Problem(
            where=f"run_on.{node.name}", what=f"needs {_said(part)} on one machine",
            got=f"{_had(part, largest)} at most on any",
            do="Lower what it takes, or add a larger machine.",
        )  # fmt: skip


def _said(need: Need) -> str:
    if need.memory:
        return f"{need.cpus:g} CPUs, {need.gpus:g} GPUs and {need.memory / GB:g} GB of memory"
    return f"{need.cpus:g} CPUs and {need.gpus:g} GPUs"


def _had(need: Need, have: Capacity) -> str:
    if need.memory:
        return f"{have.cpus:g}, {have.gpus:g} and {have.memory / GB:.3g} GB"
    return f"{have.cpus:g} and {have.gpus:g}"
