"""Run one function on N workers that form a process group; return what rank 0 returns.

Three ways, the same function: in this process (one worker), in child processes on this machine
(`local`), and as a Ray Train job. Inside Ray the caller is a task that holds no CPU: the group's
CPUs are the job's own.
"""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.rendezvous import pinned

Worker = Callable[..., Any]  # fn(arg, *, rank, world, say, wrap), at the top level of a module
Report = Callable[..., None]  # say(done, total, text="", **metrics)


def run_group(
    fn: Worker,
    arg: dict[str, Any],
    *,
    workers: int,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    memory_per_worker: int = 0,
    local: bool = False,
    scratch: Path,
    name: str,
    say: Report,
) -> Any:
    """Run `fn(arg, rank=, world=, say=, wrap=)` on every worker and return rank 0's value.

    Args:
        fn: a function at the top level of a module. `wrap(module, **options)` moves a model to
            the worker's device and, with more than one worker, makes it data-parallel.
        arg: plain values and paths, sent to every worker.
        workers: how many; 0 counts as 1.
        cpus_per_worker: also the number of threads of each worker, at least 1.
        gpus_per_worker: above 0 the group talks by nccl, else by gloo.
        memory_per_worker: bytes that Ray sets aside for each; 0 for none.
        local: on this machine and without Ray.
        scratch: a folder that all workers see, for Train's records and the meeting file.
        name: who is named when something fails.
        say: called with what rank 0 says; under Ray it is sent to the worker.

    Raises:
        GroupError: one worker raised or died. Its `failure` holds that worker's traceback. With
            one local worker the function's own exception comes through.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    threads = max(1, int(cpus_per_worker))
    world = max(1, workers)
    if local and world == 1:
        with pinned(threads):
            return fn(arg, rank=0, world=1, say=say, wrap=_alone)
    if local:
        from cluster.processes import run_processes

        backend = "nccl" if gpus_per_worker else "gloo"
        job = {"fn": fn, "arg": arg, "world": world, "threads": threads, "backend": backend}
        return run_processes(job, scratch=scratch, name=name, say=say)
    from cluster.train_job import run_train_job

    resources = {"CPU": cpus_per_worker}
    if gpus_per_worker:
        resources["GPU"] = gpus_per_worker
    if memory_per_worker:
        resources["memory"] = float(memory_per_worker)
    job = {"fn": fn, "arg": arg, "threads": threads, "say": say, "name": name}
    return run_train_job(
        job,
        workers=world,
        resources=resources,
        folder=(scratch / "train").resolve(),
        title=f"{name}-{uuid.uuid4().hex[:8]}",
    )


def _alone(module: Any, **options: Any) -> Any:
    del options  # of data-parallel training; nothing to share here
    import torch

    return module.to("cuda") if torch.cuda.is_available() else module


def silent(*values: Any, **metrics: Any) -> None:
    """Say nothing: what ranks above 0 are given."""
    del values, metrics
