"""Weights + Shards -> Detections: a detector over one set of pictures."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.graph.node import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Detect:
    """What is looked for, and how pictures are shown."""

    level: str  # classes of this level are asked for
    task: Literal["scenes", "localization"]
    classes: Literal["regions", "whole_photo"]
    size: int  # px, long side
    top: int
    floor: float
    batch: int


def detect(task: Task) -> dict[str, Any]:
    """Run the detector; write detections, and for localization the best boxes, as Parquet."""
    import torch

    from components.data.shards import Shards
    from components.eval.infer import infer
    from components.train.checkpoint import load_model
    from components.vocab.classes import union

    cfg: Detect = task.cfg
    torch.set_num_threads(max(1, int(task.run_on.cpus)))
    shards = Shards.open(task.path("shards"))
    detector, record = load_model(task.path("model"))
    known = union(record.boxed, record.labelled).ids
    ids = tuple(i for i in known if i.startswith(f"{cfg.level}:"))
    found = infer(
        detector,
        shards,
        ids=ids,
        size=cfg.size,
        batch=cfg.batch,
        top=cfg.top,
        floor=cfg.floor,
        task=cfg.task,
        classes=cfg.classes,
        say=lambda done: task.say(done, len(shards), "pictures"),
    )
    found.detections.write(task.out / "detections.parquet")
    if cfg.task == "localization":
        found.best.write(task.out / "best.parquet")
        found.given.write(task.out / "given.parquet")
    (task.out / "classes.json").write_text(json.dumps({"version": 1, "ids": ids}))
    return {"units": {"images": len(shards)}, "detections": len(found.detections)}
