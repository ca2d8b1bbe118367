"""`vocabox tune` as a user meets it: killed, gone on with, tracked, and its best settings run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.searchers import Tried
from pipelines.runs.loading import load
from pipelines.runs.search import best_page
from pipelines.settings.space import OneOf, Space
from tests.pipelines.runs.tiny import PAGE, page

SPACE = """\
metric: val/AP
axes:
  stage2.lr: {kind: between, low: 1e-4, high: 1e-2, log: true}
  stage2.image_weight: {kind: one_of, of: [0.1, 0.5]}
"""
PATIENCE_S = 300


def test_the_best_page_is_the_users_with_the_best_settings(tmp_path: Path) -> None:
    loaded = load(page(tmp_path), ("stage2.steps=7", "stage2.lr=1e-3"))
    space = Space(axes={"stage2.lr": OneOf(of=(0.001, 0.004))})
    best = Tried(point={"stage2.lr": 0.004}, status="done", metrics={"val/AP": 0.25})
    out = tmp_path / "best.yaml"
    out.write_text(best_page(loaded, best, space, of=9))
    again = load(out)
    assert again.cfg.stage2.lr == 0.004
    assert again.resolved == {**loaded.resolved, "stage2.lr": 0.004}
    assert out.read_text().startswith(
        "# tiny.yaml with the best of 9 trials: val/AP 0.2500.\n# stage2.lr: 0.004\n"
    )


def tune(folder: Path) -> "subprocess.Popen[str]":
    words = ["tune", "tiny.yaml", "--space", "space.yaml", "--trials", "3", "--store", "store"]
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli.entry", *words, "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip


def done(folder: Path) -> list[dict[str, Any]]:
    """Return the events of all runs, a node done each."""
    lines = [
        json.loads(line)
        for place in sorted(folder.glob("store/runs/*/events.jsonl"))
        for line in place.read_text().splitlines()
    ]
    return [e for e in lines if e["event"] == "node" and e["state"] == "done"]


@pytest.mark.ray
@pytest.mark.mlflow
def test_a_search_that_is_killed_goes_on_and_trains_what_is_shared_once(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    (tmp_path / "space.yaml").write_text(SPACE)
    text = PAGE.replace("kind: none", "kind: mlflow, experiment: vocabox/tiny")
    (tmp_path / "tiny.yaml").write_text(text)
    first, begun = tune(tmp_path), time.monotonic()
    while not any(e["node"] == "stage1" for e in done(tmp_path)):
        assert first.poll() is None, first.communicate()
        assert time.monotonic() - begun < PATIENCE_S
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    said, wrong = tune(tmp_path).communicate(timeout=PATIENCE_S)
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["event"] for line in lines] == ["trial"] * 3 + ["finished"], wrong
    last = lines[-1]
    assert (last["status"], last["trials"]) == ("done", 3)
    values = [line["val/AP"] for line in lines[:3]]
    assert last["best"]["val/AP"] == max(values)
    assert lines[0]["point"] == {"stage2.lr": "0.002", "stage2.image_weight": "0.1"}
    nodes = [e["node"] for e in done(tmp_path)]
    assert nodes.count("stage1") == 1
    assert nodes.count("stage2") == 3
    assert load(tmp_path / "tiny.best.yaml").cfg.stage2.lr == last["best"]["point"]["stage2.lr"]
    again, _ = tune(tmp_path).communicate(timeout=PATIENCE_S)
    assert json.loads(again) == last  # all is known: nothing is started
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("vocabox/tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`dag.kind` = 'trial'")
    parents = client.search_runs([experiment.experiment_id], "tags.`dag.kind` = 'search'")
    assert sorted(run.data.tags["dag.trial"] for run in runs) == ["1", "2", "3"]
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parents[0].info.run_id}
    assert parents[0].data.metrics["val/AP"] == max(values)
