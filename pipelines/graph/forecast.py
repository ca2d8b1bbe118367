"""What a plan may cost: CPU and GPU seconds, bytes, and the time that the schedule would need."""

import heapq
import os
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.graph import schedule
from pipelines.graph.node import Node, upstream
from pipelines.graph.room import need_of
from pipelines.graph.schedule_state import Action, Finished, Job, Need, Wanted

PARTS = 64  # of a map that are told apart: more of them change little, and cost time


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One node that will run, and the seconds it may take; None: unknown, counted as none."""

    node: Node
    seconds: float | None
    calls: int = 1  # that share them and may run at once: the units of a map


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Sums over what will run. What was never run is counted in `unknown` and nowhere else."""

    seconds: float  # one after the other
    wall_s: float | None  # as the schedule would run it on `cpus`; None: some node never fits
    cpus: float
    cpu_s: float
    gpu_s: float
    size: int  # bytes that will be written
    runs: int
    unknown: int


def wall_seconds(tasks: Iterable[Task], *, cpus: float, gpus: float = 0.0) -> float | None:
    """Return the seconds from start to end, by the schedule that a run uses.

    What an upstream result that is there costs is nothing, and so is what is not known.

    Args:
        tasks: nodes that will run, inputs before users.
        cpus: that there are.
        gpus: that there are.

    Returns:
        None where a node needs more than there is.
    """
    tasks = list(tasks)
    took = {task.node.name: task.seconds or 0.0 for task in tasks}
    jobs = tuple(job for task in tasks for job in _jobs(task, took))
    state, first = schedule.start(jobs, cpus=cpus, gpus=gpus)
    todo: list[Action] = list(first)
    running: list[tuple[float, str]] = []
    now = 0.0
    while todo or running:
        while todo:
            action = todo.pop(0)
            if action.kind == "resolve":
                state, more = schedule.step(state, Wanted(action.name))
                todo += more
            elif action.kind == "submit":
                heapq.heappush(running, (now + took[action.name], action.name))
            elif action.kind == "impossible":
                return None
        if running:
            now, name = heapq.heappop(running)
            state, more = schedule.step(state, Finished(name))
            todo += more
    return now


def machine_cpus() -> float:
    """Return the CPUs that a session on this machine would have."""
    there = "sched_getaffinity" in dir(os)
    return float(len(os.sched_getaffinity(0)) if there else os.cpu_count() or 1)


def _jobs(task: Task, took: dict[str, float]) -> list[Job]:
    """Return a node as the schedule sees it; of a map its parts, and what waits for them.

    What each part takes is added to `took`, and taken from its map.
    """
    node, name = task.node, task.node.name
    after = tuple(above.name for above in upstream(node) if above.name in took)
    if task.calls <= 1:
        return [Job(name=name, after=after, need=need_of(node), weight=took[name] or 1.0)]
    parts = tuple(f"{name}[{i}]" for i in range(min(task.calls, PARTS)))
    each, took[name] = took[name] / len(parts), 0.0
    took |= dict.fromkeys(parts, each)
    jobs = [Job(name=p, after=after, need=need_of(node), weight=each or 1.0) for p in parts]
    return [*jobs, Job(name=name, after=parts, need=Need(0.0))]
