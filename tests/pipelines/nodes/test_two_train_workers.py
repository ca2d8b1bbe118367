"""Two Ray Train workers give the losses of one worker with the same global batch."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cluster.session import Session
from cluster.workers import run_group
from components.data.drawn.files import draw
from components.data.drawn.world import PARTS, World
from components.data.pack_shards import pack
from components.data.readers import READERS, pictures_of
from components.data.shards import Shards
from components.data.views import PhotoView, SceneView
from components.models.choices import Small, Stage1, Stage2, TransferStage
from components.models.two_stage import build
from components.train.checkpoint import WEIGHTS, read_record, read_tensors
from components.train.source_folder import OpenedSource, save_source
from components.transfer.source import SourceWeights
from pipelines.nodes.train import classify_worker, joint_worker, transfer_worker

STEPS = 20
VIEW = PhotoView(sizes=(24, 32))
WORLD = World(
    kinds=2, photos_per_class=4, train_scenes=12, tune_scenes=0, test_scenes=0,
    test_photos_per_class=0, photo_size=40, scene_size=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("two_workers")
    draw(WORLD, out=root, processes=1, say=lambda *_: None)
    places = {}
    for name, part in (("boxes", "train_scenes"), ("labels", "train_photos")):
        places[name] = root / name
        places[name].mkdir()
        files = {role: root / place for role, place in PARTS[part].files.items()}
        reader = READERS[PARTS[part].kind](level="fine")
        pack(
            pictures_of(reader, files), out=places[name], vocabulary=None,
            name=name, seed=0, shuffle=True, say=lambda _: None,
        )  # fmt: skip
    known = Shards.open(places["boxes"]).vocabulary
    weight = torch.randn(len(known), 7, generator=torch.Generator().manual_seed(0))
    source = SourceWeights(vocabulary=known, weight=weight, bias=None)
    places["source"] = root / "source"
    places["source"].mkdir()
    save_source(places["source"], OpenedSource(weights=source, feature="head", where="rows"))
    return places


def _losses(
    worker: Any, stage: Any, packed: dict[str, Path], place: Path, *, world: int
) -> list[dict[str, float]]:
    """Return what each step says; alone in this process, or as a Ray Train job of two."""
    said: list[dict[str, float]] = []
    place.mkdir(parents=True)
    out = place / "out"
    out.mkdir()

    def say(done: float, total: float, text: str = "", **values: float) -> None:
        del total, text
        if values:
            (place / f"{int(done):04d}").write_text(json.dumps(values))

    run_group(
        worker,
        {"out": out, "backbone": Small(), "stage": stage, "say_every": 1, **packed},
        workers=world,
        local=world == 1,
        scratch=place / "scratch",
        name="test",
        say=say,
    )
    for step in range(1, STEPS + 1):
        text = (place / f"{step:04d}").read_text()
        said.append({k: v for k, v in json.loads(text).items() if k.startswith("train/")})
    return said


@pytest.mark.ray
@pytest.mark.parametrize("stage", ["stage1", "stage2", "transfer"])
def test_two_train_workers_give_the_losses_of_one(
    stage: str, packed: dict[str, Path], ray_session: Session, tmp_path: Path
) -> None:
    del ray_session
    common = {"steps": STEPS, "warmup": 2, "dtype": "float64"}
    rows = {
        "stage1": (
            classify_worker,
            lambda world: Stage1(batch=5, view=VIEW, world=world, **common),
            {"labels": packed["labels"]},
        ),
        "stage2": (
            joint_worker,
            lambda world: Stage2(
                scenes=3, photos=5, scene_view=SceneView(size=64), photo_view=VIEW, world=world,
                **common,
            ),
            {name: packed[name] for name in ("boxes", "labels")},
        ),
        "transfer": (
            transfer_worker,
            lambda world: TransferStage(
                scenes=3, scene_view=SceneView(size=64), world=world, **common
            ),
            {name: packed[name] for name in ("boxes", "source")},
        ),
    }  # fmt: skip
    worker, settings, shards = rows[stage]
    one = _losses(worker, settings(1), shards, tmp_path / "one", world=1)
    two = _losses(worker, settings(2), shards, tmp_path / "two", world=2)
    for step, (a, b) in enumerate(zip(one, two, strict=True)):
        assert a.keys() == b.keys()
        for name in a:
            assert b[name] == pytest.approx(a[name], rel=1e-6), f"{name} at step {step + 1}"
    assert one[0]["train/loss"] != one[-1]["train/loss"]
    assert _moved(tmp_path / "two" / "out", stage) > 0.01


def _moved(model: Path, stage: str) -> float:
    """Return |weights moved| / |weights| of what a stage trains, against a fresh network."""
    record = read_record(model)
    fresh = build(record.backbone, boxed=record.boxed, labelled=record.labelled, seed=0)
    before, after = fresh.state_dict(), read_tensors(model / WEIGHTS)
    heads = ("region_head.",) if stage == "stage1" else ("region_head.", "proposals.", "refine.")
    names = [n for n in before if n.startswith(heads) and before[n].is_floating_point()]
    moved = sum(float((after[n].double() - before[n].double()).square().sum()) for n in names)
    return (moved / sum(float(before[n].double().square().sum()) for n in names)) ** 0.5
