"""B110 and B111: a place for tracking that is away, and one that would never take the run."""

import json
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.cli.ending import ending
from tests.cluster import sockets
from tests.cluster.mlflow_server import free_port
from tests.pipelines.cli.small import Ended, call
from tests.pipelines.runs.tiny import PAGE
from tests.pipelines.settings.golden import same

Refused = Callable[..., None]
KIND = "tracking.kind=mlflow"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "page.yaml"
    place.write_text(PAGE)
    return place


@pytest.fixture
def refused(page: Path, tmp_path: Path, write_golden: bool) -> Refused:
    """Return a check: these settings end a run and a check with 2, and nothing is written."""

    def check(*lines: tuple[str, ...], golden: str, port: int = 0) -> None:
        before = sorted(tmp_path.rglob("*"))
        said: list[str] = []
        for line in lines:
            given = (KIND, *line)
            result = call("run", str(page), *given, "--executor", "inline")
            assert result.exit_code == 2, f"{line}: {result.output}"
            assert result.stdout == ""
            said.append(f"$ vocabox run page.yaml {' '.join(given)}\n{result.stderr}")
        assert call("check", str(page), KIND, *lines[0]).exit_code == 2
        assert sorted(tmp_path.rglob("*")) == before
        text = "".join(said).replace("x" * 501, "x..x")
        text = text.replace(f":{port}", ":PORT") if port else text
        same(text, as_file=f"errors/{golden}.txt", folder=tmp_path, write=write_golden)

    return check


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a real database of MLflow with an experiment that was deleted."""
    from mlflow.tracking import MlflowClient

    place = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client = MlflowClient(tracking_uri=f"sqlite:///{place}")
    client.delete_experiment(client.create_experiment("old", place.parent.as_uri()))
    return place


class Answers(BaseHTTPRequestHandler):
    """Somebody else's server, and one of MLflow's that knows a deleted experiment."""

    def do_GET(self) -> None:
        mlflow = b'{"experiment": {"name": "old", "lifecycle_stage": "deleted"}}'
        body = mlflow if self.path.startswith("/mlflow/") else b"<p>It works</p>"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def answering() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.mlflow
def test_B110_a_server_that_is_away(
    page: Path, tmp_path: Path, write_golden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.track.AWAY_S", 0.2)  # beside the first failed attempt
    port = free_port()
    uri = f"tracking.uri=http://127.0.0.1:{port}"
    how = ("--executor", "inline", "--until", "draw", "--json")
    result = call("run", str(page), KIND, uri, *how)
    for pid in sockets.family(os.getpid()):
        if str(tmp_path) in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGKILL)  # it would go on for ten minutes
    assert result.exit_code == 0, result.output
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["status"], last["unsent"]) == ("done", 6)
    shown = ending(
        Ended(tracking="URI", unsent=last["unsent"]), again="", show="", store=".vocabox"
    )
    said = next(line for line in shown if "unsent" in line)
    text = f"{result.stderr}{said}".replace(f":{port}", ":PORT")
    same(text, as_file="errors/B110_a_server_that_is_away.txt", folder=tmp_path, write=write_golden)
    first = (tmp_path / ".vocabox/runs/joint-1/events.jsonl").read_text().splitlines()[2]
    assert "cannot be reached" in first, "said at the start, before any node"


def test_B111_words_that_name_no_place(refused: Refused) -> None:
    refused(
        ("tracking.uri=file:./mlruns",),
        ("tracking.uri=mlruns",),
        ("tracking.uri=ftp://host/x",),
        ("tracking.uri=sqlite://",),
        ("tracking.uri=http://host:99999",),
        ("tracking.uri=http://me:secret@host:5000",),
        ("tracking.uri=http://me:secret@host:port",),
        ("tracking.uri=ftp://me:secret@host/x",),
        ("tracking.uri=postgresql://host/db?user=me&password=secret",),
        ("tracking.experiment=''",),
        (f"tracking.experiment={'x' * 501}",),
        ("tracking.uri=mlruns", "tracking.experiment=''", "run_on.nothing.cpus=1"),
        golden="B111_words_that_name_no_place",
    )


@pytest.mark.mlflow
def test_B111_a_database_that_takes_no_run(
    refused: Refused, database: Path, tmp_path: Path
) -> None:
    shutil.copy(database, tmp_path / "mlflow.db")
    shutil.copy(database, tmp_path / "newer.db")
    with closing(sqlite3.connect(tmp_path / "newer.db")) as newer:
        newer.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        newer.commit()
    (tmp_path / "text.db").write_text("no database of anything, and long enough to be sure" * 9)
    (tmp_path / "folder").mkdir()
    refused(
        ("tracking.uri=sqlite:///mlflow.db", "tracking.experiment=old"),
        ("tracking.uri=sqlite:///newer.db",),
        ("tracking.uri=sqlite:///text.db",),
        ("tracking.uri=sqlite:///folder",),
        ("tracking.uri=sqlite:///text.db/below.db",),
        golden="B111_a_database_that_takes_no_run",
    )


@pytest.mark.mlflow
def test_B111_the_database_of_the_store_itself(page: Path, database: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    draw = ("--store", str(store), "--executor", "inline", "--until", "draw")
    assert call("run", str(page), *draw).exit_code == 0
    shutil.copy(database, store / "mlflow.db")
    how = ("--store", str(store), "--executor", "inline")
    result = call("run", str(page), KIND, "tracking.experiment=old", *how)
    assert result.exit_code == 2
    assert "it was deleted in MLflow; got 'old'" in result.stderr
    assert [place.name for place in (store / "runs").iterdir()] == ["joint-1"]


def test_B111_a_server_that_takes_no_run(refused: Refused, answering: int) -> None:
    refused(
        (f"tracking.uri=http://127.0.0.1:{answering}/mlflow", "tracking.experiment=old"),
        (f"tracking.uri=http://127.0.0.1:{answering}",),
        golden="B111_a_server_that_takes_no_run",
        port=answering,
    )
