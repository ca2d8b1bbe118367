"""Five faults of a real server, and a lost answer: after the replay MLflow holds exactly the run.

What it holds is compared with an undisturbed run of the same event file. One server serves all
tests.
"""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster import sender as sending
from cluster import track
from cluster.journal import Events
from cluster.mlflow_door import TrackingError, look
from cluster.track import SENDER_ENVIRONMENT, read_sent, refusals, start_sender, unsent
from tests.cluster import sockets
from tests.cluster.following import WAIT_S, Sent, append, until
from tests.cluster.mlflow_server import Proxy, Server, free_port, held
from tests.pipelines.runs import tiny

pytestmark = pytest.mark.mlflow
UNDISTURBED = "undisturbed"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def proxy(live: Server) -> Iterator[Proxy]:
    made = Proxy(live)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let senders in this process look often, and drivers leave soon where no server answers."""
    for name, value in {**SENDER_ENVIRONMENT, "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}.items():
        monkeypatch.setenv(name, value)
    for name, seconds in {"LOOK_S": 0.05, "SEND_S": 0.1, "SETTLE_S": 0.2}.items():
        monkeypatch.setattr(sending, name, seconds)
    monkeypatch.setattr(track, "AWAY_S", 0.5)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return the events of one run: more parameters and numbers than one request takes."""
    folder = tmp_path_factory.mktemp("events")
    events = Events(folder / "events.jsonl")
    (folder / "report.html").write_text("<p>report</p>")
    config = {f"stage2.setting_{i}": i for i in range(130)}
    events.append({"event": "run", "run": "joint-1", "pipeline": "joint", "config": config,
                   "config_text": "recipe: joint\n"})  # fmt: skip
    events.append({"event": "node", "node": "pack", "state": "cached", "key": "aa"})
    events.append({"event": "node", "node": "stage2", "state": "running", "key": "bb"})
    for step in range(1, 141):
        values = {f"train/loss_{i}": i + 1 / step for i in range(8)}
        events.append({"event": "metrics", "node": "stage2", "step": step, "values": values})
        if step == 70:  # another driver takes the run up
            events.append({"event": "run", "run": "joint-1", "pipeline": "joint", "config": config})
            events.append({"event": "node", "node": "pack", "state": "cached", "key": "aa"})
            events.append({"event": "node", "node": "stage2", "state": "running", "key": "bb"})
            for again in (64, 66, 68, 70):  # what came after the last checkpoint
                values = {f"train/loss_{i}": i + 1 / again for i in range(8)}
                said = {"event": "metrics", "node": "stage2", "step": again, "values": values}
                events.append({**said, "time": time.time() + 1})
    events.append({"event": "node", "node": "stage2", "state": "done", "key": "bb", "seconds": 4.5})
    error = {"text": "evaluate: no room."}
    events.append({"event": "node", "node": "evaluate", "state": "failed", "error": error})
    events.append({"event": "finished", "run": "joint-1", "status": "failed", "reason": "no room",
                   "report": folder / "report.html", "metrics": {"coco/AP": 0.3}})  # fmt: skip
    return events.path.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def expected(live: Server, lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Any:
    run = tmp_path_factory.mktemp("store") / "runs" / "joint-1"
    append(run, lines)
    assert Sent(run, live.uri, UNDISTURBED).join() == 0
    found = held(live.uri, UNDISTURBED)
    assert set(found) == {"pipeline", "pack", "stage2", "evaluate"}
    assert len(found["pipeline"]["params"]) == 130
    assert [len(points) for points in found["stage2"]["history"].values()] == [1] + [140] * 8
    assert found["pipeline"]["how"][1] == found["evaluate"]["how"][1] == "FAILED"
    assert {name for name, _ in found["pipeline"]["files"]} == {"config.yaml", "report.html"}
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "joint-1"


def test_dead_at_the_start_and_started_later(
    live: Server, lines: list[bytes], run: Path, expected: Any
) -> None:
    """Nobody listens at an address; then the real server does, by a door that is opened there."""
    append(run, lines[:40])
    port = free_port()
    child = start_sender(run, f"http://127.0.0.1:{port}", "dead", give_up_s=WAIT_S)  # a real child
    begun = time.monotonic()
    append(run, lines[40:])
    until(lambda: read_sent(run).get("fault"))
    assert child.close(patience_s=WAIT_S) == len(lines)
    assert time.monotonic() - begun < 45, "nobody waits for a server that is away"
    assert "Connection refused" in str(child.fault)
    assert "goes on" in str(child.fault)
    assert child.process is not None
    proxy = Proxy(live, port)
    try:
        assert child.process.wait(WAIT_S) == 0, (run / "sender.log").read_text()
    finally:
        proxy.close()
    assert unsent(run) == 0
    assert held(live.uri, "dead") == expected


def test_frozen(
    proxy: Proxy, lines: list[bytes], run: Path, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests to create the run are carried out late; then the real server is stopped."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    append(run, lines[:1])
    proxy.way, proxy.only = "frozen", "/runs/create"
    sent = Sent(run, proxy.uri, "frozen")
    until(lambda: sent.follower.failures >= 2)
    proxy.way = "pass"
    proxy.thawed.set()
    append(run, lines[1:60])
    until(lambda: read_sent(run).get("offset", 0) > len(lines[0]))
    proxy.server.signal(signal.SIGSTOP)
    append(run, lines[60:])
    until(lambda: "imed" in str(read_sent(run).get("fault")))
    proxy.server.signal(signal.SIGCONT)
    assert sent.join() == 0
    assert held(proxy.uri, "frozen") == expected


def test_killed_in_the_middle_and_restarted(
    live: Server, lines: list[bytes], run: Path, expected: Any
) -> None:
    append(run, lines[:60])
    sent = Sent(run, live.uri, "killed")
    until(lambda: read_sent(run).get("offset"))
    live.kill()
    append(run, lines[60:])
    until(lambda: sent.follower.failures >= 2)
    live.start()
    assert sent.join() == 0
    assert held(live.uri, "killed") == expected


def test_slow(proxy: Proxy, lines: list[bytes], run: Path, expected: Any) -> None:
    append(run, lines)
    proxy.way, proxy.delay_s = "slow", 0.08
    sent = Sent(run, proxy.uri, "slow")
    until(lambda: read_sent(run).get("offset"))
    proxy.way = "pass"
    assert sent.join() == 0
    assert proxy.met["slow"] > 5
    assert proxy.most == {"metrics": 1000, "params": 100, "tags": 0}
    assert held(proxy.uri, "slow") == expected


@pytest.mark.parametrize("way", ["500", "cut"])
def test_answers_that_are_500_or_lost(
    way: str, proxy: Proxy, lines: list[bytes], run: Path, expected: Any
) -> None:
    append(run, lines[:40])
    proxy.way = way
    sent = Sent(run, proxy.uri, way)
    until(lambda: sent.follower.failures >= 2)
    for part in range(3):  # it comes and goes
        proxy.way = "pass"
        until(lambda: not read_sent(run).get("fault"))
        proxy.way, before = way, proxy.met[way]
        append(run, lines[40 + 40 * part : 80 + 40 * part])
        until(lambda before=before: proxy.met[way] > before)
    proxy.way = "pass"
    assert lines[160:] == []
    assert sent.join() == 0
    assert held(proxy.uri, way) == expected


def test_a_server_that_lost_its_database_gets_the_whole_run_again(
    live: Server, lines: list[bytes], run: Path, expected: Any
) -> None:
    append(run, lines[:60])
    sent = Sent(run, live.uri, "lost")
    until(lambda: read_sent(run).get("offset"))
    with closing(sqlite3.connect(live.folder / "server.db")) as database:
        place = "(SELECT experiment_id FROM experiments WHERE name = 'lost')"
        database.execute(f"DELETE FROM runs WHERE experiment_id = {place}")
        database.commit()
    append(run, lines[60:])
    assert sent.join() == 0
    assert held(live.uri, "lost") == expected


def test_a_value_that_is_refused_takes_no_other_with_it(live: Server, run: Path) -> None:
    events = Events(run / "events.jsonl")
    config = {f"a{i}": i for i in range(90)} | {"b@c": 1, "b_c": 2}  # one name in MLflow
    events.append({"event": "run", "run": "joint-1", "config": config})
    events.append({"event": "finished", "status": "done", "metrics": {"coco/AP": 0.5}})
    assert Sent(run, live.uri, "refused").join() == 0
    found = held(live.uri, "refused")["pipeline"]
    assert found["params"] == {f"a{i}": str(i) for i in range(90)} | {"b_c": "1"}
    assert found["latest"] == {"coco/AP": 0.5}
    assert "MLflow refused 1 values" in str(refusals(run))


def test_a_new_driver_takes_over_from_a_sender_without_one(run: Path) -> None:
    Events(run / "events.jsonl").append({"event": "run", "run": "joint-1"})
    old = Sent(run, f"http://127.0.0.1:{free_port()}", "x")
    old.follower.terms = replace(old.follower.terms, driver=0)
    until(lambda: old.follower.failures >= 2)
    with (run / "sender.lock").open("w") as lock:
        assert sending._hold(lock, patience_s=WAIT_S)
        assert old.join() == 0


def test_what_a_place_for_tracking_says_before_a_run(live: Server, proxy: Proxy) -> None:
    from mlflow.tracking import MlflowClient

    assert look(live.uri, "never/seen") is None
    assert "refused" in str(look(f"http://127.0.0.1:{free_port()}", "x"))
    proxy.way = "500"
    assert look(proxy.uri, "x") == "it answers 500"
    proxy.way = "frozen"
    begun = time.monotonic()
    assert "no answer in 0.5 s" in str(look(proxy.uri, "x", patience_s=0.5))
    assert time.monotonic() - begun < 5
    client = MlflowClient(tracking_uri=live.uri)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(TrackingError, match="it was deleted in MLflow; got 'gone'"):
        look(live.uri, "gone")
    with pytest.raises(TrackingError, match="no MLflow server"):
        look(f"{live.uri}/health", "x")


def test_the_next_run_of_a_config_sends_what_the_last_one_could_not(
    live: Server, tmp_path: Path
) -> None:
    port, config, store = free_port(), tiny.page(tmp_path), tmp_path / "store"
    uri = f"http://127.0.0.1:{port}"
    settings = ("tracking.kind=mlflow", f"tracking.uri={uri}", "tracking.experiment=next")
    ended, shown = tiny.run(config, *settings, store=store)
    notes = [str(event["text"]) for event in shown if event["event"] == "note"]
    assert ended.status == "done"
    assert ended.unsent > 20
    assert notes[1].startswith(f"tracking.uri: cannot be reached; got {uri} (")
    assert notes[-1].startswith(f"tracking: {ended.unsent} events are not sent to {uri}; got Conn")
    run = store / "runs" / ended.run
    for pid in sockets.family(os.getpid()):
        if str(run) in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGKILL)  # the machine was switched off
    said = (run / "events.jsonl").read_bytes()
    proxy = Proxy(live, port)
    again, shown = tiny.run(config, *settings, store=store)
    proxy.close()
    assert {event["state"] for event in shown if event["event"] == "node"} == {"cached"}
    assert (again.run, again.unsent) == (ended.run, 0)
    assert (run / "events.jsonl").read_bytes() == said
    found = held(live.uri, "next")
    assert len(found) == 13
    assert found["pipeline"]["latest"]["coco/AP"] == ended.metrics["coco/AP"]
    assert {how["how"][1] for how in found.values()} == {"FINISHED"}
    quiet, shown = tiny.run(config, *settings, store=store)  # nothing waits: nothing is tried
    assert quiet.unsent == 0
    (note,) = [str(event["text"]) for event in shown if event["event"] == "note"]
    assert note.startswith(f"tracking.uri: cannot be reached; got {uri} (")
    assert note.endswith("). Nothing waits to be sent there.")

    place = ("tracking.kind=mlflow", f"tracking.uri={live.uri}", "tracking.experiment=new place")
    found_all, shown = tiny.run(config, *place, store=store)  # all is cached, and not there yet
    assert {event["state"] for event in shown if event["event"] == "node"} == {"cached"}
    assert (found_all.unsent, found_all.tracking) == (0, live.uri)
    sent = held(live.uri, "new place")
    assert len(sent) == 13
    assert sent["pipeline"]["latest"]["coco/AP"] == ended.metrics["coco/AP"]
    assert sent["stage2"]["tags"]["dag.cache"] == "hit"
