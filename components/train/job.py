"""A training job: what to train on what, and how any of them is run by one worker.

Opening shards, fresh weights, the loop from where it stood: the same for every stage.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import nn
from torch.optim import Optimizer

from components.data.sample import Batch
from components.data.shards import Shards
from components.data.stream import Part, Stream, prefetch
from components.models.choices import Backbone, Stage, Stage2, TransferStage
from components.models.two_stage import Detector, build
from components.train.assign import NOT_TAUGHT
from components.train.checkpoint import DTYPES, continue_from
from components.train.foreign import load_trunk
from components.train.loop import Fit, Start, Step, StepError, any_of, fit
from components.train.objective import Objective
from components.train.optimizer import optimizer_for
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
    stage: Stage
    labels: Path | None = None  # shards with image labels
    boxes: Path | None = None  # shards with boxes; stage II only
    source: Path | None = None  # class rows of a classifier; paper 4 only
    hierarchy: Path | None = None  # which class implies which; paper 4 only
    start: Path | None = None  # a model directory to go on from
    weights: Path | None = None  # .safetensors of the trunk; not read when there is `start`
    say_every: int = 20  # steps
    keep_in: Path | None = None  # a folder for snapshots, which all workers see
    checkpoint_every: int = 0  # steps between two snapshots; 0 for none
    resume: Path | None = None  # a whole snapshot of this very job to go on from


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


def fresh(job: Job, *, boxed: Vocabulary, labelled: Vocabulary) -> Detector:
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


def same_world(job: Job, world: int, *, least: int) -> None:
    """Refuse another number of workers than the settings say, or more than pictures a step.

    Raises:
        JobError: it is so.
    """
    if world != job.stage.world and (job.stage.deterministic or world > job.stage.world):
        raise JobError(
            f"world: the settings say {job.stage.world} workers; got {world}. "
            "It is part of the result: set it there."
        )
    if least < world:
        raise JobError(
            f"world: {world} workers need a picture each a step; got {least}. Use fewer workers."
        )


def run_job(
    job: Job,
    trained: nn.Module,
    detector: Detector,
    parts: Mapping[str, Part],
    *,
    objective: Objective,
    kind: str = "adamw",
    apart: Sequence[Optimizer] = (),
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
    module = wrap(Step(trained, objective))
    optimizer = optimizer_for(
        trained,
        trunk=detector.trunk,
        lr=stage.lr,
        backbone_lr=stage.backbone_lr,
        weight_decay=stage.weight_decay,
        kind=kind,
        apart=apart,
    )
    if found is not None:
        found.fill(optimizer)

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
            module, batches=batches, optimizer=optimizer, cfg=_fit(job), say=tell, start=start,
            keep=keep, stop=any_of(asked, like=next(trained.parameters())) if asked else None,
        )  # fmt: skip
    except StepError as error:
        raise _named(error, parts) from None
    return said, stream.plan


def _fit(job: Job) -> Fit:
    stage = job.stage
    return Fit(
        steps=stage.steps,
        warmup=stage.warmup,
        clip=stage.clip,
        seed=stage.seed,
        say_every=job.say_every,
        checkpoint_every=job.checkpoint_every if job.keep_in else 0,
    )


def _named(error: StepError, parts: Mapping[str, Part]) -> StepError:
    """Return the error with the pictures' names in place of their rows."""
    names = [parts[of].shards.source_name(row) for of, rows in error.rows.items() for row in rows]
    shown = ", ".join(names[:PICTURES]) + (", ..." if len(names) > PICTURES else "")
    return StepError(f"{error.text} Pictures: {shown}." if names else error.text)


def scenes_of(
    shards: Shards, stage: Stage2 | TransferStage, columns: np.ndarray, *, pad_to: int
) -> Part:
    """Return the part of a stream that shows scenes with boxes."""
    view = replace(stage.scene_view, pad_to=math.lcm(stage.scene_view.pad_to, pad_to))
    return Part(shards=shards, view=view, slots=stage.scenes, labels=columns, keep="boxed")
