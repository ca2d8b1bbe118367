"""`vocabox run PAGE --json` as a program meets it: real Ray, real Train workers, real MLflow."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.sockets import Watched
from tests.pipelines.runs.tiny import PAGE


@dataclass(frozen=True, kw_only=True)
class Whole:
    """One run, and all that its processes ever listened on."""

    watched: Watched
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        assert self.watched.process.returncode == 0, self.stderr[-3000:]
        return [json.loads(line) for line in self.stdout.splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    config = folder / "tiny.yaml"
    config.write_text(
        PAGE.replace("batch: 6,", "batch: 6, world: 2,")
        .replace("scenes: 3,", "scenes: 4, world: 2,")
        .replace("stage1: {local: true}, stage2: {local: true}", "stage1: {workers: 2}")
        .replace("kind: none", "kind: mlflow, experiment: vocabox/tiny")
    )
    command = [sys.executable, "-m", "pipelines.cli.entry", "run", str(config)]
    watched = Watched(
        [*command, "--store", str(folder / "store"), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    said, wrong = watched.communicate(timeout=900)
    return Whole(watched=watched, stdout=said, stderr=wrong)


@pytest.mark.ray
def test_a_page_runs_on_ray_and_is_tracked(whole: Whole) -> None:
    from mlflow.tracking import MlflowClient

    lines = whole.lines
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
    client = MlflowClient(tracking_uri=last["tracking"])
    experiment = client.get_experiment_by_name("vocabox/tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    kinds = [run.data.tags["dag.kind"] for run in runs]
    assert kinds.count("pipeline") == 1
    assert kinds.count("node") == 12
    parent = next(run for run in runs if run.data.tags["dag.kind"] == "pipeline")
    assert parent.data.metrics["coco/AP"] == pytest.approx(last["metrics"]["coco/AP"])


@pytest.mark.ray
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_listens_beyond_loopback_while_a_page_runs(whole: Whole) -> None:
    assert whole.watched.process.returncode == 0, whole.stderr[-3000:]
    who = "\n".join([*whole.watched.seen.values(), *whole.watched.processes.values()])
    for part in ("gcs_server", "raylet", "ray::RayTrainWorker", "cluster.sender"):
        assert part in who, f"{part} must be seen, else this test sees nothing"
    assert len(whole.watched.seen) >= 10
    assert whole.watched.beyond() == {}
