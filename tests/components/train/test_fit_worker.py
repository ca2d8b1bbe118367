from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from components.data.shards import Shards
from components.data.views import PhotoView, SceneView
from components.models.choices import Resnet, Small, Stage1, Stage2
from components.train.checkpoint import ModelError, load_model
from components.train.fit_worker import JobError, taught, train_stage1, train_stage2
from components.train.loop import METRICS
from tests.components.train.forked import run_forked
from tests.components.train.rectangles import CLASSES, pack_rectangles

PHOTO = PhotoView(sizes=(32, 40), pad_to=4)
STAGE1 = Stage1(steps=3, batch=4, view=PHOTO, warmup=1)
STAGE2 = Stage2(
    steps=3, scenes=2, photos=3, scene_view=SceneView(size=64), photo_view=PHOTO, warmup=1
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return pack_rectangles(tmp_path_factory.mktemp("packed"))


def _run(train: Callable[..., Any], out: Path, stage: Stage1 | Stage2, **places: Any) -> list[Any]:
    out.mkdir()
    said: list[Any] = []
    train(
        {"out": out, "backbone": Small(), "stage": stage, "say_every": 2, **places},
        rank=0,
        world=1,
        say=lambda *values, **metrics: said.append((values, metrics)),
        wrap=lambda module: module,
    )
    return said


def test_only_classes_with_an_example_are_taught(packed: dict[str, Path]) -> None:
    shards = Shards.open(packed["boxes"])
    found, columns = taught(shards, by="boxes")
    assert "fine:4" not in found.ids
    assert set(found.ids) < set(shards.vocabulary.ids)
    for name, i in zip(shards.vocabulary.ids, columns.tolist(), strict=True):
        assert (found.ids[i] == name) if i >= 0 else (name == "fine:4")
    labelled, _ = taught(Shards.open(packed["labels"]), by="labels")
    assert len(labelled) == CLASSES
    with pytest.raises(JobError, match="no boxes to learn from; got 24 pictures"):
        taught(Shards.open(packed["labels"]), by="boxes")


@pytest.mark.parametrize("form", ["region", "pooled"])
def test_two_stages_write_models_that_load_and_say_what_happens(
    packed: dict[str, Path], tmp_path: Path, form: str
) -> None:
    stage1 = Stage1(**{**_fields(STAGE1), "form": form})
    said = _run(train_stage1, tmp_path / "one", stage1, labels=packed["labels"])
    assert [values for values, _ in said] == [(2, 3, "steps"), (3, 3, "steps")]
    assert set(said[-1][1]) == {"train/loss", "train/loss_image", "train/lr", *METRICS[-2:]}
    first, record = load_model(tmp_path / "one")
    assert record.parts == (
        ("trunk",) if form == "pooled" else ("trunk", "pyramid", "region_head", "labelled")
    )
    said = _run(train_stage2, tmp_path / "two", STAGE2, **packed, start=tmp_path / "one")
    assert set(said[-1][1]) == {*METRICS} - {"train/loss_transfer"}
    second, record = load_model(tmp_path / "two")
    assert len(record.labelled) == CLASSES
    assert "fine:4" not in record.boxed.ids
    assert record.size == 64
    assert not torch.equal(first.refine.weight, second.refine.weight)


def test_the_same_job_gives_the_same_bytes(packed: dict[str, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        _run(train_stage2, tmp_path / name, STAGE2, **packed)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize("without", ["no photos", "weight 0", "no shards"])
def test_without_photos_the_labelled_scorer_stays_as_it_was(
    packed: dict[str, Path], tmp_path: Path, without: str
) -> None:
    _run(train_stage1, tmp_path / "one", STAGE1, labels=packed["labels"])
    change = {"no photos": {"photos": 0}, "weight 0": {"image_weight": 0.0}, "no shards": {}}
    places = {"boxes": packed["boxes"], "start": tmp_path / "one"}
    if without != "no shards":
        places["labels"] = packed["labels"]
    stage = Stage2(**{**_fields(STAGE2), **change[without]})
    said = _run(train_stage2, tmp_path / "two", stage, **places)
    assert "train/loss_image" not in said[-1][1]
    first, second = (load_model(tmp_path / n)[0].scores.labelled.weight for n in ("one", "two"))
    assert len(second) == (0 if without == "no shards" else CLASSES)
    assert without == "no shards" or torch.equal(first, second)


def test_a_job_that_cannot_be_done_is_refused(packed: dict[str, Path], tmp_path: Path) -> None:
    two = Stage1(**{**_fields(STAGE1), "world": 2})
    with pytest.raises(JobError, match="settings say 2 workers; got 1"):
        _run(train_stage1, tmp_path / "a", two, labels=packed["labels"])
    with pytest.raises(JobError, match="image labels are needed; got none"):
        _run(train_stage1, tmp_path / "b", STAGE1)
    with pytest.raises(JobError, match="boxes are needed; got none"):
        _run(train_stage2, tmp_path / "c", STAGE2)
    resnet = Resnet(weights="r18.safetensors")
    with pytest.raises(JobError, match=r"'r18\.safetensors' is set; got no file"):
        _run(train_stage1, tmp_path / "d", STAGE1, labels=packed["labels"], backbone=resnet)
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        _run(train_stage2, tmp_path / "e", STAGE2, **packed, start=tmp_path)


@pytest.mark.parametrize("which", [1, 2])
def test_two_workers_read_the_shares_of_one(
    packed: dict[str, Path], tmp_path: Path, which: int
) -> None:
    train, settings = {1: (train_stage1, STAGE1), 2: (train_stage2, STAGE2)}[which]

    def fn(*, rank: int, world: int, wrap: Any) -> Any:
        out = tmp_path / str(world)
        out.mkdir(exist_ok=True)
        stage = type(settings)(**{**_fields(settings), "world": world, "dtype": "float64"})
        places = packed if which == 2 else {"labels": packed["labels"]}
        said: list[dict[str, float]] = []
        train(
            {"out": out, "backbone": Small(), "stage": stage, "say_every": 1, **places},
            rank=rank,
            world=world,
            say=lambda *_, **metrics: said.append(metrics),
            wrap=wrap,
        )
        return said

    one, two = (run_forked(fn, world=w, folder=tmp_path, name="fit") for w in (1, 2))
    for a, b in zip(one, two, strict=True):
        for name in a:
            assert name.startswith("perf/") or b[name] == pytest.approx(a[name], rel=1e-6)
    assert (tmp_path / "1" / "vocabulary.json").is_file()
    load_model(tmp_path / "2")


def _fields(stage: Stage1 | Stage2) -> dict[str, Any]:
    return {name: getattr(stage, name) for name in stage.__dataclass_fields__}
