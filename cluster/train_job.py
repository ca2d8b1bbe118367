"""One Ray Train job. Imported when a group starts, never before: this file needs torch and Ray.

A lost worker is handled inside the job, where the controller and its helpers stay: the group is
started again and its function goes on from what it left. All else ends the job at once, so that a
bug runs once. What the graph then hears is not to be tried again for the same reason.
"""

import dataclasses
import signal
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.backend import Backend
from ray.train.collective import broadcast_from_rank_zero
from ray.train.torch import TorchConfig, TorchTrainer, prepare_model
from ray.train.v2._internal.execution.context import get_train_context

from cluster.failures import Budget, Failure
from cluster.ray_faults import GroupError, fault_of, group_fault, worker_error
from cluster.rendezvous import join, meeting_url, part, pinned
from cluster.workers import Group, never, silent

START_FAILURES = 1  # a group that could not start is tried once more; resources may be late
RESIZE_S = 60.0  # between two looks whether an elastic group can grow


class OwnMeeting(TorchConfig):
    """Settings of a group whose workers meet by themselves, in the loop.

    There a failure to meet is a worker's error, after which Train frees the group's resources;
    raised by a backend's start it leaves them taken (Ray 2.60).
    """

    @property
    def backend_cls(self) -> Any:
        """Name the class that prepares the workers."""
        return _Unprepared


class _Unprepared(Backend):
    share_cuda_visible_devices = True


class EndAtOnce(UserCallback):
    """End the job where a worker raised by itself: only what was taken from it is tried again.

    Train would count a bug like a dead worker. What is raised here ends the job as an error of
    its controller, and holds the worker's own trace.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raise for all but a lost worker or machine, which Train counts itself."""
        del run_context
        failure = group_fault(worker_exceptions, where=self.name)
        said = any(isinstance(error, GroupError) for error in worker_exceptions.values())
        if failure.kind in ("lost", "cut_off") or (failure.kind == "preempted" and not said):
            return
        raise GroupError(failure)


def run_train_job(
    job: dict[str, Any],
    *,
    workers: int | tuple[int, int],
    resources: dict[str, float],
    folder: Path,
    budget: Budget,
) -> Any:
    """Run `job` on `workers` workers and return rank 0's value; raise GroupError.

    With a pair of numbers the group is elastic: as many as there is room for, from least to most.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backend = "nccl" if "GPU" in resources else "gloo"
    here = sum(bool(node["Alive"]) for node in ray.nodes()) == 1
    if here and workers != 1:
        job = {**job, "meet": {"backend": backend, "folder": folder}}
    trainer = TorchTrainer(
        _loop,
        train_loop_config=job,
        torch_config=(OwnMeeting if here else TorchConfig)(backend),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu="GPU" in resources,
            resources_per_worker=resources,
            elastic_resize_monitor_interval_s=RESIZE_S,
        ),
        run_config=RunConfig(
            name=f"{job['name']}-{uuid.uuid4().hex[:8]}",  # never one that Train has seen before
            storage_path=str(folder),
            failure_config=FailureConfig(
                max_failures=budget.retries,
                max_preemption_failures=budget.preemptions,
                controller_failure_limit=START_FAILURES,
            ),
            callbacks=[EndAtOnce(job["name"])],
        ),
    )
    ours = signal.getsignal(signal.SIGINT)
    try:
        return trainer.fit().return_value
    except Exception as error:
        failure = _used_up(error, fault_of(error, where=job["name"]), budget)
    finally:  # fit leaves its own handler behind, in a process that Ray uses again
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, ours)
    raise GroupError(failure)  # out here it holds no frame of fit, whose controller would live on


def _used_up(error: Exception, failure: Failure, budget: Budget) -> Failure:
    """Say that the job has counted its losses itself, so that the graph does not once more."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if failure.kind not in ("lost", "cut_off", "preempted") or not names & {
        "WorkerGroupError",
        "PreemptionError",
    }:
        return failure
    what = "preempted" if failure.kind == "preempted" else "lost"
    times = 1 + (budget.preemptions if what == "preempted" else budget.retries)
    text = f"{failure.text} ({what} {times} times)"
    return dataclasses.replace(failure, kind="used_up", text=text)


def _loop(job: dict[str, Any]) -> Any:
    """Be one rank of the job; begins anew in each group that is started."""
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    group = Group(
        rank=rank,
        world=world,
        say=job["say"] if rank == 0 else silent,
        note=job["note"] if rank == 0 else silent,
        wrap=_wrap,
        share=broadcast_from_rank_zero,
        asked=_asked(job["asked"] if rank == 0 else never),
    )
    meet = job.get("meet") if world > 1 else None
    try:
        with pinned(job["threads"]):
            if meet:  # a file a group: one that died has left its own half used
                url = group.share(meeting_url(meet["folder"]) if rank == 0 else None)
                join(rank=rank, world=world, backend=meet["backend"], url=url)
            value = job["fn"](job["arg"], group)
        if meet:
            part()
    except Exception as error:
        raise worker_error(error, where=f"{job['name']} rank {rank}") from None
    return value if rank == 0 else None


def _asked(driver: Callable[[], bool]) -> Callable[[], bool]:
    """Return whether the driver asked to stop, or the machine of a worker is to be taken away.

    Ray's `get_preemption_info` is a barrier that goes through an actor, too slow for each step;
    what it would share is read where it lies.
    """
    notice = get_train_context().preemption_context

    def asked() -> bool:
        return notice.preemption_info is not None or driver()

    return asked


def _wrap(module: Any, **options: Any) -> Any:
    return prepare_model(module, parallel_strategy_kwargs=options)
