"""What one worker does to train a detector whose class rows are made of a classifier's (paper 4).

The first one writes the detector, and beside it the transfer that was fitted: what makes rows of
any class of the source, seen in training or not.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch.optim import AdamW

from components.data.shards import Shards
from components.losses.hierarchy import Relatives
from components.models.choices import TransferStage
from components.train.checkpoint import MODULES
from components.train.fit_worker import write_model
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
from components.train.objective import idle_parts, transfer
from components.train.optimizer import freeze
from components.train.source_folder import load_source
from components.train.transfer_file import FittedTransfer, record_of, save_transfer
from components.transfer.rows import make
from components.transfer.source import shared
from components.vocab.class_graph import ClassGraph
from components.vocab.classes import Vocabulary

HIERARCHY = "hierarchy.parquet"


def train_transfer(
    arg: Mapping[str, Any],
    *,
    rank: int,
    world: int,
    say: Say,
    wrap: Wrap,
    asked: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Train on scenes with boxes (paper 4, section 3); write a model directory on rank 0.

    Args:
        arg: the fields of `Job`; `boxes` and `source` are needed.
        rank: of this worker.
        world: workers; must be what the settings say.
        say: told steps done, steps in all, and metrics.
        wrap: makes a module data-parallel; takes its options by name.
        asked: whether this worker was told to keep the training and stop.
    """
    job = Job(**arg)
    stage = job.stage
    assert isinstance(stage, TransferStage), "settings of a transfer"  # noqa: S101
    if job.boxes is None or job.source is None:
        raise JobError("detector: shards with boxes and class rows are needed. Give both.")
    same_world(job, world, least=stage.scenes)
    scenes = Shards.open(job.boxes)
    boxed, columns = taught(scenes, by="boxes")
    source = load_source(job.source).weights
    none = Vocabulary(ids=(), names=())
    detector = fresh(job, boxed=none, labelled=none)
    rows = make(
        stage.transfer, source_KD=source.weight, source_bias_K=source.bias,
        inputs=source.weight.shape[1], shared_C=shared(source.vocabulary, boxed),
        features=detector.row.head, seed=stage.seed,
    )  # fmt: skip
    detector.transfer = rows.to(next(detector.parameters()).dtype)
    freeze(idle_parts(detector, "transfer", photos=False))
    own = rows.own_groups()
    graph = ClassGraph.of([], ids=boxed.ids)
    if job.hierarchy is not None:
        graph = ClassGraph.read(job.hierarchy / HIERARCHY).within(boxed)
    relatives = Relatives.of(graph)
    parts = {"boxes": scenes_of(scenes, stage, columns, pad_to=detector.row.pad_to)}
    said, plan = run_job(
        job, detector, detector, parts, objective=partial(transfer, relatives=relatives),
        kind=stage.optimizer, apart=[AdamW(own)] if own else [], at=(rank, world), say=say,
        wrap=wrap, asked=asked,
    )  # fmt: skip
    detector.transfer = None
    if rank == 0:
        record = record_of(rows, boxed=boxed, feature="head")
        save_transfer(job.out, FittedTransfer(rows=rows, record=record))
    return write_model(
        job, detector, rank=rank, parts=MODULES, size=stage.scene_view.size, plan=plan, said=said
    )
