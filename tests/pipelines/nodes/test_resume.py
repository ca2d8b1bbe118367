"""A training node killed after a checkpoint: what is damaged is set aside and said."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.train import fit_worker
from components.train.snapshot import Snapshots
from pipelines.runs.drive import Finished
from tests.pipelines.runs import tiny

SETTINGS = (
    "stage1.steps=8",
    "run_on.stage1.checkpoint_every=2",
    "run_on.stage1.retries=0",
    "run_on.stage1.local=true",
)


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

    fit = fit_worker.fit

    def poisoned(module: Any, **given: Any) -> Any:
        with torch.no_grad():
            module.model.scores.labelled.weight[0, 0] = torch.nan
        return fit(module, **given)

    monkeypatch.setattr(fit_worker, "fit", poisoned)
    ended, _ = _run(tiny.page(tmp_path), tmp_path / "store")
    assert ended.code == 6
    assert ended.reason is not None
    assert "training, step 0: not finite; got image nan" in ended.reason
    assert "Pictures: train_photos" in ended.reason or ".jpg" in ended.reason
    assert not list((tmp_path / "store").glob("work/*/checkpoints/step*"))
