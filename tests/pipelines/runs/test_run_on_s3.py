"""A whole run in a bucket, from two machines: all that a folder gives, and checkpoints too."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.object_store import ObjectStore
from cluster.storage import open_store
from components.train.snapshot import Snapshots
from components.train.snapshot_folders import damage
from pipelines.graph.at_hand import ThroughStore
from pipelines.graph.commit import _opened
from pipelines.graph.cuts import Cuts
from pipelines.runs.drive import Finished, drive
from pipelines.runs.loading import load
from tests.pipelines.cli.small import call
from tests.pipelines.runs import tiny

STEPS = ("stage1.steps=8", "run_on.stage1.checkpoint_every=2", "run_on.stage1.retries=0")


@dataclass
class Machine:
    """A machine of its own: it has the bucket in common with others, and no disk."""

    uri: str
    cache: Path
    patch: pytest.MonkeyPatch
    page: Path

    def run(self, *settings: str, **more: Any) -> tuple[Finished, list[Mapping[str, Any]]]:
        self._sit_down()
        events: list[Mapping[str, Any]] = []
        loaded = load(self.page, settings)
        return drive(loaded, store=self.uri, emit=events.append, executor="inline", **more), events

    def _sit_down(self) -> None:
        self.patch.setenv("VOCABOX_CACHE", str(self.cache))
        _opened.cache_clear()  # a machine has processes of its own

    def command(self, line: str) -> Any:
        self._sit_down()
        return call(*line.split(), "--store", self.uri)


def _machine(name: str, s3: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> Machine:
    return Machine(f"{s3}/team", tmp_path / name, patch, tiny.page(tmp_path))


def test_a_run_on_one_machine_is_there_on_another(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = _machine("one", s3, tmp_path, monkeypatch)
    done, _ = one.run()
    assert (done.status, done.run) == ("done", "joint-1")
    local, _ = tiny.run(one.page, store=tmp_path / "local")
    same = {name: value for name, value in local.metrics.items() if not name.startswith("cost/")}
    assert {name: done.metrics[name] for name in same} == same
    shutil.rmtree(tmp_path / "one")

    two = _machine("two", s3, tmp_path, monkeypatch)
    again, _ = two.run()
    assert {n["state"] for n in again.nodes.values()} == {"cached"}
    assert (again.run, again.metrics) == ("joint-1", done.metrics)
    for place in (again.model, again.report):
        assert place is not None
        assert Path(place).exists()
        assert Path(place).is_relative_to(tmp_path / "two")
    changed, _ = two.run("stage2.lr=1e-3")
    assert changed.run == "joint-2"
    page = Path(str(changed.report)).read_text()
    assert "joint-1" in page
    assert "stage2.lr" in page

    three = _machine("three", s3, tmp_path, monkeypatch)
    shown = three.command(f"show {three.page} stage2.lr=1e-4")
    assert shown.exit_code == 0
    assert "settings: stage2.lr 0.001 -> 0.0001" in shown.output
    picture = next((tmp_path / "local").glob("nodes/*/*/*/**/test_scenes/**/*.png"), None)
    picture = picture or next((tmp_path / "local").glob("nodes/*/*/*/**/*.jpg"))
    shutil.copyfile(picture, tmp_path / "picture.jpg")
    out = tmp_path / "found.json"
    found = three.command(f"predict joint-2 {tmp_path}/picture.jpg --out {out}")
    assert found.exit_code == 0, found.output
    assert isinstance(json.loads(out.read_text()), list)
    lost = three.command(f"predict joint-9 {tmp_path}/picture.jpg --out {out}")
    assert lost.exit_code == 2
    assert "Runs in the store: joint-1, joint-2." in lost.output


class _LostError(Exception):
    """Stands for a machine that goes away."""


def test_a_training_goes_on_from_the_checkpoint_of_a_lost_machine(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = _machine("one", s3, tmp_path, monkeypatch)
    cuts = Cuts(until=("stage1",))
    save = Snapshots.save

    def stop(self: Snapshots, at: int, *given: Any) -> Path | None:
        place = save(self, at, *given)
        if at == 6:
            raise _LostError
        return place

    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "save", stop)
        lost, _ = one.run(*STEPS, cuts=cuts)
    assert lost.status == "failed"
    shutil.rmtree(tmp_path / "one")  # the machine and its disk

    two = _machine("two", s3, tmp_path, monkeypatch)
    done, events = two.run(*STEPS, cuts=cuts)
    assert done.status == "done", done.reason
    notes = [str(event["text"]) for event in events if event["event"] == "note"]
    assert "goes on from its checkpoint of step 6 of 8" in notes
    alone, _ = tiny.run(two.page, *STEPS, store=tmp_path / "alone", cuts=cuts)
    assert done.nodes["stage1"]["key"] == alone.nodes["stage1"]["key"]
    model = "nodes/*/*/*/model.safetensors"
    [ours] = (tmp_path / "two").glob(f"*/{model}")
    [theirs] = (tmp_path / "alone").glob(model)
    assert ours.read_bytes() == theirs.read_bytes()
    assert open_store(two.uri, mode="read").list("work") == []


def test_a_worker_on_another_machine_has_its_inputs_and_its_result_comes_back(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "node"))
    store = open_store(f"{s3}/p")
    out = store.new_folder("nodes/aa/key/attempt")
    kept = store.scratch("key") / "checkpoints"
    hand = ThroughStore(store=store.uri, home=store.home, out=out, places={})
    arg = {"out": out, "keep_in": kept, "resume": None, "steps": 3}
    moved = out.rename(tmp_path / "hidden")  # the worker's machine does not have it
    monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "worker"))
    from cluster import bucket_door

    bucket_door._opened.clear()
    with hand.working(arg, rank=0) as own:
        assert own["steps"] == 3
        assert own["out"].is_relative_to(tmp_path / "worker")
        (own["out"] / "model.safetensors").write_bytes(b"weights")
        step = own["keep_in"] / "step00000002"
        step.mkdir(parents=True)
        (step / "state").write_text("2")
    moved.rename(out)
    monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "node"))
    bucket_door._opened.clear()
    hand.collect()
    assert (out / "model.safetensors").read_bytes() == b"weights"
    with hand.working(arg, rank=0):  # the next group, on another machine again
        pass
    assert (kept / "step00000002" / "state").read_text() == "2"
    assert isinstance(store, ObjectStore)
    assert damage(kept / "step00000002") is not None  # only whole ones are gone on from
