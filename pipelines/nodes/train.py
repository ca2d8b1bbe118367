"""Shards (+ Weights, rows) -> Weights: the trainings of papers 4 and 5, each a gang of workers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.failures import Budget
from cluster.workers import Group, run_group
from components.models.choices import Lite0, Resnet, Small, Stage
from components.train.snapshot_folders import Found, newest
from pipelines.graph.node import AtHand, Here, Task

PARTS = "rank*.safetensors"  # of a checkpoint: one file a worker
Aside = Callable[[Path], str]
Train = Callable[..., dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A network and how it is trained; which training it is, the stage says."""

    backbone: Small | Resnet | Lite0
    stage: Stage

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


def train_transfer(task: Task) -> dict[str, Any]:
    """Train on boxes and a classifier's rows; write the detector and the transfer."""
    return _train(task, transfer_worker, ("boxes", "start", "hierarchy"), {"source": "rows"})


def classify_worker(arg: Mapping[str, Any], group: Group) -> dict[str, Any]:
    """Run one worker of stage I."""
    from components.train.fit_worker import train_stage1

    return _work(train_stage1, arg, group)


def joint_worker(arg: Mapping[str, Any], group: Group) -> dict[str, Any]:
    """Run one worker of stage II."""
    from components.train.fit_worker import train_stage2

    return _work(train_stage2, arg, group)


def transfer_worker(arg: Mapping[str, Any], group: Group) -> dict[str, Any]:
    """Run one worker of a detector with transferred rows."""
    from components.train.transfer_worker import train_transfer as train

    return _work(train, arg, group)


def _work(train: Train, arg: Mapping[str, Any], group: Group) -> dict[str, Any]:
    """Train, with places of the worker's own machine."""
    plain = {name: value for name, value in arg.items() if name != "at_hand"}
    hand: AtHand = arg.get("at_hand") or Here()
    with hand.working(plain, rank=group.rank) as own:
        return _go_on(train, own, group)


def _go_on(train: Train, arg: Mapping[str, Any], group: Group) -> dict[str, Any]:
    """Train from the newest whole checkpoint, which is looked for whenever a group is started.

    The first worker looks, and the others take what it found.
    """
    job = dict(arg)
    aside: Aside | None = job.pop("aside", None)
    found = _newest(job, group, aside) if group.rank == 0 and aside is not None else None
    if found is not None:
        steps = job["stage"].steps
        group.note(f"goes on from its checkpoint of step {found.step} of {steps}")
    found = group.share(found)
    made = train(
        {**job, "resume": None if found is None else found.folder},
        rank=group.rank,
        world=group.world,
        say=group.say,
        wrap=group.wrap,
        asked=group.asked,
    )
    return {**made, "resumed_at": 0 if found is None else found.step}


def _newest(job: Mapping[str, Any], group: Group, aside: Aside) -> Found | None:
    """Return the newest whole checkpoint with the parts of all workers that need theirs."""
    parts = group.world if job["stage"].deterministic else 1
    while True:
        found = newest(job["keep_in"], aside=lambda *wrong: _set_aside(aside, group, *wrong))
        if found is None or len(list(found.folder.glob(PARTS))) >= parts:
            return found
        _set_aside(aside, group, found.folder, "the part of a worker is missing")


def _set_aside(aside: Aside, group: Group, folder: Path, wrong: str) -> None:
    place = aside(folder)
    group.note(f"its checkpoint {folder.name} is damaged ({wrong}); it was moved to {place}")


def _train(
    task: Task, worker: Any, artifacts: tuple[str, ...], named: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Train in a gang of workers; `named` are a job's places that inputs have other names for."""
    inputs = {name: name for name in artifacts} | dict(named or {})
    places: dict[str, Path] = {n: task.path(i) for n, i in inputs.items() if i in task.inputs}
    if "weights" in task.inputs:
        places["weights"] = task.files("weights")["file"]
    run_on, cfg = task.run_on, task.cfg
    made = run_group(
        worker,
        {
            "out": task.out,
            "backbone": cfg.backbone,
            "stage": cfg.stage,
            "keep_in": task.scratch / "checkpoints",
            "aside": task.set_aside,
            "checkpoint_every": run_on.checkpoint_every,
            "at_hand": task.at_hand,
            **places,
        },
        workers=run_on.workers,
        min_workers=run_on.min_workers,
        cpus_per_worker=run_on.cpus_per_worker,
        gpus_per_worker=run_on.gpus_per_worker,
        memory_per_worker=run_on.memory,
        local=run_on.local,
        scratch=task.scratch,
        name=cfg.stage.__class__.__name__.lower(),
        say=task.say,
        note=task.note,
        asked=task.asked,
        budget=Budget(retries=run_on.retries),
    )
    task.at_hand.collect()
    return {
        "units": {"steps": cfg.stage.steps},
        "metrics": made["metrics"],
        "plan": made["plan"],
        "resumed_at": made["resumed_at"],
    }
