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
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cluster.reach import ClusterError, ask_head, knock, look

EVERYWHERE = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # Train must not move a worker: relative paths would break
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "180",  # 60 is too short on a loaded machine
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",  # a patch of Python changes nothing here
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

HERE = "Start the cluster (ray start --head), or leave --address out to run here."

Say = Callable[[str], None]


class AddressError(ValueError):
    """An address that cannot be one, before anything was tried."""


class SessionError(RuntimeError):
    """Ray did not start, or it let us in and failed then (exit 7)."""


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


def reach(address: str, *, insecure: bool = False) -> None:
    """Ask a cluster whether it would take us in, before anything is written or started.

    Raises:
        AddressError: the address is malformed.
        ClusterError: nothing listens there, it is open to all, token, versions.
    """
    where = parse_address(address)
    if where.kind == "local":
        return
    prepare(where)
    host, port = (where.host, where.port) if where.kind == "cluster" else _nearby()
    knock(host, port, HERE)
    look(f"{host}:{port}", ask_head(host, port), insecure=insecure)


@contextlib.contextmanager
def open_session(
    address: str = "local",
    *,
    cpus: int | None = None,
    insecure: bool = False,
    say: Say | None = None,
) -> Generator[Session]:
    """Open a connection and close it at the end; a cluster of our own goes away with it.

    Args:
        address: `local`, `auto` or `host:port`.
        cpus: how many CPUs a local cluster has; None: those of this process.
        insecure: an existing cluster may be one that asks nobody for a token.
        say: told in one sentence when a slow start is tried a second time.

    Raises:
        AddressError: the address is malformed; nothing was tried.
        ClusterError: the cluster cannot be used: nothing listens, token, versions.
        SessionError: Ray did not start twice, or did not take us in the end.
    """
    where = parse_address(address)
    prepare(where)
    if where.kind == "cluster":
        knock(where.host, where.port, HERE)
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
            _connect(where, insecure=insecure)
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


def _connect(where: Address, *, insecure: bool) -> None:
    import ray
    from ray._private import ray_constants
    from ray._private.authentication import authentication_token_setup as tokens

    host, port = (where.host, where.port) if where.kind == "cluster" else _nearby()
    target = f"{host}:{port}"
    if _hides(host, port):
        ray_constants.ENABLE_RAY_CLUSTER = False  # else Ray would ask at this machine's outer name
    if look(target, ask_head(host, port), insecure=insecure) is not None:
        tokens._enable_token_auth()  # the cluster asks for it, whatever this user has set
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ  # a submitted job has said it already
    surroundings = None if in_job else {"env_vars": dict(EVERYWHERE)}
    try:
        ray.init(
            address=target,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=surroundings,
        )
    except Exception as error:
        said = (str(error).strip() or "no words").splitlines()[0]
        raise SessionError(
            f"address: the cluster at {target} did not let us in; got {type(error).__name__}: "
            f"{said}. Look at the head's log (gcs_server.out), or start it anew."
        ) from error


def _hides(host: str, port: int) -> bool:
    """Say whether a cluster of this machine listens on loopback only, as ours do."""
    from ray._private.services import resolve_ip_for_localhost

    outer = resolve_ip_for_localhost(host)
    if outer == host:
        return False
    try:
        knock(outer, port, HERE)
    except ClusterError:
        return True
    return False


def _nearby() -> tuple[str, int]:
    """Find the cluster that RAY_ADDRESS names, or that was started on this machine."""
    from ray._private.services import (
        canonicalize_bootstrap_address_or_die,
        get_ray_address_from_environment,
    )

    try:
        found = get_ray_address_from_environment("auto", None)
        if found in (None, "auto"):
            found = canonicalize_bootstrap_address_or_die("auto")
    except (ConnectionError, ValueError) as error:
        said = (str(error).strip() or "no words").splitlines()[0]
        raise ClusterError(
            f"--address: auto finds no cluster on this machine; got '{said}'. Start one (ray start "
            "--head), set RAY_ADDRESS, or leave --address out to run here."
        ) from error
    host, _, port = found.rpartition(":")
    return host.strip("[]"), int(port)
