"""Several raylets on this machine, on loopback and behind a token, in a process of their own.

`python -m tests.cluster.small_cluster FOLDER WORKERS CPUS` prints one JSON line and obeys lines,
each with one line: `kill`, kill -9 of the raylet that has most to do, the head left out; `lose`,
and of all that it had started, as when a machine goes; `add`, one more; `busy`, which tells what
is being worked at. A worker may outlive its raylet, and what it was at still counts.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IDLE = ("IDLE", "DashboardAgent", "RuntimeEnvAgent", "Board")  # processes whose loss costs no work
ROOT = Path(__file__).parents[2]
MARK = "VOCABOX_SMALL_CLUSTER"  # in the environment of all that a cluster starts


@dataclass
class SmallCluster:
    """The other end: started here, ended by `close`."""

    process: "subprocess.Popen[str]"
    gcs: str
    url: str
    environment: Mapping[str, str]

    @classmethod
    def start(
        cls, folder: Path, *, token: str | None = "", workers: int = 2, cpus: int = 1
    ) -> "SmallCluster":
        """Start a head without CPUs and `workers` raylets of `cpus` each.

        Args:
            folder: for its logs; its path is short.
            token: that it wants; empty: a new one; None: it is open to all.
            workers: how many raylets beside the head.
            cpus: that each of them says it has.
        """
        private = {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_memory_monitor_refresh_ms": "0",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "3",
            "RAY_health_check_initial_delay_ms": "500",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        plain = {n: v for n, v in os.environ.items() if not n.startswith("RAY_")}
        secret = {"RAY_AUTH_MODE": "disabled"}
        if token is not None:
            secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token or secrets.token_hex(32)}
        environment = plain | private | secret | {MARK: secrets.token_hex(8)}
        for attempt in (1, 2):  # a head gives up after 30 s, which a busy machine may take
            place = folder / str(attempt) / "ray"  # in it Ray notes which cluster is the last,
            place.mkdir(parents=True)
            environment["TMPDIR"] = str(place.parent)  # and looks there: for ours, not another's
            how = [str(place), str(workers), str(cpus)]
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.small_cluster", *how],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                stderr=(place / "err.txt").open("w"), env=environment, start_new_session=True,
            )  # fmt: skip
            assert process.stdout is not None
            if line := process.stdout.readline():
                told = json.loads(line)
                return cls(process, told["gcs"], told["url"], environment)
            cls(process, "", "", environment).close()
        raise RuntimeError((place / "err.txt").read_text()[-2000:])

    def tell(self, word: str) -> Any:
        """Have it do something; return what it answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End all of it: drivers of jobs too, which have sessions of their own, and clients."""
        while found := _marked(self.environment[MARK]):
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def _marked(mark: str) -> list[int]:
    """Return the living processes that were started with this mark in their environment."""
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # what has ended has neither
            if f"{MARK}={mark}".encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
    return found


def _free_port() -> int:
    with socket.socket() as spot:
        spot.bind(("127.0.0.1", 0))
        return int(spot.getsockname()[1])


def _pid(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def _started(parent: int) -> dict[int, str]:
    """Return the processes that one has started, and what each calls itself."""
    found: dict[int, str] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if int((place / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                title = (place / "cmdline").read_bytes().split(b"\0")[0].decode()
                found[int(place.name)] = title
    return found


def _busy(raylet: int) -> list[str]:
    """Return what the workers of a raylet call themselves while they work."""
    names = [title.partition("ray::")[2] for title in _started(raylet).values()]
    return [name for name in names if name and not name.startswith(IDLE)]


def main() -> None:
    """Be the cluster until stdin ends."""
    from ray.cluster_utils import Cluster

    folder, workers, cpus = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    port = _free_port()
    small = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0, "include_dashboard": True, "dashboard_port": port,
            "dashboard_agent_listen_port": _free_port(),  # 52365 may be another Ray's
            "temp_dir": str(folder), **small,
        },
    )  # fmt: skip
    added = 0

    def add() -> Any:
        nonlocal added
        added += 1  # else all would unpack what a job takes along over one another
        return cluster.add_node(num_cpus=cpus, runtime_env_dir_name=f"env{added}", **small)

    nodes = [add() for _ in range(workers)]
    print(json.dumps({"gcs": cluster.address, "url": f"http://127.0.0.1:{port}"}), flush=True)
    for line in sys.stdin:
        begun = time.monotonic()
        if line.strip() == "busy":
            print(json.dumps([one for node in nodes for one in _busy(_pid(node))]), flush=True)
            continue
        if line.strip() in ("kill", "lose"):
            node = max(nodes, key=lambda one: len(_busy(_pid(one))))
            nodes.remove(node)
            pid, lost = _pid(node), _busy(_pid(node))
            below = list(_started(pid)) if line.strip() == "lose" else []
            for each in (pid, *below):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            cluster.worker_nodes.remove(node)
        else:
            nodes.append(add())
            pid, lost = _pid(nodes[-1]), []
        told = {"pid": pid, "lost": lost, "seconds": round(time.monotonic() - begun, 2)}
        print(json.dumps(told), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
