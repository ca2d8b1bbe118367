"""Paper 5: draw or read, pack, classify on whole-image regions, train jointly, detect, evaluate."""

from pathlib import Path

from pipelines.graph.artifact import SHARDS, WEIGHTS
from pipelines.graph.node import Graph, Node
from pipelines.nodes.train import Training, classify, train_jointly
from pipelines.recipes.joint_settings import JointConfig
from pipelines.recipes.sets_and_scores import (
    Inputs,
    Packer,
    by_place,
    drawn_world,
    placed,
    scored,
    weights_of,
    without_place,
)


def build(cfg: JointConfig, root: Path) -> Graph:
    """Return the graph of paper 5 for one page of settings.

    Args:
        cfg: settings that `problems` found nothing wrong with.
        root: the folder that relative paths of sources start from.
    """
    places = cfg.run_on
    shards = Packer(cfg=cfg, root=root, drawn=drawn_world(cfg))
    boxes = shards.node("boxes", by_place("sources.boxes", cfg.sources.boxes))
    labels = shards.node("labels", by_place("sources.labels", cfg.sources.labels))
    weights = weights_of(cfg, root)
    backbone = without_place(cfg.backbone)
    start: Inputs = {}
    if cfg.stage1 is not None:
        start["start"] = Node(
            name="stage1",
            fn=classify,
            cfg=Training(backbone=backbone, stage=cfg.stage1),
            inputs={"labels": labels, **weights},
            takes={"labels": SHARDS},
            makes=WEIGHTS,
            run_on=placed(places, "stage1", workers=cfg.stage1.world),
            keys={"stage": "stage1"},
        )
    model = Node(
        name="stage2",
        fn=train_jointly,
        cfg=Training(backbone=backbone, stage=cfg.stage2),
        inputs={"boxes": boxes, "labels": labels, **(start or weights)},
        takes={"boxes": SHARDS, "labels": SHARDS},
        makes=WEIGHTS,
        run_on=placed(places, "stage2", workers=cfg.stage2.world),
        keys={"stage": "stage2"},
    )
    train: Inputs = {"train_boxes": boxes, "train_labels": labels}
    last = scored(cfg, shards, model, train)
    return Graph(
        nodes=(last,), recipe=cfg.recipe, keyed_versions=cfg.keyed_versions, model="stage2"
    )
