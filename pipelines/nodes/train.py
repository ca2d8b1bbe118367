"""Shards (+ Weights) -> Weights: the two stages of paper 5, each a gang of workers."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.workers import run_group
from components.models.choices import Lite0, Resnet, Small, Stage1, Stage2
from components.train.snapshot_folders import Found, newest
from pipelines.graph.node import AtHand, Here, Say, Task

PARTS = "rank*.safetensors"  # of a checkpoint: one file a worker


@dataclass(frozen=True, kw_only=True, slots=True)
class Classify:
    """Stage I: the network and how it is trained."""

    backbone: Small | Resnet | Lite0
    stage: Stage1

    @property
    def world(self) -> int:
        """Return the number of workers, which is part of the result."""
        return self.stage.world


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJointly:
    """Stage II: the network and how it is trained."""

    backbone: Small | Resnet | Lite0
    stage: Stage2

    @property
    def world(self) -> int:
        """Return the number of workers, which is part of the result."""
        return self.stage.world


def classify(task: Task) -> dict[str, Any]:
    """Train stage I on image labels; write its model."""
    return _train(task, classify_worker, ("labels",))


def train_jointly(task: Task) -> dict[str, Any]:
    """Train stage II on boxes and image labels; write the detector."""
    return _train(task, joint_worker, ("boxes", "labels", "start"))


def classify_worker(
    arg: Mapping[str, Any], *, rank: int, world: int, say: Say, wrap: Any
) -> dict[str, Any]:
    """Run one worker of stage I."""
    from components.train.fit_worker import train_stage1

    with _at_hand(arg, rank=rank) as own:
        return train_stage1(own, rank=rank, world=world, say=say, wrap=wrap)


def joint_worker(
    arg: Mapping[str, Any], *, rank: int, world: int, say: Say, wrap: Any
) -> dict[str, Any]:
    """Run one worker of stage II."""
    from components.train.fit_worker import train_stage2

    with _at_hand(arg, rank=rank) as own:
        return train_stage2(own, rank=rank, world=world, say=say, wrap=wrap)


def _train(task: Task, worker: Any, artifacts: tuple[str, ...]) -> dict[str, Any]:
    places: dict[str, Path] = {n: task.path(n) for n in artifacts if n in task.inputs}
    if "weights" in task.inputs:
        places["weights"] = task.files("weights")["file"]
    run_on, cfg = task.run_on, task.cfg
    kept = task.scratch / "checkpoints"
    task.at_hand.bring(kept)
    start = _newest(task, kept)
    if start is not None:
        task.note(f"goes on from its checkpoint of step {start.step} of {cfg.stage.steps}")
    made = run_group(
        worker,
        {
            "out": task.out,
            "backbone": cfg.backbone,
            "stage": cfg.stage,
            "keep_in": kept,
            "checkpoint_every": run_on.checkpoint_every,
            "resume": None if start is None else start.folder,
            "at_hand": task.at_hand,
            **places,
        },
        workers=run_on.workers,
        cpus_per_worker=run_on.cpus_per_worker,
        gpus_per_worker=run_on.gpus_per_worker,
        memory_per_worker=run_on.memory,
        local=run_on.local,
        scratch=task.scratch,
        name=cfg.stage.__class__.__name__.lower(),
        say=task.say,
    )
    task.at_hand.collect()
    return {
        "units": {"steps": cfg.stage.steps},
        "metrics": made["metrics"],
        "plan": made["plan"],
        "resumed_at": 0 if start is None else start.step,
    }


def _at_hand(arg: Mapping[str, Any], *, rank: int) -> AbstractContextManager[dict[str, Any]]:
    """Return a worker's argument with places of its own machine."""
    plain = {name: value for name, value in arg.items() if name != "at_hand"}
    hand: AtHand = arg.get("at_hand") or Here()
    return hand.working(plain, rank=rank)


def _newest(task: Task, kept: Path) -> Found | None:
    """Return the newest whole checkpoint with the parts of all workers."""
    while True:
        found = newest(kept, aside=lambda folder, wrong: _set_aside(task, folder, wrong))
        if found is None or len(list(found.folder.glob(PARTS))) >= max(1, task.cfg.world):
            return found
        _set_aside(task, found.folder, "the part of a worker is missing")


def _set_aside(task: Task, folder: Path, wrong: str) -> None:
    place = task.set_aside(folder)
    task.note(f"its checkpoint {folder.name} is damaged ({wrong}); it was moved to {place}")
