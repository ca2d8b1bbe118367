"""What MLflow holds after a run, read back from a real database; and what happens without one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.journal import Events
from cluster.track import default_uri, read_sent, start_sender, tracking_fault, unsent
from tests.cluster.following import WAIT_S, Sent

NOWHERE = "http://127.0.0.1:9"


def write_run(run: Path) -> Events:
    events = Events(run / "events.jsonl")
    (run / "report.html").parent.mkdir(parents=True, exist_ok=True)
    (run / "report.html").write_text("<p>report</p>")
    config = {"backbone.kind": "small", "stage2.lr": 0.02, "bad@name": "x"}
    events.append(
        {"event": "run", "run": "joint-1", "pipeline": "joint", "config": config,
         "config_text": "recipe: joint\n"}
    )  # fmt: skip
    events.append({"event": "node", "node": "pack", "state": "cached", "key": "aa"})
    events.append({"event": "node", "node": "stage2", "state": "running", "key": "bb"})
    for step in (10, 20, 30):
        values = {"train/loss": 1 / step, "train/lr": 0.02}
        events.append({"event": "metrics", "node": "stage2", "step": step, "values": values})
    events.append({"event": "node", "node": "stage2", "state": "done", "seconds": 4.5})
    return events


def finish(run: Path, events: Events) -> None:
    events.append(
        {"event": "finished", "run": "joint-1", "status": "done", "report": run / "report.html",
         "metrics": {"novel/AP50": 0.41, "coco/AP": 0.3}}
    )  # fmt: skip


def runs_of(uri: str, experiment: str) -> dict[str, Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    assert len({r.info.run_name for r in runs}) == len(runs), "one run a name"
    return {"client": client, "experiment": found} | {
        r.data.tags.get("dag.node", "pipeline"): r for r in runs
    }


@pytest.mark.mlflow
def test_a_run_in_mlflow_equals_its_events_and_twice_is_once(tmp_path: Path) -> None:
    run, uri = tmp_path / "store" / "runs" / "joint-1", default_uri(tmp_path / "store")
    events = write_run(run)
    sender = start_sender(run, uri, "vocabox/joint")
    finish(run, events)
    assert sender.close(patience_s=90) == 0, (run / "sender.log").read_text()
    assert sender.fault is None
    assert tracking_fault(run) is None
    first = runs_of(uri, "vocabox/joint")["pipeline"].info.run_id
    (run / "sent.json").unlink()  # a second sender knows nothing: it must find, not double
    assert unsent(run) == 8
    assert Sent(run, uri, "vocabox/joint").join() == 0
    assert unsent(run) == 0

    found = runs_of(uri, "vocabox/joint")
    client, parent, child = found["client"], found["pipeline"], found["stage2"]
    assert parent.info.run_id == first, "a link to it still holds"
    assert parent.info.run_name.startswith("joint-small-")
    assert len(parent.info.run_name) <= 20
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"novel/AP50": 0.41, "coco/AP": 0.3}
    assert parent.data.params == {"backbone.kind": "small", "stage2.lr": "0.02", "bad_name": "x"}
    assert parent.data.tags["dag.kind"] == "pipeline"
    assert child.info.run_name == f"stage2 · {parent.info.run_name[-6:]}"
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["dag.cache"] == "miss"
    assert found["pack"].data.tags["dag.cache"] == "hit"
    assert found["pack"].info.status == "FINISHED"
    series = client.get_metric_history(child.info.run_id, "train/loss")
    assert [(m.step, m.value) for m in series] == [(10, 1 / 10), (20, 1 / 20), (30, 1 / 30)]
    assert child.data.metrics["cost/wall_s"] == 4.5
    assert {a.path for a in client.list_artifacts(parent.info.run_id)} == {
        "config.yaml",
        "report.html",
    }
    inside = tmp_path / "store" / "mlartifacts"
    assert found["experiment"].artifact_location.startswith(inside.as_uri())
    assert read_sent(run)["offset"] == events.path.stat().st_size


@pytest.mark.mlflow
def test_a_step_is_held_once_but_of_a_node_that_has_become_another(tmp_path: Path) -> None:
    run, uri = tmp_path / "store" / "runs" / "joint-1", default_uri(tmp_path / "store")
    events, now = Events(run / "events.jsonl"), time.time()
    events.append({"event": "run", "run": "joint-1", "config": {}})
    for i, (key, steps) in enumerate((("aa", (20, 40)), ("aa", (40, 60)), ("bb", (20, 40)))):
        events.append({"event": "node", "node": "stage2", "state": "running", "key": key})
        for step in steps:
            said = {"event": "metrics", "node": "stage2", "step": step, "time": now + i}
            events.append({**said, "values": {"train/loss": 1.0 + i}})
    events.append({"event": "finished", "status": "done"})
    assert start_sender(run, uri, "again").close(patience_s=90) == 0
    found = runs_of(uri, "again")
    points = found["client"].get_metric_history(found["stage2"].info.run_id, "train/loss")
    said_by = sorted((m.step, m.value) for m in points)
    assert said_by == [(20, 1.0), (20, 3.0), (40, 1.0), (40, 3.0), (60, 2.0)]


@pytest.mark.mlflow
def test_without_a_server_the_run_goes_on_and_the_unsent_are_counted(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "joint-1"
    events = write_run(run)
    begun = time.monotonic()
    sender = start_sender(run, NOWHERE, "vocabox", give_up_s=1.0)
    assert time.monotonic() - begun < 2
    finish(run, events)
    assert sender.close(patience_s=90) == 8
    assert sender.process is not None
    assert sender.process.wait(30) == 3
    assert "Connection" in str(tracking_fault(run))


def test_a_sender_that_cannot_start_says_so(tmp_path: Path) -> None:
    sender = start_sender(tmp_path / "nowhere", NOWHERE, "vocabox")
    assert "did not start" in str(sender.fault)
    assert sender.close() == 0


DRIVER = """
import sys, time
from pathlib import Path
from cluster.track import start_sender
from tests.cluster.test_sender import write_run
run = Path(sys.argv[1])
write_run(run)
print(start_sender(run, sys.argv[2], "vocabox", silence_s=1.0).process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.mlflow
def test_the_sender_outlives_a_killed_driver_and_ends(tmp_path: Path) -> None:
    run, uri = tmp_path / "runs" / "joint-1", default_uri(tmp_path)
    root = Path(__file__).parents[2]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(run), uri], stdout=subprocess.PIPE, cwd=root
    )
    assert driver.stdout is not None
    pid = int(driver.stdout.readline())
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    until = time.monotonic() + 90
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.2)
    assert not Path(f"/proc/{pid}").exists(), "the sender must end by itself"
    assert unsent(run) == 0, (run / "sender.log").read_text()
    found = runs_of(uri, "vocabox")
    assert found["pipeline"].info.status == "KILLED"  # a later driver opens it again
    assert found["stage2"].info.status == "FINISHED"

    finish(run, Events(run / "events.jsonl"))
    assert Sent(run, uri, "vocabox").join() == 0
    assert unsent(run) == 0
    assert runs_of(uri, "vocabox")["pipeline"].info.status == "FINISHED"


APPENDS = """
import json, os, socket, statistics, sys, time
from pathlib import Path
from cluster.journal import Events
from cluster.track import start_sender, read_sent
run, met, watching = Path(sys.argv[1]), set(), False
sys.addaudithook(lambda name, given: met.add(name) if watching else None)
frozen = socket.create_server(("127.0.0.1", 0))  # takes connections, and never answers
events = Events(run / "events.jsonl")
events.append({"event": "run", "run": "joint-1"})
uri = "http://127.0.0.1:%d" % frozen.getsockname()[1]
child = start_sender(run, uri, "x", give_up_s=0.0, answer_s=60)
asks, _ = frozen.accept()  # the sender waits for its answer from here on
took = []
for step in range(400):
    watching, begun = True, time.perf_counter()
    events.append({"event": "metrics", "node": "n", "step": step, "values": {"train/loss": 1.0}})
    took.append(time.perf_counter() - begun)
    watching = False
waits = child.process.poll() is None and not read_sent(run).get("fault")
child.process.kill()
print(json.dumps({"met": sorted(met), "median": statistics.median(took), "waits": waits,
                  "mlflow": "mlflow" in sys.modules, "fault": events.fault}))
"""


def test_an_event_call_is_an_append_and_nothing_else(tmp_path: Path) -> None:
    """While the sender waits for a frozen server the driver only opens, makes and writes files."""
    root = Path(__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-c", APPENDS, str(tmp_path)],
        capture_output=True, text=True, cwd=root, timeout=WAIT_S, check=True,
    )  # fmt: skip
    found = json.loads(told.stdout)
    assert found["waits"], "the sender must be stuck while the events are written"
    assert set(found["met"]) <= {"open", "os.mkdir", "object.__getattr__"}
    assert found["median"] < 0.005
    assert not found["mlflow"]
    assert found["fault"] is None
