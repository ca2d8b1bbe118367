"""What one worker of a training node does: open shards, build, fit; the first one writes the model.

The same function runs alone, in a local group and under Ray Train: a process group is used where
there is one, and `wrap` makes the module data-parallel and moves it to its device.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import nn

from components.data.sample import Batch
from components.data.shards import Shards
from components.data.stream import Part, Stream, prefetch
from components.models.choices import Backbone, Stage1, Stage2, written
from components.models.two_stage import Detector, PooledClassifier, build
from components.train.assign import NOT_TAUGHT
from components.train.checkpoint import (
    ALL_PARTS,
    DTYPES,
    POOLED_PARTS,
    STAGE1_PARTS,
    Record,
    continue_from,
    save_model,
)
from components.train.foreign import load_trunk
from components.train.loop import Fit, Start, Step, StepError, any_of, fit
from components.train.objective import OBJECTIVES, idle_parts
from components.train.optimizer import freeze, optimizer_for
from components.train.snapshot import Snapshots
from components.vocab.classes import Vocabulary

PICTURES = 16  # named when a step is not finite
Say = Callable[..., None]  # say(done, total, text="", **metrics)
Wrap = Callable[..., Any]  # wrap(module) -> module


class JobError(ValueError):
    """A training job that cannot be done as asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What to train on what, and where to write; plain values and paths."""

    out: Path  # an empty folder
    backbone: Backbone
    stage: Stage1 | Stage2
    labels: Path | None = None  # shards with image labels
    boxes: Path | None = None  # shards with boxes; stage II only
    start: Path | None = None  # a model directory to go on from
    weights: Path | None = None  # .safetensors of the trunk; not read when there is `start`
    say_every: int = 20  # steps
    keep_in: Path | None = None  # a folder for snapshots, which all workers see
    checkpoint_every: int = 0  # steps between two snapshots; 0 for none
    resume: Path | None = None  # a whole snapshot of this very job to go on from


def train_stage1(
    arg: Mapping[str, Any],
    *,
    rank: int,
    world: int,
    say: Say,
    wrap: Wrap,
    asked: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Classify whole pictures (paper 5, stage I); write a model directory on rank 0.

    Args:
        arg: the fields of `Job`; `labels` is needed.
        rank: of this worker.
        world: workers; must be what the settings say, for it changes the order of sums.
        say: told steps done, steps in all, and metrics.
        wrap: makes a module data-parallel; takes its options by name.
        asked: whether this worker was told to keep the training and stop; one is enough for all.

    Returns:
        The last metrics, and what was trained on.
    """
    job = Job(**arg)
    stage = job.stage
    assert isinstance(stage, Stage1), "settings of stage 1"  # noqa: S101
    if job.labels is None:
        raise JobError("stage1: shards with image labels are needed; got none. Give `labels`.")
    _same_world(job, world, least=stage.batch)
    shards = Shards.open(job.labels)
    labelled, columns = taught(shards, by="labels")
    detector = _fresh(job, boxed=Vocabulary(ids=(), names=()), labelled=labelled)
    view = replace(stage.view, pad_to=math.lcm(stage.view.pad_to, detector.row.pad_to))
    part = Part(shards=shards, view=view, slots=stage.batch, labels=columns)
    pooled = stage.form == "pooled"
    trained = PooledClassifier(detector, seed=stage.seed) if pooled else detector
    freeze(idle_parts(trained, "classify", photos=True))
    said, plan = _fit(
        job, trained, detector, {"labels": part}, objective="classify", at=(rank, world), say=say,
        wrap=wrap, asked=asked,
    )  # fmt: skip
    parts = POOLED_PARTS if pooled else STAGE1_PARTS
    return _write(job, detector, rank=rank, parts=parts, size=max(view.sizes), plan=plan, said=said)


def train_stage2(
    arg: Mapping[str, Any],
    *,
    rank: int,
    world: int,
    say: Say,
    wrap: Wrap,
    asked: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Train on scenes and photos jointly (paper 5, stage II); write a model directory on rank 0.

    Without photos, or with image_weight 0, g-hat stays as `start` left it. Args as `train_stage1`,
    with `boxes`, and `labels` where photos are drawn.
    """
    job = Job(**arg)
    stage = job.stage
    assert isinstance(stage, Stage2), "settings of stage 2"  # noqa: S101
    if job.boxes is None:
        raise JobError("stage2: shards with boxes are needed; got none. Give `boxes`.")
    scenes = Shards.open(job.boxes)
    photos = None if job.labels is None else Shards.open(job.labels)
    draws = photos is not None and stage.photos > 0 and stage.image_weight > 0
    _same_world(job, world, least=min(stage.scenes, stage.photos) if draws else stage.scenes)
    boxed, box_columns = taught(scenes, by="boxes")
    none = Vocabulary(ids=(), names=()), np.zeros(0, np.int64)
    labelled, label_columns = none if photos is None else taught(photos, by="labels")
    detector = _fresh(job, boxed=boxed, labelled=labelled)
    pad_to = detector.row.pad_to
    view = replace(stage.scene_view, pad_to=math.lcm(stage.scene_view.pad_to, pad_to))
    parts = {
        "boxes": Part(
            shards=scenes, view=view, slots=stage.scenes, labels=box_columns, keep="boxed"
        )
    }
    if photos is not None and draws:
        seen = replace(stage.photo_view, pad_to=math.lcm(stage.photo_view.pad_to, pad_to))
        parts["labels"] = Part(shards=photos, view=seen, slots=stage.photos, labels=label_columns)
    freeze(idle_parts(detector, "joint", photos=draws))
    said, plan = _fit(
        job, detector, detector, parts, objective="joint", at=(rank, world), say=say, wrap=wrap,
        asked=asked,
    )  # fmt: skip
    return _write(job, detector, rank=rank, parts=ALL_PARTS, size=view.size, plan=plan, said=said)


def taught(shards: Shards, *, by: Literal["boxes", "labels"]) -> tuple[Vocabulary, np.ndarray]:
    """Return the classes that shards teach, and for each class of theirs its index in it, or -1.

    A class of the vocabulary without one example would get scores that mean nothing, and pull
    down those of a classifier that does know it.

    Args:
        shards: packed samples.
        by: examples are boxes that are not crowds, or image labels.
    """
    known = shards.vocabulary
    if by == "boxes":
        boxes = shards.box_columns()
        examples = boxes["category"][(boxes["flags"] & NOT_TAUGHT) == 0]
    else:
        rows = [shards.target(row).present for row in range(len(shards))]
        examples = np.concatenate([np.zeros(0, np.int64), *rows])
    kept = np.flatnonzero(np.bincount(examples, minlength=len(known)))
    if not len(kept):
        raise JobError(
            f"{shards.path}: no {by} to learn from; got {len(shards)} pictures. "
            "Pack a set that has some."
        )
    columns = np.full(len(known), -1, np.int64)
    columns[kept] = np.arange(len(kept))
    ids = tuple(known.ids[i] for i in kept)
    return Vocabulary(ids=ids, names=tuple(known.names[i] for i in kept)), columns


def _fresh(job: Job, *, boxed: Vocabulary, labelled: Vocabulary) -> Detector:
    """Return a detector with the weights that the job starts from."""
    detector = build(job.backbone, boxed=boxed, labelled=labelled, seed=job.stage.seed)
    if job.start is not None:
        continue_from(detector, job.start, backbone=job.backbone)
    elif job.weights is not None:
        load_trunk(detector, job.weights)
    elif job.backbone.weights != "none":
        raise JobError(
            f"backbone.weights: {job.backbone.weights!r} is set; got no file. Give `weights`."
        )
    return detector.to(DTYPES[job.stage.dtype])


def _same_world(job: Job, world: int, *, least: int) -> None:
    if world != job.stage.world and (job.stage.deterministic or world > job.stage.world):
        raise JobError(
            f"world: the settings say {job.stage.world} workers; got {world}. "
            "It is part of the result: set it there."
        )
    if least < world:
        raise JobError(
            f"world: {world} workers need a picture each a step; got {least}. Use fewer workers."
        )


def _fit(
    job: Job,
    trained: nn.Module,
    detector: Detector,
    parts: Mapping[str, Part],
    *,
    objective: str,
    at: tuple[int, int],
    say: Say,
    wrap: Wrap,
    asked: Callable[[], bool] | None,
) -> tuple[dict[str, float], str]:
    """Run the loop from where it stood; return the last metrics and the stream's digest."""
    stage = job.stage
    stream = Stream(parts, seed=stage.seed)
    rank, world = at
    kept = Snapshots(
        root=job.keep_in or job.out, plan=stream.plan, rank=rank, world=world,
        of_world="same" if stage.deterministic else "any",
    )  # fmt: skip
    found = None if job.resume is None else kept.load(job.resume, trained)
    start = Start() if found is None else Start(step=found.step, window=found.window)
    module = wrap(Step(trained, OBJECTIVES[objective](stage)))
    optimizer = optimizer_for(
        trained,
        trunk=detector.trunk,
        lr=stage.lr,
        backbone_lr=stage.backbone_lr,
        weight_decay=stage.weight_decay,
    )
    if found is not None:
        found.fill(optimizer)
    cfg = Fit(
        steps=stage.steps,
        warmup=stage.warmup,
        clip=stage.clip,
        seed=stage.seed,
        say_every=job.say_every,
        checkpoint_every=job.checkpoint_every if job.keep_in else 0,
    )

    def tell(step: int, values: dict[str, float]) -> None:
        say(step, stage.steps, "steps", **values)

    def keep(step: int, window: dict[str, Any]) -> None:
        kept.save(step, trained, optimizer, window)
        say(step, stage.steps, "steps, kept")

    batches: Iterator[Mapping[str, Batch]] = prefetch(
        stream, start=start.step, stop=stage.steps, rank=rank, world=world
    )
    try:
        said = fit(
            module, batches=batches, optimizer=optimizer, cfg=cfg, say=tell, start=start,
            keep=keep, stop=any_of(asked, like=next(trained.parameters())) if asked else None,
        )  # fmt: skip
    except StepError as error:
        raise _named(error, parts) from None
    return said, stream.plan


def _named(error: StepError, parts: Mapping[str, Part]) -> StepError:
    """Return the error with the pictures' names in place of their rows."""
    names = [parts[of].shards.source_name(row) for of, rows in error.rows.items() for row in rows]
    shown = ", ".join(names[:PICTURES]) + (", ..." if len(names) > PICTURES else "")
    return StepError(f"{error.text} Pictures: {shown}." if names else error.text)


def _write(
    job: Job,
    detector: Detector,
    *,
    rank: int,
    parts: tuple[str, ...],
    size: int,
    plan: str,
    said: dict[str, float],
) -> dict[str, Any]:
    """Write the model on rank 0; return what the node reports."""
    if rank == 0:
        record = Record(
            backbone=job.backbone,
            boxed=detector.boxed,
            labelled=detector.labelled,
            size=size,
            parts=parts,
            dtype=job.stage.dtype,
            training={"stage": written(job.stage), "plan": plan},
        )
        save_model(job.out, detector, record)
    return {"metrics": said, "plan": plan}
