"""Weights + Shards -> Features: a finished detector's regions, with the class of each."""

from dataclasses import dataclass
from typing import Any, Literal

from pipelines.graph.node import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Regions:
    """Which features of which regions."""

    feature: Literal["head", "trunk"]
    per_picture: int
    size: int  # px, long side
    batch: int


def regions(task: Task) -> dict[str, Any]:
    """Run the detector over pictures with boxes; write features and classes of its regions."""
    import torch

    from components.data.shards import Shards
    from components.train.checkpoint import load_model
    from components.train.foreign import load_trunk_feature
    from components.train.region_features import region_features
    from components.train.tensors import read_tensors

    cfg: Regions = task.cfg
    torch.set_num_threads(max(1, int(task.run_on.cpus)))
    shards = Shards.open(task.path("shards"))
    detector, _ = load_model(task.path("model"))
    if cfg.feature == "trunk":
        file = task.files("weights")["file"]
        load_trunk_feature(detector, read_tensors(file), where=str(file))
    found = region_features(
        detector,
        shards,
        size=cfg.size,
        batch=cfg.batch,
        per_picture=cfg.per_picture,
        feature=cfg.feature,
        say=lambda done: task.say(done, len(shards), "pictures"),
    )
    found.write(task.out)
    objects = int((found.labels >= 0).sum())
    return {"units": {"images": len(shards)}, "regions": len(found.labels), "objects": objects}
