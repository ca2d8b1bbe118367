"""What one worker of a training node does: open shards, build, fit; the first one writes the model.

The same function runs alone, in a local group and under Ray Train: a process group is used where
there is one, and `wrap` makes the module data-parallel and moves it to its device.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from components.data.shards import Shards
from components.data.stream import Part
from components.models.choices import Stage1, Stage2, written
from components.models.two_stage import Detector, PooledClassifier
from components.train.checkpoint import (
    ALL_PARTS,
    POOLED_PARTS,
    STAGE1_PARTS,
    Record,
    save_model,
)
from components.train.job import (
    Job,
    JobError,
    Say,
    Wrap,
    fresh,
    run_job,
    same_world,
    scenes_of,
    taught,
)
from components.train.objective import for_classify, for_joint, idle_parts
from components.train.optimizer import freeze
from components.vocab.classes import Vocabulary


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
    same_world(job, world, least=stage.batch)
    shards = Shards.open(job.labels)
    labelled, columns = taught(shards, by="labels")
    detector = fresh(job, boxed=Vocabulary(ids=(), names=()), labelled=labelled)
    view = replace(stage.view, pad_to=math.lcm(stage.view.pad_to, detector.row.pad_to))
    part = Part(shards=shards, view=view, slots=stage.batch, labels=columns)
    pooled = stage.form == "pooled"
    trained = PooledClassifier(detector, seed=stage.seed) if pooled else detector
    freeze(idle_parts(trained, "classify", photos=True))
    said, plan = run_job(
        job, trained, detector, {"labels": part}, objective=for_classify(stage), at=(rank, world),
        say=say, wrap=wrap, asked=asked,
    )  # fmt: skip
    parts = POOLED_PARTS if pooled else STAGE1_PARTS
    return write_model(
        job, detector, rank=rank, parts=parts, size=max(view.sizes), plan=plan, said=said
    )


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
    same_world(job, world, least=min(stage.scenes, stage.photos) if draws else stage.scenes)
    boxed, box_columns = taught(scenes, by="boxes")
    none = Vocabulary(ids=(), names=()), np.zeros(0, np.int64)
    labelled, label_columns = none if photos is None else taught(photos, by="labels")
    detector = fresh(job, boxed=boxed, labelled=labelled)
    pad_to = detector.row.pad_to
    parts = {"boxes": scenes_of(scenes, stage, box_columns, pad_to=pad_to)}
    if photos is not None and draws:
        seen = replace(stage.photo_view, pad_to=math.lcm(stage.photo_view.pad_to, pad_to))
        parts["labels"] = Part(shards=photos, view=seen, slots=stage.photos, labels=label_columns)
    freeze(idle_parts(detector, "joint", photos=draws))
    said, plan = run_job(
        job, detector, detector, parts, objective=for_joint(stage), at=(rank, world), say=say,
        wrap=wrap, asked=asked,
    )  # fmt: skip
    return write_model(
        job, detector, rank=rank, parts=ALL_PARTS, size=stage.scene_view.size, plan=plan, said=said
    )


def write_model(
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
