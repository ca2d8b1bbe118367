"""Connect to a cluster, or start a small one on this machine that nobody else can reach.

Ray reads much of its behaviour from the environment when it is imported, so `prepare` comes first.
What may listen beyond loopback is decided here for Ray, and in `rendezvous` for Train.
"""

import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

EVERYWHERE = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # Train must not move a worker: relative paths would break
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "180",  # 60 is too short on a loaded machine
    "RAY_AIR_NEW_OUTPUT": "0",
}
LAPTOP = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # the pace at which start and end are noticed
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # nothing preempts a laptop; one process less
    "RAY_TRAIN_METRICS_ENABLED": "0",  # nobody scrapes them here
}
PRIVATE = {  # whatever the user has set
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # every socket binds to 127.0.0.1
    "RAY_AUTH_MODE": "token",  # and who has no token is sent away
}
OBJECTS_BYTES = 256 * 2**20  # results are small: bulk travels through the store
SOCKET_ROOM = 40  # characters a folder may have: a socket's path has 107, Ray adds some 60

Say = Callable[[str], None]


class AddressError(ValueError):
    """An address that cannot be one, before anything was tried."""


class SessionError(RuntimeError):
    """Ray did not start, or nothing answers at the address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A connection that is open: where, and how much there is."""

    address: str
    cpus: float
    gpus: float
    machines: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where to run: a cluster of our own, one found by Ray, or one at host:port."""

    kind: Literal["local", "auto", "cluster"]
    host: str = ""
    port: int = 0


def parse_address(text: str) -> Address:
    """Read an address: `local`, `auto` or `host:port`. Raise AddressError for anything else."""
    give = "Give local, auto, or host:port of a cluster's head (port 6379 unless it was changed)."
    if text in ("local", "auto"):
        return Address(kind=text)
    if text.startswith("ray://"):
        raise AddressError(f"address: a client proxy cannot run a pipeline; got {text!r}. {give}")
    match = re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})", text)
    if match is None:
        raise AddressError(f"address: not an address; got {text!r}. {give}")
    if not 0 < int(match[2]) < 65536:
        raise AddressError(f"address: a port is between 1 and 65535; got {text!r}. {give}")
    return Address(kind="cluster", host=match[1].strip("[]"), port=int(match[2]))


def prepare(address: Address) -> None:
    """Set what Ray reads at import. What the user has set stays, except what keeps us private."""
    for name, value in EVERYWHERE.items():
        os.environ.setdefault(name, value)
    if address.kind != "local":
        return
    for name, value in LAPTOP.items():
        os.environ.setdefault(name, value)
    os.environ.update(PRIVATE)
    # Ray's own token would go to a file that everybody may read; ours stays in memory.
    if not os.environ.get("RAY_AUTH_TOKEN"):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    here = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    if here[0] not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(here)  # workers find the packages


@contextlib.contextmanager
def open_session(
    address: str = "local", *, cpus: int | None = None, say: Say | None = None
) -> Generator[Session]:
    """Open a connection and close it at the end; a cluster of our own goes away with it.

    Args:
        address: `local`, `auto` or `host:port`.
        cpus: how many CPUs a local cluster has; None: those of this process.
        say: told in one sentence when a slow start is tried a second time.

    Raises:
        AddressError: the address is malformed; nothing was tried.
        SessionError: nothing listens there, or Ray did not start twice.
    """
    where = parse_address(address)
    prepare(where)
    if where.kind == "cluster":
        _knock(where)
    import ray
    from ray._private import ray_constants

    if where.kind == "local":  # again, in case Ray was imported before it could be told
        ray_constants.ENABLE_RAY_CLUSTER = False

    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    folder = Path(tempfile.mkdtemp(prefix="vocabox-", dir=_short_folder()))
    try:
        if where.kind == "local":
            _start(folder, cpus=cpus or len(os.sched_getaffinity(0)), say=say or _quiet)
        else:
            _connect(where)
        _hush()
        _put_back(handlers)  # Ray's own would exit the process before a run can be closed
        yield _session(address)
    finally:
        ray.shutdown()
        _put_back(handlers)
        shutil.rmtree(folder, ignore_errors=True)


def _quiet(_: str) -> None:
    return


def _short_folder() -> str:
    usual = tempfile.gettempdir()
    return usual if len(usual) <= SOCKET_ROOM or sys.platform == "win32" else "/tmp"  # noqa: S108 - a private folder is made in it


def _hush() -> None:
    """Keep Ray's messages off stdout, which a program may read; failures say what happened."""
    from ray._private import worker

    worker._worker_logs_enabled = False


def _put_back(handlers: dict[signal.Signals, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _session(address: str) -> Session:
    import ray

    total = ray.cluster_resources()
    machines = sum(bool(node["Alive"]) for node in ray.nodes())
    return Session(
        address=address, cpus=total.get("CPU", 0), gpus=total.get("GPU", 0), machines=machines
    )


def _start(folder: Path, *, cpus: int, say: Say) -> None:
    """Start a cluster here; once more if the first start was slow (Ray gives up after 30 s)."""
    import ray

    begun = time.monotonic()
    for attempt in (1, 2):
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=OBJECTS_BYTES,
                _temp_dir=str(folder / str(attempt)),
            )
        except Exception as error:
            ray.shutdown()
            took, load = time.monotonic() - begun, os.getloadavg()[0]
            busy = f"the load of this machine is {load:.0f} on {os.cpu_count()} CPUs"
            if attempt == 1:
                say(f"Ray did not start within {took:.0f} s ({busy}). Trying once more.")
                continue
            raise SessionError(
                f"address: Ray did not start in two attempts, {took:.0f} s; {busy}; got "
                f"{type(error).__name__}: {error}. Try again when the machine is quieter, or run "
                f"in this process with run_on.local."
            ) from error
        return


def _knock(where: Address) -> None:
    begun = time.monotonic()
    try:
        socket.create_connection((where.host, where.port), timeout=5).close()
    except OSError as error:
        took = time.monotonic() - begun
        raise SessionError(
            f"address: nothing listens at {where.host}:{where.port}; got {error} after "
            f"{took:.1f} s. Start the cluster (ray start --head), or leave --address out to run "
            f"here."
        ) from error


def _connect(where: Address) -> None:
    import ray

    target = f"{where.host}:{where.port}" if where.kind == "cluster" else "auto"
    try:
        ray.init(address=target, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        if where.kind == "auto":
            what = "no cluster was found on this machine"
            do = "Start one (ray start --head), set RAY_ADDRESS, or leave --address out."
        else:
            what = f"the cluster at {target} did not let us in"
            do = "Check that Ray, Python and the token are the same on both sides."
        said = (str(error).strip() or "no words").splitlines()[0]
        raise SessionError(f"address: {what}; got {type(error).__name__}: {said}. {do}") from error
