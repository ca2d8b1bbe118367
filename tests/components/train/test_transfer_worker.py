"""Joint training of paper 4: its loss as a loop, what gets a gradient, and workers that agree."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from components.losses.hierarchy import Relatives
from components.models.choices import Small, TransferStage
from components.models.two_stage import Detector, build
from components.train.assign import Moment, draw_regions
from components.train.checkpoint import load_model
from components.train.job import JobError
from components.train.objective import idle_parts, transfer
from components.train.optimizer import freeze
from components.train.source_folder import OpenedSource, save_source
from components.train.transfer_file import load_transfer
from components.train.transfer_worker import train_transfer
from components.transfer.methods import Method, Transfer
from components.transfer.rows import make
from components.transfer.source import SourceError, SourceWeights
from components.vocab.class_graph import ClassGraph, Edge
from components.vocab.classes import Vocabulary
from tests.components.train.forked import run_forked
from tests.components.train.rectangles import CLASSES, batch, pack_rectangles

BOXED = Vocabulary.of(f"fine:{i}" for i in range(CLASSES))
NONE = Vocabulary(ids=(), names=())
NOW = Moment(seed=0, step=0)
WIDTH, ROWS = 7, 9  # of the source
SHARED = torch.tensor([8, -1, 2, 0, 5, -1])  # of the boxed classes: two the source lacks
STAGE = TransferStage(steps=3, scenes=2, warmup=1)


def detector(method: Method = "ae_wtn") -> Detector:
    model = build(Small(), boxed=NONE, labelled=NONE, seed=0)
    source = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))
    model.transfer = make(
        Transfer(method=method), source_KD=source, inputs=WIDTH, shared_C=SHARED,
        features=model.row.head, seed=0,
    )  # fmt: skip
    return model


def graph(*edges: tuple[int, int]) -> Relatives:
    """Return the relatives of child, parent pairs of boxed classes."""
    named = [Edge(child=f"fine:{a}", parent=f"fine:{b}") for a, b in edges]
    return Relatives.of(ClassGraph.of(named, ids=BOXED.ids))


@pytest.mark.parametrize("edges", [(), ((0, 1), (2, 1), (3, 2))], ids=["flat", "kinds"])
def test_the_loss_is_the_equation_written_as_a_loop(edges: tuple[tuple[int, int], ...]) -> None:
    model, scenes = detector(), batch([0, 1], size=64, objects=3)
    losses = transfer(model, {"boxes": scenes}, moment=NOW, relatives=graph(*edges))
    above = {k: {b for a, b in edges if a == k} for k in range(CLASSES)}
    for k in range(CLASSES):  # and what is above those
        above[k] |= {c for b in above[k] for a, c in edges if a == b}
    with torch.no_grad():
        maps = model.maps(scenes)
        drawn = draw_regions(model.propose(maps, scenes), scenes, moment=NOW, size=48)
        logits = model.transfer.logits(model.features(maps, drawn.boxes)).double()
    total, objects = 0.0, iter(drawn.labels.tolist())
    for r, is_object in enumerate(drawn.is_object.tolist()):
        label = next(objects) if is_object else None
        yes = set() if label is None else {label} | above[label]
        left_out = set() if label is None else {k for k in range(CLASSES) if label in above[k]}
        each = 0.0
        for k in range(CLASSES):
            p = 1 / (1 + math.exp(-float(logits[r, k])))
            if k not in left_out:
                each -= math.log(p if k in yes else 1 - p)
        total += 2 * each / max(1, len(yes))
    assert losses["class"].total.item() == pytest.approx(total, rel=1e-4)
    assert float(losses["class"].count) == len(logits)
    assert losses["transfer"].total.item() == pytest.approx(model.transfer.penalty().item())
    assert losses["transfer"].weight == 1.0


def test_an_empty_scene_is_a_no_to_every_class() -> None:
    model, empty = detector(), batch([0, 1], size=64, objects=0)
    losses = transfer(model, {"boxes": empty}, moment=NOW, relatives=graph())
    count = float(losses["class"].count)
    assert losses["class"].total.item() / count == pytest.approx(-2 * CLASSES * math.log(0.99), 0.1)
    assert losses["box"].total.item() == 0


@pytest.mark.parametrize("method", ["ae_wtn", "wtn", "nearest", "lsda", "zsd"])
def test_all_that_is_trained_gets_a_gradient_and_nothing_of_the_source_is_trained(
    method: Method,
) -> None:
    model, scenes = detector(method), batch([0, 1], size=64, objects=3)
    losses = transfer(model, {"boxes": scenes}, moment=NOW, relatives=graph())
    torch.stack([v.total / v.count.clamp(min=1) for v in losses.values()]).sum().backward()
    freeze(idle_parts(model, "transfer", photos=False))
    for name, p in model.named_parameters():
        assert (p.grad is not None) == p.requires_grad, name
    held = {name for name, _ in model.transfer.named_buffers()}
    assert {"mean", "std", "shared_source"} <= held
    widths = {p.shape[0] for p in model.transfer.parameters() if p.ndim}
    assert ROWS not in widths


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("transfer")
    packed = pack_rectangles(root)
    known = Vocabulary.of([*(f"fine:{i}" for i in (0, 2, 3)), "fine:new", "fine:newer"])
    weight = torch.randn(len(known), WIDTH, generator=torch.Generator().manual_seed(1))
    for name, vocabulary in (("source", known), ("strange", Vocabulary.of(["a", "b", "c"]))):
        rows = SourceWeights(vocabulary=vocabulary, weight=weight[: len(vocabulary)], bias=None)
        (root / name).mkdir()
        save_source(root / name, OpenedSource(weights=rows, feature="head", where=name))
    return {"boxes": packed["boxes"], "source": root / "source", "strange": root / "strange"}


def run(out: Path, places: dict[str, Path], *, rank: int, world: int, wrap: Any, **change: Any):
    out.mkdir(exist_ok=True)
    said: list[dict[str, float]] = []
    train_transfer(
        {"out": out, "backbone": Small(), "say_every": 1, "boxes": places["boxes"],
         "stage": dataclasses.replace(STAGE, world=world, **change),
         "source": places["source"]},
        rank=rank, world=world, say=lambda *_, **metrics: said.append(metrics), wrap=wrap,
    )  # fmt: skip
    return said


@pytest.mark.parametrize("method", ["ae_wtn", "wtn_plus_batch_norm", "wtn_plus_dropout"])
def test_two_workers_are_one(places: dict[str, Path], tmp_path: Path, method: Method) -> None:
    def fn(*, rank: int, world: int, wrap: Any) -> Any:
        return run(tmp_path / str(world), places, rank=rank, world=world, wrap=wrap,
                   dtype="float64", transfer=Transfer(method=method))  # fmt: skip

    one, two = (run_forked(fn, world=w, folder=tmp_path, name="fit") for w in (1, 2))
    for a, b in zip(one, two, strict=True):
        for name in a:
            assert name.startswith("perf/") or b[name] == pytest.approx(a[name], rel=1e-6), name
    alone, both = (load_transfer(tmp_path / w).rows for w in ("1", "2"))
    new = torch.randn(4, WIDTH)
    assert torch.allclose(alone.rows(new), both.rows(new), rtol=1e-5, atol=1e-7)
    load_model(tmp_path / "2")


@pytest.mark.parametrize("method", ["ae_wtn", "wtn_plus_dropout"])
def test_the_same_job_gives_the_same_bytes(
    places: dict[str, Path], tmp_path: Path, method: Method
) -> None:
    for i, name in enumerate(("a", "b")):
        torch.manual_seed(i)
        before = torch.get_rng_state()
        run(tmp_path / name, places, rank=0, world=1, wrap=lambda module: module,
            transfer=Transfer(method=method))  # fmt: skip
        assert torch.equal(torch.get_rng_state(), before)
    files = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert {"model.safetensors", "transfer.safetensors", "transfer.json"} <= set(files)
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_is_missing_or_strange_is_said(places: dict[str, Path], tmp_path: Path) -> None:
    strange = {**places, "source": places["strange"]}
    with pytest.raises(SourceError, match="no boxed class is among"):
        run(tmp_path / "a", strange, rank=0, world=1, wrap=lambda module: module)
    with pytest.raises(JobError, match="Give both"):
        train_transfer(
            {"out": tmp_path, "backbone": Small(), "stage": STAGE}, rank=0, world=1,
            say=lambda *_, **metrics: None, wrap=lambda module: module,
        )  # fmt: skip
