"""One Ray Train job. Imported when a group starts, never before: this file needs torch and Ray.

Attempts are counted by the graph, once: Train itself never retries here, so a bug in a loop runs
once and a lost worker comes back as a failure of its kind.
"""

import signal
import threading
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.backend import Backend
from ray.train.torch import TorchConfig, TorchTrainer, prepare_model

from cluster.ray_faults import GroupError, fault_of, worker_error
from cluster.rendezvous import join, meeting_url, part, pinned
from cluster.workers import silent

START_FAILURES = 1  # a group that could not start is tried once more; resources may be late


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


def run_train_job(
    job: dict[str, Any], *, workers: int, resources: dict[str, float], folder: Path, title: str
) -> Any:
    """Run `job` on `workers` workers and return rank 0's value; raise GroupError."""
    folder.mkdir(parents=True, exist_ok=True)
    backend = "nccl" if "GPU" in resources else "gloo"
    here = sum(bool(node["Alive"]) for node in ray.nodes()) == 1
    if here and workers > 1:
        job = {**job, "meet": {"backend": backend, "url": meeting_url(folder)}}
    trainer = TorchTrainer(
        _loop,
        train_loop_config=job,
        torch_config=(OwnMeeting if here else TorchConfig)(backend),
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu="GPU" in resources, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name=title,
            storage_path=str(folder),
            failure_config=FailureConfig(
                max_failures=0, max_preemption_failures=0, controller_failure_limit=START_FAILURES
            ),
        ),
    )
    ours = signal.getsignal(signal.SIGINT)
    try:
        return trainer.fit().return_value
    except Exception as error:
        failure = fault_of(error, where=job["name"])
    finally:  # fit leaves its own handler behind, in a process that Ray uses again
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, ours)
    raise GroupError(failure)  # out here it holds no frame of fit, whose controller would live on


def _loop(job: dict[str, Any]) -> Any:
    """Be one rank of the job."""
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    say = job["say"] if rank == 0 else silent
    try:
        with pinned(job["threads"]):
            if "meet" in job:
                join(rank=rank, world=world, **job["meet"])
            value = job["fn"](job["arg"], rank=rank, world=world, say=say, wrap=_wrap)
        if "meet" in job:
            part()
    except Exception as error:
        raise worker_error(error, where=f"{job['name']} rank {rank}") from None
    return value if rank == 0 else None


def _wrap(module: Any, **options: Any) -> Any:
    return prepare_model(module, parallel_strategy_kwargs=options)
