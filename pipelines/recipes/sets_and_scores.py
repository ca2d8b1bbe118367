"""Nodes that every recipe has: sets packed, weights brought, detections scored; where they run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from components.data.drawn.world import PARTS, World
from components.data.readers import READERS
from components.models.choices import PACKAGED, Lite0, Resnet, Small
from components.train.weights_file import find_weights
from pipelines.graph.artifact import DETECTIONS, FILES, REPORT, SHARDS, WEIGHTS
from pipelines.graph.node import Node, Outside, RunOn, View
from pipelines.nodes.convert import Convert, convert
from pipelines.nodes.detect import Detect, detect
from pipelines.nodes.draw import Draw, draw
from pipelines.nodes.evaluate import Evaluate as EvaluateNode
from pipelines.nodes.evaluate import Evaluated, evaluate
from pipelines.nodes.pack import Pack, Reader, pack
from pipelines.recipes.page_settings import Drawn, Evaluate, Place, Source, Sources, Test

Inputs = dict[str, Node | View | Outside]
T = TypeVar("T")


class Page(Protocol):
    """Sections that the pages of all recipes share."""

    @property
    def draw(self) -> World | None:
        """Return the drawn world."""
        ...

    @property
    def sources(self) -> Sources:
        """Return what is trained on and scored on."""
        ...

    @property
    def backbone(self) -> Small | Resnet | Lite0:
        """Return the network."""
        ...

    @property
    def evaluate(self) -> Evaluate:
        """Return how it is scored."""
        ...

    @property
    def labels_teach(self) -> bool:
        """Say whether anything is trained on the image labels."""
        ...

    @property
    def learns_elsewhere(self) -> bool:
        """Say whether classes come that no source of this page teaches."""
        ...

    @property
    def run_on(self) -> dict[str, Place]:
        """Return where nodes run."""
        ...


def drawn_world(cfg: Page) -> Node | None:
    """Return the node that draws the world, where the page has one."""
    if cfg.draw is None:
        return None
    return Node(
        name="draw",
        fn=draw,
        cfg=Draw(world=cfg.draw),
        makes=FILES,
        run_on=placed(cfg.run_on, "draw", cpus=2),
        keys={"world": "draw"},
    )


class Packer:
    """Makes one pack node a set, and finds where its files come from."""

    def __init__(self, *, cfg: Page, root: Path, drawn: Node | None) -> None:
        self.cfg, self.root, self.drawn = cfg, root, drawn

    def node(self, name: str, sources: Mapping[str, Source], *, order: str = "shuffled") -> Node:
        """Return the node that packs these sources, by their key on the page, into one set."""
        inputs: Inputs = {}
        readers: list[Reader] = []
        keys = {"max_bad_fraction": "sources.max_bad_fraction"}
        for i, (at, source) in enumerate(sources.items()):
            keys[f"readers.{i}"] = at
            reader, inputs[f"files{i}"] = self._source(f"{name}{i}", source)
            readers.append(reader)
        return Node(
            name=name,
            fn=pack,
            cfg=Pack(
                name=name,
                readers=tuple(readers),
                order=order,
                max_bad_fraction=self.cfg.sources.max_bad_fraction,
            ),
            inputs=inputs,
            makes=SHARDS,
            run_on=placed(self.cfg.run_on, name),
            keys=keys,
        )

    def _source(self, name: str, source: Source) -> tuple[Reader, View | Outside]:
        if isinstance(source, Drawn):
            assert self.drawn is not None, "problems() refuses this"  # noqa: S101
            part = PARTS[source.part]
            return READERS[part.kind](level=source.level), View(node=self.drawn, files=part.files)
        files = {role: str((self.root / place).resolve()) for role, place in source.files.items()}
        return source.reader, Outside(name=name, files=files)


def scored(cfg: Page, shards: Packer, model: Node, train: Inputs) -> Node:
    """Return the node that scores the model on every test set, each found by its own node."""
    inputs: Inputs = {"model": model, **train}
    if shards.drawn is not None:
        inputs["kinds"] = View(node=shards.drawn, files={"table": "classes.csv"})
    asked: list[Evaluated] = []
    tests = by_place("sources.tune", cfg.sources.tune) | by_place("sources.test", cfg.sources.test)
    for at, test in tests.items():
        source = {f"{at}.source": test.source}
        truth = shards.node(f"pack_{test.name}", source, order="as_given")
        inputs[f"truth_{test.name}"] = truth
        labelled = test.source.level in {source.level for source in cfg.sources.labels}
        controls = cfg.evaluate.controls if labelled and test.task == "scenes" else ()
        for control in ("regions", *controls):
            name = test.name if control == "regions" else f"{test.name}_{control}"
            inputs[f"found_{name}"] = _found(
                cfg, name, test=test, at=at, truth=truth, model=model, control=control
            )
            asked.append(
                Evaluated(
                    name=name,
                    truth=test.name,
                    level=test.source.level,
                    task=test.task,
                    part="tune" if at.startswith("sources.tune") else "test",
                    control=control,
                )
            )
    return Node(
        name="evaluate",
        fn=evaluate,
        cfg=EvaluateNode(
            tests=tuple(asked), groups=cfg.evaluate.groups, pictures=cfg.evaluate.pictures
        ),
        inputs=inputs,
        makes=REPORT,
        run_on=placed(cfg.run_on, "evaluate"),
        keys={name: f"evaluate.{name}" for name in ("groups", "pictures")},
    )


def by_place(section: str, entries: tuple[T, ...]) -> dict[str, T]:
    """Return the entries of a list by their key on the page."""
    return {f"{section}.{i}": entry for i, entry in enumerate(entries)}


def _found(
    cfg: Page, name: str, *, test: Test, at: str, truth: Node, model: Node, control: str
) -> Node:
    keys = {"level": f"{at}.source.level", "task": f"{at}.task", "size": f"{at}.size"}
    return Node(
        name=f"detect_{name}",
        fn=detect,
        cfg=Detect(
            level=test.source.level,
            task=test.task,
            classes="whole_photo" if control == "whole_photo" else "regions",
            size=test.size,
            top=cfg.evaluate.top,
            floor=cfg.evaluate.floor,
            batch=cfg.evaluate.batch,
        ),
        inputs={"model": model, "shards": truth},
        takes={"model": WEIGHTS, "shards": SHARDS},
        makes=DETECTIONS,
        run_on=placed(cfg.run_on, f"detect_{name}"),
        keys={**keys, **{name: f"evaluate.{name}" for name in ("top", "floor", "batch")}},
    )


def without_place(backbone: Small | Resnet | Lite0) -> Small | Resnet | Lite0:
    """Return the backbone as it enters a key: weights of a user's file count by their bytes."""
    named = backbone.weights in ("none", *PACKAGED)
    return backbone if named else replace(backbone, weights="file")


def weights_of(cfg: Page, root: Path) -> Inputs:
    """Return the input `weights` of the first training node: none, a packaged name, or a file.

    A folder stands for the weights in it; `problems` found them.
    """
    name = cfg.backbone.weights
    if name == "none":
        return {}
    if name in PACKAGED:
        return {
            "weights": View(
                node=Node(
                    name="pretrained",
                    fn=convert,
                    cfg=Convert(name=name),
                    makes=FILES,
                    keys={"name": "backbone.weights"},
                ),
                files={"file": "backbone.safetensors"},
            )
        }
    file = find_weights(root / name) or root / name
    return {"weights": Outside(name="weights", files={"file": str(file.resolve())})}


def placed(places: Mapping[str, Place], node: str, *, cpus: float = 1, workers: int = 0) -> RunOn:
    """Return where a node runs: as the page says, else as its kind of work does."""
    place = places.get(node)
    if place is None:
        return RunOn(cpus=cpus, workers=workers)
    return RunOn(
        cpus=place.cpus,
        workers=place.workers or workers,
        min_workers=place.min_workers,
        cpus_per_worker=place.cpus_per_worker,
        gpus_per_worker=place.gpus_per_worker,
        memory=place.memory,
        retries=place.retries,
        local=place.local,
        checkpoint_every=place.checkpoint_every,
        silent_after_s=place.silent_after_s,
    )
