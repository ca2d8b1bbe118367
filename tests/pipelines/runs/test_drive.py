"""A whole tiny run: what it leaves, what it finds again, and what runs after a change."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.journal import read_events
from cluster.storage import open_store
from components.eval.metric_names import check_name
from components.train.checkpoint import load_model
from pipelines.graph.cuts import CutError, Cuts
from pipelines.graph.plan import plan
from pipelines.runs.drive import Finished
from pipelines.runs.loading import load
from pipelines.settings.problems import SettingsError
from tests.pipelines.runs.tiny import page, run


@dataclass(frozen=True)
class Done:
    config: Path
    store: Path
    ended: Finished
    events: list


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("run")
    config, store = page(folder), folder / "store"
    ended, events = run(config, store=store)
    assert ended.status == "done", ended.reason
    return Done(config, store, ended, events)


def states(done: Done, *settings: str, cuts: Cuts | None = None) -> dict[str, str]:
    planned = plan(load(done.config, settings).graph, open_store(str(done.store)), cuts)
    return {entry.name: entry.state for entry in planned.nodes}


def test_every_node_runs_once(done: Done) -> None:
    assert {n["state"] for n in done.ended.nodes.values()} == {"done"}
    assert len(done.ended.nodes) == 12
    assert done.ended.code == 0
    assert done.ended.run == "joint-1"


def test_metrics_have_known_names_and_are_fractions(done: Done) -> None:
    metrics = done.ended.metrics
    assert {"coco/AP50", "seen/AP50", "novel/AP50", "val/novel_AP50", "loc/top1"} <= set(metrics)
    for name, value in metrics.items():
        check_name(name)
        if value is not None and not name.startswith("cost/"):
            assert 0 <= value <= 1


def test_the_model_is_a_directory_that_loads(done: Done) -> None:
    assert done.ended.model is not None
    detector, record = load_model(Path(done.ended.model))
    assert len(record.boxed.ids) == 14
    assert len(record.labelled.ids) == 24
    assert not detector.training


def test_the_report_is_one_page_about_this_run(done: Done) -> None:
    assert done.ended.report is not None
    text = Path(done.ended.report).read_text()
    for said in ("joint-1", "stage2", "novel/AP50", "data:image/jpeg;base64,"):
        assert said in text
    assert text.count("<script") == 1  # its own, which sorts tables
    assert "http://" not in text
    assert "https://" not in text


def test_events_are_kept_in_the_order_they_came(done: Done) -> None:
    events, _ = read_events(done.store / "runs" / "joint-1" / "events.jsonl")
    assert events[0]["event"] == "run"
    assert events[-1]["event"] == "finished"
    shown = [(e["node"], e["state"]) for e in events if e["event"] == "node"]
    assert shown.index(("stage1", "done")) < shown.index(("stage2", "running"))
    losses = [e["values"]["train/loss"] for e in events
              if e["event"] == "metrics" and e["node"] == "stage1"]  # fmt: skip
    assert losses
    assert all(value > 0 for value in losses)


def test_the_same_again_does_nothing_and_says_so(done: Done) -> None:
    ended, events = run(done.config, store=done.store)
    assert {n["state"] for n in ended.nodes.values()} == {"cached"}
    assert ended.run == "joint-1"
    assert ended.metrics == done.ended.metrics
    assert ended.model == done.ended.model
    assert {e["state"] for e in events} == {"cached"}
    assert [p.name for p in (done.store / "runs").iterdir()] == ["joint-1"]


@pytest.mark.parametrize(
    ("setting", "runs"),
    [
        ("stage2.lr=1e-3", {"stage2"}),
        ("stage1.steps=5", {"stage1"}),
        ("evaluate.top=50", {"detect_tune", "detect_scenes", "detect_photos"}),
        ("evaluate.pictures=1", {"evaluate"}),
        ("run_on.stage2.retries=7", set()),
        ("tracking.experiment=other", set()),
        ("draw.seed=4", {"draw"}),
    ],
)
def test_a_setting_reruns_what_depends_on_it(done: Done, setting: str, runs: set[str]) -> None:
    found = states(done, setting)
    assert {name for name, state in found.items() if state == "will run"} == runs
    if setting.startswith("stage2"):
        waiting = {name for name, state in found.items() if state == "waits"}
        assert waiting == {"detect_tune", "detect_scenes", "detect_photos", "evaluate"}


def test_show_names_the_setting(done: Done) -> None:
    planned = plan(load(done.config, ["stage2.lr=1e-3"]).graph, open_store(str(done.store)))
    stage2 = next(entry for entry in planned.nodes if entry.name == "stage2")
    assert [reason.text for reason in stage2.why] == ["settings: stage2.lr 0.002 -> 0.001"]


def test_show_names_settings_as_they_are_written_on_the_line(done: Done) -> None:
    """Also of nodes that wait for an input."""
    changes = (
        "draw.seed=4", "sources.max_bad_fraction=0.01", "stage1.steps=400", "stage2.lr=1e-3",
        "evaluate.top=50", "evaluate.pictures=1", "sources.test.1.size=48",
    )  # fmt: skip
    planned = plan(load(done.config, changes).graph, open_store(str(done.store)))
    named = {r.text.split()[1] for p in planned.nodes for r in p.why if "settings:" in r.text}
    assert named == {change.partition("=")[0] for change in changes}


def test_steps_scale_what_training_is_expected_to_take(done: Done) -> None:
    planned = plan(load(done.config, ["stage1.steps=400"]).graph, open_store(str(done.store)))
    seconds = {entry.name: (entry.seconds, entry.how) for entry in planned.nodes}
    took = done.ended.nodes["stage1"]["seconds"]
    assert seconds["stage1"] == (pytest.approx(took * 100, rel=0.01), "at most")
    assert seconds["evaluate"][1] == "last time"


def test_until_only_and_force(done: Done) -> None:
    assert states(done, cuts=Cuts(until=("labels",)))["stage1"] == "left out"
    assert states(done, cuts=Cuts(force=("stage1",)))["stage1"] == "will run"
    assert states(done, cuts=Cuts(start=("detect_tune",)))["evaluate"] in ("will run", "waits")
    with pytest.raises(CutError, match="The nodes are draw"):
        states(done, cuts=Cuts(only=("nothing",)))


def test_a_part_of_a_run_is_not_its_end(done: Done, tmp_path: Path) -> None:
    store = tmp_path / "store"
    part, _ = run(done.config, store=store, cuts=Cuts(until=("labels",)))
    assert part.status == "done"
    assert part.metrics == {}
    assert not (store / "runs" / part.run / "finished.json").exists()


def test_a_failed_node_is_told_and_the_same_command_goes_on(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    shutil.copytree(done.store / "nodes", store / "nodes")
    shutil.copy(done.store / "format", store / "format")
    other = ("stage2.steps=3",)

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("a bug in a component")

    with monkeypatch.context() as patch:
        patch.setattr("components.train.fit_worker.save_model", full)
        ended, events = run(
            done.config, *other, store=store, on_failure="continue", wait_for_nodes_s=1.0
        )
    assert ended.status == "failed"
    assert ended.code == 1
    assert ended.reason == "stage2: RuntimeError: a bug in a component"
    assert any(e.get("state") == "failed" for e in events)
    assert "failed" in Path(ended.report or "").read_text()
    again, _ = run(done.config, *other, store=store)
    assert again.run == ended.run
    assert again.status == "done"


def test_more_workers_than_pictures_a_step_are_refused_before_anything_starts(
    done: Done, tmp_path: Path
) -> None:
    impossible = ("stage2.world=2", "run_on.stage2.workers=2", "stage2.scenes=1")
    with pytest.raises(SettingsError, match=r"stage2.scenes: each of 2 workers needs a picture"):
        run(done.config, *impossible, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_finished_json_is_what_was_returned(done: Done) -> None:
    kept = json.loads((done.store / "runs" / "joint-1" / "finished.json").read_text())
    assert kept["metrics"] == done.ended.metrics
    assert kept["status"] == "done"
