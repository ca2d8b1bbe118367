"""A training node killed after a checkpoint: what is damaged is set aside and said."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.data.views import PhotoView
from components.models.choices import Stage1
from components.train import job
from components.train.fit_worker import JobError
from components.train.snapshot import Snapshots
from pipelines.runs.drive import Finished
from tests.pipelines.runs import tiny

SETTINGS = (
    "stage1.steps=8",
    "run_on.stage1.checkpoint_every=2",
    "run_on.stage1.retries=0",
    "run_on.stage1.local=true",
)


STAGE = Stage1(steps=40, batch=6, warmup=1, view=PhotoView(sizes=(24, 32)), world=2)


class _KilledError(Exception):
    """Stands for a kill: raised right after a checkpoint."""


def _run(config: Path, store: Path) -> tuple[Finished, list[Mapping[str, Any]]]:
    from pipelines.graph.cuts import Cuts

    return tiny.run(config, *SETTINGS, store=store, cuts=Cuts(until=("stage1",)))


def _stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Snapshots.save

    def stop(self: Snapshots, at: int, *given: Any) -> Path | None:
        place = save(self, at, *given)
        if at == step:
            raise _KilledError
        return place

    monkeypatch.setattr(Snapshots, "save", stop)


def _model(store: Path) -> bytes:
    [model] = [p for p in (store / "nodes").glob("*/*/*/model.safetensors") if "draw" not in str(p)]
    return model.read_bytes()


def test_it_goes_on_from_the_one_before_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.page(tmp_path)
    _run(config, tmp_path / "alone")
    with monkeypatch.context() as patch:
        _stop_at(6, patch)
        ended, _ = _run(config, tmp_path / "store")
        assert ended.status == "failed"
    [newest] = (tmp_path / "store").glob("work/*/checkpoints/step00000006")
    file = newest / "state.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    ended, events = _run(config, tmp_path / "store")
    assert ended.status == "done"
    said = [str(e["text"]) for e in events if e["event"] == "note"]
    said = said[1:]  # the first is of what is to run
    assert "step00000006 is damaged (state.safetensors has other bytes" in said[0]
    assert said[1] == "goes on from its checkpoint of step 4 of 8"
    [aside] = (tmp_path / "store" / "quarantine").iterdir()
    assert str(aside) in said[0]
    assert (aside / "state.safetensors").read_bytes() == bytes(data)
    assert _model(tmp_path / "store") == _model(tmp_path / "alone")


def test_what_is_not_finite_names_its_pictures_and_ends_with_6(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    fit = job.fit

    def poisoned(module: Any, **given: Any) -> Any:
        with torch.no_grad():
            module.model.scores.labelled.weight[0, 0] = torch.nan
        return fit(module, **given)

    monkeypatch.setattr(job, "fit", poisoned)
    ended, _ = _run(tiny.page(tmp_path), tmp_path / "store")
    assert ended.code == 6
    assert ended.reason is not None
    assert "training, step 0: not finite; got image nan" in ended.reason
    assert "Pictures: train_photos" in ended.reason or ".jpg" in ended.reason
    assert not list((tmp_path / "store").glob("work/*/checkpoints/step*"))


def test_an_elastic_stage_goes_on_with_fewer_workers(tmp_path: Path) -> None:
    """Two workers kept step 4, one goes on: refused where bits are promised, else it ends."""
    from cluster.ray_faults import GroupError
    from cluster.workers import run_group
    from components.models.choices import Small
    from pipelines.graph.cuts import Cuts
    from pipelines.nodes.train import classify_worker

    config, store = tiny.page(tmp_path), tmp_path / "store"
    tiny.run(config, store=store, cuts=Cuts(until=("labels",)))
    [index] = [p for p in (store / "nodes").glob("*/*/*/*.parquet") if "draw" not in str(p)][:1]

    def train(stage: Stage1, workers: int, asked: Any) -> dict[str, Any]:
        kept = tmp_path / f"kept{stage.deterministic}"
        out = tmp_path / f"out{workers}{stage.deterministic}"
        out.mkdir()
        arg = {
            "out": out, "backbone": Small(), "stage": stage, "labels": index.parent,
            "keep_in": kept, "aside": Path, "checkpoint_every": 4,
        }  # fmt: skip
        return run_group(
            classify_worker, arg, workers=workers, local=True, scratch=tmp_path / "scratch",
            name="stage1", say=lambda *_, **__: None, asked=asked,
        )  # fmt: skip

    for stage in (STAGE, replace(STAGE, deterministic=False)):
        kept = tmp_path / f"kept{stage.deterministic}"
        with pytest.raises(GroupError, match="asked to stop after step") as caught:
            train(stage, 2, lambda kept=kept: any(kept.glob("step*")))
        assert caught.value.failure.kind == "preempted"
    with pytest.raises(JobError, match="the settings say 2 workers; got 1"):
        train(STAGE, 1, None)
    made = train(replace(STAGE, deterministic=False), 1, None)
    assert made["resumed_at"] >= 4
