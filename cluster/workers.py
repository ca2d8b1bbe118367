"""Run one function on N workers that form a process group; return what rank 0 returns.

Three ways, the same function: in this process (one worker), in child processes on this machine
(`local`), and as a Ray Train job. Inside Ray the caller is a task that holds no CPU: the group's
CPUs are the job's own. A Train job that lost a worker or a machine starts its group again: the
function begins anew on every rank, and goes on from what it left in its own folders.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.failures import Budget
from cluster.rendezvous import pinned

Worker = Callable[..., Any]  # fn(arg, group), at the top level of a module
Report = Callable[..., None]  # say(done, total, text="", **metrics)


def never() -> bool:
    """Answer who asks whether to stop, where nobody will ever say so."""
    return False


def silent(*values: Any, **metrics: Any) -> None:
    """Say nothing: what ranks above 0 are given."""
    del values, metrics


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """What a worker's function gets beside its argument: who it is, and ways to the others."""

    rank: int
    world: int
    say: Report  # heard of rank 0 only
    note: Callable[[str], None]  # one sentence for people; heard of rank 0 only
    wrap: Callable[..., Any]  # wrap(module, **options): to its device; data-parallel if there are
    # more workers
    share: Callable[[Any], Any]  # share(value): rank 0's value on every rank; all must call it
    asked: Callable[[], bool]  # whether this worker was told to keep its work and end; the others
    # may hear it earlier or later, or never


def run_group(
    fn: Worker,
    arg: dict[str, Any],
    *,
    workers: int,
    min_workers: int = 0,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    memory_per_worker: int = 0,
    local: bool = False,
    scratch: Path,
    name: str,
    say: Report,
    note: Callable[[str], None] = silent,
    asked: Callable[[], bool] = never,
    budget: Budget | None = None,
) -> Any:
    """Run `fn(arg, group)` on every worker and return rank 0's value.

    Args:
        fn: a function at the top level of a module.
        arg: plain values and paths, sent to every worker.
        workers: how many; 0 counts as 1.
        min_workers: above 0, Ray Train may run with so few where there is no room for all.
        cpus_per_worker: also the number of threads of each worker, at least 1.
        gpus_per_worker: above 0 the group talks by nccl, else by gloo.
        memory_per_worker: bytes that Ray sets aside for each; 0 for none.
        local: on this machine and without Ray.
        scratch: a folder that all workers see, for Train's records and the meeting file.
        name: who is named when something fails.
        say: called with what rank 0 says; under Ray it is sent to the worker.
        note: called with sentences of rank 0, as `say`.
        asked: asked now and then; true tells the workers to keep their work and end.
        budget: how often a Train job may lose a worker. Local groups are not started again.

    Raises:
        GroupError: one worker raised or died; `failure` holds its traceback, and kind `used_up`
            where the budget is. One local worker's own exception comes through.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    threads, world = max(1, int(cpus_per_worker)), max(1, workers)
    if local and world == 1:
        alone = Group(rank=0, world=1, say=say, note=note, wrap=_alone, share=_own, asked=asked)
        with pinned(threads):
            return fn(arg, alone)
    job = {"fn": fn, "arg": arg, "threads": threads}
    if local:
        from cluster.processes import run_processes

        job |= {"world": world, "backend": "nccl" if gpus_per_worker else "gloo"}
        return run_processes(job, scratch=scratch, name=name, say=say, note=note, asked=asked)
    from cluster.train_job import run_train_job

    return run_train_job(
        {**job, "say": say, "note": note, "asked": asked, "name": name},
        workers=(min_workers, world) if min_workers else world,
        resources=_held(CPU=cpus_per_worker, GPU=gpus_per_worker, memory=memory_per_worker),
        folder=(scratch / "train").resolve(),
        budget=budget or Budget(),
    )


def _held(**resources: float) -> dict[str, float]:
    return {what: count for what, count in resources.items() if count}


def _alone(module: Any, **options: Any) -> Any:
    del options  # of data-parallel training; nothing to share here
    import torch

    return module.to("cuda") if torch.cuda.is_available() else module


def _own(value: Any) -> Any:
    return value
