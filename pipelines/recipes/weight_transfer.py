"""Paper 4: a classifier's rows become a detector's, for classes with boxes and without."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from components.data.hierarchies import hierarchy_files
from components.models.choices import Stage1, Stage2, TransferStage
from pipelines.graph.artifact import (
    FEATURES,
    HIERARCHY,
    REPORT,
    ROWS,
    SHARDS,
    TRANSFER,
    WEIGHTS,
)
from pipelines.graph.node import Graph, Node, Outside, View
from pipelines.nodes.analyse import Analyse, analyse
from pipelines.nodes.bring_rows import BringRows, bring_rows
from pipelines.nodes.export import Export, export
from pipelines.nodes.fit_transfer import FitTransfer, fit_transfer
from pipelines.nodes.regions import Regions, regions
from pipelines.nodes.taxonomy import Taxonomy, taxonomy
from pipelines.nodes.train import (
    Training,
    classify,
    train_jointly,
    train_transfer,
)
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
from pipelines.recipes.weight_transfer_settings import (
    Jointly,
    OfFile,
    OfPackage,
    OfStage1,
    OnFeatures,
    WeightTransferConfig,
)

Train = Callable[..., dict[str, Any]]


def build(cfg: WeightTransferConfig, root: Path) -> Graph:
    """Return the graph of paper 4 for one page of settings.

    Args:
        cfg: settings that `problems` found nothing wrong with.
        root: the folder that relative paths start from.
    """
    parts = _Parts(cfg, root)
    rows, fit = parts.rows(), cfg.fit
    fitted: dict[str, Node] = {}
    if isinstance(fit, Jointly):
        detector = parts.joint(rows)
        fitted = {"transfer": detector}
    else:
        detector = parts.boxes_only()
        if cfg.detector.transfer.method != "direct":  # whose rows are as they are
            fitted = {"transfer": parts.fitted(detector, rows, fit)}
    model = Node(
        name="model",
        fn=export,
        cfg=Export(own="lacking", context=fit.context if isinstance(fit, OnFeatures) else 0.0),
        inputs={"model": detector, "source": rows, **fitted, **_list(cfg, root)},
        takes={"model": WEIGHTS, "source": ROWS},
        makes=WEIGHTS,
        run_on=placed(cfg.run_on, "model"),
        keys={"context": "fit.context"},
    )
    train: Inputs = {"train_boxes": parts.boxes}
    if cfg.labels_teach:
        train["train_labels"] = parts.labels
    last = scored(cfg, parts.shards, model, train)
    looked = [parts.analysis(fitted["transfer"], rows)] if fitted else []
    return Graph(
        nodes=(last, *looked),
        recipe=cfg.recipe,
        keyed_versions=cfg.keyed_versions,
        model="model",
    )


def _list(cfg: WeightTransferConfig, root: Path) -> Inputs:
    """Return the list of the classes wanted, where there is one."""
    if cfg.classes is None:
        return {}
    return {"classes": Outside(name="classes", files={"file": str((root / cfg.classes).resolve())})}


class _Parts:
    """The nodes of one page, each made once."""

    def __init__(self, cfg: WeightTransferConfig, root: Path) -> None:
        self.cfg, self.root = cfg, root
        self.shards = Packer(cfg=cfg, root=root, drawn=drawn_world(cfg))
        self.boxes = self.shards.node("boxes", by_place("sources.boxes", cfg.sources.boxes))
        self.weights = weights_of(cfg, root)
        self.backbone = without_place(cfg.backbone)

    @cached_property
    def labels(self) -> Node:
        """Return the set of pictures with image labels."""
        return self.shards.node("labels", by_place("sources.labels", self.cfg.sources.labels))

    def stage1(self, stage: Stage1, *, name: str = "stage1") -> Node:
        """Return a classifier of the labels."""
        return Node(
            name=name,
            fn=classify,
            cfg=Training(backbone=self.backbone, stage=stage),
            inputs={"labels": self.labels, **self.weights},
            takes={"labels": SHARDS},
            makes=WEIGHTS,
            run_on=placed(self.cfg.run_on, name, workers=stage.world),
            keys={"stage": "stage1"},
        )

    def rows(self) -> Node:
        """Return the classifier's rows."""
        source = self.cfg.rows
        inputs: Inputs = {}
        match source:
            case OfStage1():
                inputs["model"] = self._classifier(source)
                cfg = BringRows(kind="model")
            case OfPackage():
                cfg = BringRows(kind="packaged", name=source.name)
            case OfFile():
                files = {"file": source.file, "classes": source.classes}
                found = {n: str((self.root / f).resolve()) for n, f in files.items() if f}
                inputs["files"] = Outside(name="rows", files=found)
                cfg = BringRows(kind="file")
        return Node(
            name="rows",
            fn=bring_rows,
            cfg=cfg,
            inputs=inputs,
            makes=ROWS,
            run_on=placed(self.cfg.run_on, "rows"),
            keys={"kind": "rows.kind", "name": "rows.name"},
        )

    def _classifier(self, source: OfStage1) -> Node:
        stage = self.cfg.stage1
        assert stage is not None, "problems() refuses this"  # noqa: S101
        if source.seed is None or source.seed == stage.seed:
            return self.stage1(stage)
        return self.stage1(replace(stage, seed=source.seed), name="classifier")

    def joint(self, rows: Node) -> Node:
        """Return the detector that learns its transfer as it is trained."""
        stage = self.cfg.detector
        return self._trained(
            train_transfer,
            Training(backbone=self.backbone, stage=stage),
            {"rows": rows, **self.hierarchy()},
        )

    def hierarchy(self) -> dict[str, Node]:
        """Return which boxed class is a kind of which, where the page says so."""
        source = self.cfg.hierarchy
        if source is None:
            return {}
        files = {role: str(place) for role, place in hierarchy_files(source, self.root).items()}
        node = Node(
            name="taxonomy",
            fn=taxonomy,
            cfg=Taxonomy(reader=source.reader),
            inputs={
                "hierarchy": Outside(name="hierarchy", files=files),
                "classes0": View(node=self.boxes, files={"vocabulary": "vocabulary.json"}),
            },
            makes=HIERARCHY,
            run_on=placed(self.cfg.run_on, "taxonomy"),
            keys={"reader": "hierarchy"},
        )
        return {"hierarchy": node}

    def boxes_only(self) -> Node:
        """Return a detector of the boxed classes, whose boxes and foreground are wanted."""
        stage = _without_transfer(self.cfg.detector)
        return self._trained(train_jointly, Training(backbone=self.backbone, stage=stage), {})

    def _trained(self, fn: Train, cfg: Training, more: Inputs) -> Node:
        """Return the node `detector`; it starts from stage 1, else from the backbone's weights."""
        stage1 = self.cfg.stage1
        start: Inputs = self.weights if stage1 is None else {"start": self.stage1(stage1)}
        return Node(
            name="detector",
            fn=fn,
            cfg=cfg,
            inputs={"boxes": self.boxes, **more, **start},
            takes={"boxes": SHARDS},
            makes=WEIGHTS,
            run_on=placed(self.cfg.run_on, "detector", workers=cfg.world),
            keys={"stage": "detector"},
        )

    def fitted(self, detector: Node, rows: Node, fit: OnFeatures) -> Node:
        """Return the transfer that is fitted on features of the detector's regions."""
        transfer = self.cfg.detector.transfer
        return Node(
            name="transfer",
            fn=fit_transfer,
            cfg=FitTransfer(transfer=transfer, feature=fit.feature, fit=fit.numbers),
            inputs={
                "model": detector,
                "rows": rows,
                "regions": self._regions(detector, fit),
                **self.weights,
            },
            takes={"model": WEIGHTS, "rows": ROWS, "regions": FEATURES},
            makes=TRANSFER,
            run_on=placed(self.cfg.run_on, "transfer"),
            keys={"transfer": "detector.transfer", "fit": "fit.numbers", "feature": "fit.feature"},
        )

    def analysis(self, fitted: Node, rows: Node) -> Node:
        """Return what became of the classifier's rows, for the run's page."""
        return Node(
            name="analysis",
            fn=analyse,
            cfg=Analyse(),
            inputs={"transfer": fitted, "rows": rows},
            takes={"rows": ROWS},
            makes=REPORT,
            run_on=placed(self.cfg.run_on, "analysis"),
        )

    def _regions(self, detector: Node, fit: OnFeatures) -> Node:
        """Return features and classes of the detector's regions."""
        return Node(
            name="regions",
            fn=regions,
            cfg=Regions(
                feature=fit.feature,
                per_picture=fit.per_picture,
                size=self.cfg.detector.scene_view.size,
                batch=self.cfg.evaluate.batch,
            ),
            inputs={"model": detector, "shards": self.boxes, **self.weights},
            takes={"model": WEIGHTS, "shards": SHARDS},
            makes=FEATURES,
            run_on=placed(self.cfg.run_on, "regions"),
            keys={
                **{name: f"fit.{name}" for name in ("feature", "per_picture")},
                "size": "detector.scene_view.size",
                "batch": "evaluate.batch",
            },
        )


def _without_transfer(stage: TransferStage) -> Stage2:
    """Return the training of a detector whose classes are of no matter."""
    return Stage2(
        steps=stage.steps,
        scenes=stage.scenes,
        photos=0,
        image_weight=0.0,
        lr=stage.lr,
        backbone_lr=stage.backbone_lr,
        weight_decay=stage.weight_decay,
        warmup=stage.warmup,
        clip=stage.clip,
        scene_view=stage.scene_view,
        dtype=stage.dtype,
        seed=stage.seed,
        world=stage.world,
        deterministic=stage.deterministic,
    )
