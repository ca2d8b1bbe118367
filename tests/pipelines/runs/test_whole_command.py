"""`vocabox run PAGE --json` as a program meets it: real Ray, real Train workers, real MLflow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from tests.pipelines.runs.tiny import PAGE


@pytest.mark.ray
def test_a_page_runs_on_ray_and_is_tracked(tmp_path: Path) -> None:
    config, store = tmp_path / "tiny.yaml", tmp_path / "store"
    config.write_text(
        PAGE.replace("batch: 6,", "batch: 6, world: 2,")
        .replace("scenes: 3,", "scenes: 4, world: 2,")
        .replace("stage1: {local: true}, stage2: {local: true}", "stage1: {workers: 2}")
        .replace("kind: none", "kind: mlflow, experiment: vocabox/tiny")
    )
    command = [sys.executable, "-m", "pipelines.cli.entry", "run", str(config)]
    ended = subprocess.run(
        [*command, "--store", str(store), "--json"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert all(line["v"] == 1 for line in lines)
    states = [(e["node"], e["state"]) for e in lines if e["event"] == "node"]
    assert ("stage1", "done") in states
    assert ("stage2", "done") in states
    last = lines[-1]
    assert last["event"] == "finished"
    assert last["status"] == "done"
    assert last["unsent"] == 0
    assert 0 <= last["metrics"]["novel/AP50"] <= 1
    assert Path(last["report"]).is_file()
    client = mlflow.MlflowClient(tracking_uri=last["tracking"])
    experiment = client.get_experiment_by_name("vocabox/tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    kinds = [run.data.tags["dag.kind"] for run in runs]
    assert kinds.count("pipeline") == 1
    assert kinds.count("node") == 12
    parent = next(run for run in runs if run.data.tags["dag.kind"] == "pipeline")
    assert parent.data.metrics["coco/AP"] == pytest.approx(last["metrics"]["coco/AP"])
