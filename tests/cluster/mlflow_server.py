"""A real MLflow server on loopback, a proxy in front of it that misbehaves, and what it holds."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cluster.track import SENDER_ENVIRONMENT

UP_S = 120.0
SLOW_S = 2.0  # an answer, of a door that is slow


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """`mlflow server` with its database and its files in one folder; each start finds them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--workers",
            "1",
        ]
        places = ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        places += ["--artifacts-destination", str(self.folder / "files")]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *places],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={
                    **os.environ,
                    **SENDER_ENVIRONMENT,
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                },
                start_new_session=True,
            )
        until = time.monotonic() + UP_S
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return
            except OSError:
                log = (self.folder / "server.log").read_text()
                assert self.process.poll() is None, log
                assert time.monotonic() < until, log
                time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Send a signal to the server and to its worker."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


class Proxy:
    """Hands requests on to a server, in one of the `ways`; counts what is in each batch."""

    def __init__(self, server: Server, port: int = 0) -> None:
        proxy = self
        self.server, self.way, self.delay_s, self.only = server, "pass", 0.0, ""
        self.met: dict[str, int] = {}  # way -> requests
        self.most = {"metrics": 0, "params": 0, "tags": 0}  # in one request
        self.thawed = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for its own head

            def handle_any(self) -> None:
                proxy.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                del format, args

        self.listener = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.listener.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self.listener.server_address[1]}"
        threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True).start()

    def handle(self, asked: BaseHTTPRequestHandler) -> None:
        way = self.way if self.only in asked.path else "pass"
        self.met[way] = self.met.get(way, 0) + 1
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        if asked.path.endswith("/log-batch"):
            for name, values in json.loads(body).items():
                if name in self.most:
                    self.most[name] = max(self.most[name], len(values))
        if way == "500":
            self._answer(asked, 500, b'{"error_code": "INTERNAL_ERROR", "message": "on purpose"}')
            return
        if way == "frozen":  # carried out when it thaws, long after the client has gone
            self.thawed.wait(60)
        status, answer = self._hand_on(asked, body)
        if way == "slow":
            time.sleep(self.delay_s)
        if way == "cut":  # carried out, and the answer is lost
            asked.close_connection = True
            asked.connection.shutdown(socket.SHUT_RDWR)
            return
        try:
            self._answer(asked, status, answer)
        except OSError:
            asked.close_connection = True  # the client has gone

    def _hand_on(self, asked: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        there = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        headers = {
            k: v for k, v in asked.headers.items() if k.lower() not in ("host", "connection")
        }
        try:
            there.request(asked.command, asked.path, body, headers)
            answer = there.getresponse()
            return answer.status, answer.read()
        finally:
            there.close()

    def _answer(self, asked: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        asked.send_response(status)
        asked.send_header("Content-Type", "application/json")
        asked.send_header("Content-Length", str(len(body)))
        asked.end_headers()
        asked.wfile.write(body)

    def close(self) -> None:
        self.thawed.set()
        self.listener.shutdown()
        self.listener.server_close()


class Door:
    """A proxy in a process of its own, which can be killed; it costs its user's process nothing."""

    def __init__(self, server: Server, way: str) -> None:
        self.server, self.way = server, way
        self.process: subprocess.Popen[str] | None = None

    def open(self) -> str:
        """Start it; return its address."""
        command = [sys.executable, "-m", "tests.cluster.mlflow_server", str(self.server.port)]
        self.process = subprocess.Popen(
            [*command, self.way],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # who hung up
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self.process.stdout is not None
        uri = self.process.stdout.readline().strip()
        assert uri, command
        return uri

    def kill(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


def held(uri: str, experiment: str) -> dict[str, Any]:
    """Return all that MLflow holds of an experiment, by node, without the ids it made up."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    place = client.get_experiment_by_name(experiment)
    assert place is not None
    runs = client.search_runs([place.experiment_id])
    names = {run.info.run_id: run.data.tags.get("dag.node", "pipeline") for run in runs}
    assert len(set(names.values())) == len(runs), f"a run is there twice: {sorted(names.values())}"
    return {names[run.info.run_id]: _run(client, run, names) for run in runs}


def _run(client: Any, run: Any, names: dict[str, str]) -> dict[str, Any]:
    tags = dict(run.data.tags)
    if "mlflow.parentRunId" in tags:
        tags["mlflow.parentRunId"] = names[tags["mlflow.parentRunId"]]
    history = {
        key: [
            (m.step, m.timestamp, m.value) for m in client.get_metric_history(run.info.run_id, key)
        ]
        for key in sorted(run.data.metrics)
    }
    info = run.info
    return {
        "how": (info.run_name, info.status, info.start_time, info.end_time),
        "params": dict(run.data.params),
        "tags": tags,
        "latest": dict(run.data.metrics),
        "history": {key: sorted(points) for key, points in history.items()},
        "files": sorted((f.path, f.file_size) for f in client.list_artifacts(info.run_id)),
    }


def main(port: str, way: str) -> None:
    """Stand before the server at a port, in one way, until killed."""
    server = Server(Path())
    server.port = int(port)
    proxy = Proxy(server)
    proxy.way, proxy.delay_s = way, SLOW_S
    print(proxy.uri, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
