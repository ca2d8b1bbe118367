"""A tiny pipeline for the commands: what the work behind them would return, and no more."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from PIL import Image

from cluster.parcel import Parcel
from pipelines.cli.entry import main
from pipelines.cli.work import WORK
from pipelines.graph.artifact import FILES
from pipelines.graph.node import Graph, Node
from pipelines.settings.problems import Problem
from pipelines.settings.reading import plain, read
from tests.pipelines.settings.example import PAGE, Example


@dataclass(kw_only=True)
class Ended:
    status: str = "done"
    code: int = 0
    run: str = "example-1"
    nodes: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    model: str | None = None
    report: str | None = None
    tracking: str | None = None
    unsent: int = 0
    reason: str | None = None


@dataclass(kw_only=True)
class Loaded:
    recipe: str
    cfg: Example
    graph: Graph
    resolved: dict[str, Any]
    text: str
    warnings: tuple[Problem, ...] = ()


@dataclass(kw_only=True)
class Found:
    pictures: int = 0
    boxes: int = 0
    bare: int = 0
    bad: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(kw_only=True)
class Written:
    classes: int = 0
    groups: dict[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    two_ids: tuple[tuple[str, str], ...] = ()


@dataclass(kw_only=True)
class Sent:
    run: str = "example-1"
    command: str = "python"
    parcel: Any = field(default_factory=lambda: Parcel(files={}))
    store: str = ""


def count(task: Any) -> None:
    """Stand for the work of a node; the commands never call it."""


def load(config: Path, overrides: tuple[str, ...], **how: Any) -> Loaded:
    del how
    cfg, _ = read(config, overrides, schema=Example)
    first = Node(name="draw", fn=count, cfg=cfg, makes=FILES)
    last = Node(name="stage2", fn=count, cfg=cfg, makes=FILES, inputs={"files": first})
    graph = Graph(nodes=(last,), recipe="joint")
    return Loaded(
        recipe="joint", cfg=cfg, graph=graph, resolved=plain(cfg), text=config.read_text()
    )


@contextmanager
def work(**rows: Any) -> Iterator[None]:
    """Put other rows in the table of work: the example's loader, and these."""
    before = dict(WORK)
    WORK.update({"load": load, "check": lambda loaded: [], "tracking": lambda loaded: [], **rows})
    try:
        yield
    finally:
        WORK.update(before)


def page(folder: Path) -> str:
    path = folder / "page.yaml"
    path.write_text(PAGE)
    return str(path)


def call(*arguments: str) -> Result:
    """Run one command line in this process; nothing may pass as a traceback."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result


def own_data(folder: Path) -> None:
    """Write the files that configs/own_data.yaml names: a picture to train on, one to score on."""
    (folder / "pictures").mkdir(parents=True)
    for name, shade in (("a.jpg", 0), ("b.jpg", 200)):
        Image.new("RGB", (40, 30), (shade, 90, 90)).save(folder / "pictures" / name)
    truth: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 1, "name": "fish"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 20, 10], "area": 200,
             "iscrowd": 0}
        ],
    }  # fmt: skip
    for name in ("boxes.json", "test_fine.json", "test_coarse.json"):
        truth["images"][0]["file_name"] = "a.jpg" if name == "boxes.json" else "b.jpg"
        (folder / name).write_text(json.dumps(truth))
    (folder / "labels.csv").write_text("image,labels\na.jpg,fish|carp\n")
