"""Jobs on a cluster, by the address of its dashboard: send one, follow its log, stop it.

A run may need several jobs, one after the other: `<run>-1`, `<run>-2`, ... Ray takes each id once,
so that two who send the same run at the same moment start it once.
"""

import asyncio
import contextlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final
from urllib.parse import urlsplit

from cluster.parcel import Parcel
from cluster.reach import ask_dashboard, check_private, knock, look
from cluster.session import EVERYWHERE, AddressError, SessionError

Status = Literal["waiting", "running", "done", "failed", "stopped"]
STATUSES: dict[str, Status] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "SUCCEEDED": "done",
    "FAILED": "failed",
    "STOPPED": "stopped",
}
CHATTY = (  # loggers of Ray's client, which tell users of its packages and sockets
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
YOUNG = "No available agent"  # what a head answers that has just been started
START = "Start the cluster (ray start --head, with ray[default]), or a tunnel to its dashboard."
ENDED = ("done", "failed", "stopped")
GRACE_S = 30  # for a driver that is told to stop; Ray's own 3 s lose a checkpoint
AWAY_S = 60.0  # a head that is silent for so long is given up; the job goes on without us
THERE = {  # what a driver needs there; names only of this list, and no secret
    **EVERYWHERE,
    "RAY_JOB_STOP_WAIT_TIME_S": str(GRACE_S),
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One attempt at a run, as the cluster knows it."""

    run: str
    attempt: int
    status: Status
    code: int | None = None  # exit code of the driver, once it ended by itself
    started: float = 0.0  # seconds since 1970
    ended: float | None = None
    message: str = ""

    @property
    def id(self) -> str:
        """Return the name that Ray knows it by."""
        return f"{self.run}-{self.attempt}"


def parse_url(text: str) -> str:
    """Read the address of a dashboard. Raise AddressError for anything but http(s)://host:port."""
    give = "Give that of the cluster's dashboard, http://HEAD:8265."
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"address: not an address; got {text!r}. {give}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise AddressError(f"address: not an address of a dashboard; got {text!r}. {give}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise AddressError(f"address: holds more than a host and a port; got one. {give}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 8265)}"


def open_jobs(url: str, *, insecure: bool = False) -> "Jobs":
    """Return the jobs of a cluster that lets us in.

    Raises:
        AddressError: no address of a dashboard.
        ClusterError: nothing listens, no Ray, another version, a token is missing or wrong, or the
            cluster asks nobody for one and `insecure` does not say that this is meant.
    """
    url = parse_url(url)
    parts = urlsplit(url)
    knock(parts.hostname or "", parts.port or 0, START)
    if not insecure:
        check_private(url)
    token = look(url, ask_dashboard(url), insecure=insecure)
    headers = {"Authorization": f"Bearer {token.value}"} if token else {}
    from ray.job_submission import JobSubmissionClient

    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with _no_other_address():
        return Jobs(JobSubmissionClient(url, headers=headers), url)


@contextlib.contextmanager
def _no_other_address() -> Generator[None]:
    """Hide the variables that Ray would follow before the address it is given."""
    names = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@final
class Jobs:
    """The runs that were sent to one cluster."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self.url = url

    def every(self) -> list[Job]:
        """Return the last attempt at each run, oldest first; jobs of others are left out."""
        last: dict[str, Job] = {}
        for told in self._client.list_jobs():
            match = re.fullmatch(r"(.+)-([0-9]+)", told.submission_id or "")
            if match is None or (told.metadata or {}).get("vocabox") != match[1]:
                continue
            job = _job(told, match[1], int(match[2]))
            if job.run not in last or last[job.run].attempt < job.attempt:
                last[job.run] = job
        return sorted(last.values(), key=lambda job: job.started)

    def last(self, run: str) -> Job | None:
        """Return the last attempt at a run, or None: it was never sent here."""
        return next((job for job in self.every() if job.run == run), None)

    def submit(
        self, run: str, *, attempt: int, command: str, parcel: Parcel, about: Mapping[str, str]
    ) -> bool:
        """Send one attempt; return False where somebody has sent it already.

        Args:
            run: its id.
            attempt: counts from 1.
            command: of the driver, in the parcel's folder; everybody there can read it.
            parcel: the files it needs.
            about: shown with the job; no secret.
        """
        until = time.monotonic() + AWAY_S
        with tempfile.TemporaryDirectory(prefix="vocabox-") as folder:
            parcel.unpack(Path(folder))
            while True:
                try:
                    self._client.submit_job(
                        entrypoint=command,
                        submission_id=f"{run}-{attempt}",
                        runtime_env={"working_dir": folder, "env_vars": dict(THERE)},
                        metadata={"vocabox": run, **about},
                    )
                except RuntimeError as error:
                    job = self.last(run)
                    if job is not None and job.attempt >= attempt:
                        return False
                    if YOUNG not in str(error) or time.monotonic() > until:
                        raise SessionError(_refused(self.url, error)) from error
                    time.sleep(1.0)
                else:
                    return True

    def follow(self, job: Job, write: Callable[[str], None]) -> Job:
        """Write the log of a job from its beginning until it ends; return how it ended.

        A connection that is cut is made again, and nothing is written twice.

        Raises:
            SessionError: the head was silent for AWAY_S; the job may go on.
        """
        once, silent_since = _Once(write), None
        while True:
            try:
                asyncio.run(self._tail(job.id, once))
                now = self.last(job.run)
                if now is None:
                    raise SessionError(f"{job.id}: is gone from {self.url}. Look at the cluster.")
                silent_since = None
                if now.attempt != job.attempt or now.status in ENDED:
                    return now
            except _lost() as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > AWAY_S:
                    raise SessionError(_refused(self.url, error)) from error
            time.sleep(0.5)

    async def _tail(self, job: str, once: "_Once") -> None:
        once.at = 0  # each connection begins with the first line
        async for part in self._client.tail_job_logs(job):
            once.take(part)

    def text(self, job: Job) -> str:
        """Return what a job has said so far."""
        return self._client.get_job_logs(job.id)

    def stop(self, job: Job) -> bool:
        """Ask a job to stop (SIGTERM, then GRACE_S seconds); return whether it was running."""
        return bool(self._client.stop_job(job.id))


class _Once:
    """Writes a text that comes in parts, and again from its beginning, without saying any twice."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write
        self.at = self.seen = 0  # letters of this connection, and of all

    def take(self, part: str) -> None:
        """Write what of a part is new."""
        self.at += len(part)
        new = self.at - self.seen
        if new > 0:
            self.seen = self.at
            self.write(part[-new:])


def _lost() -> tuple[type[Exception], ...]:
    import aiohttp
    import requests

    return (RuntimeError, ConnectionError, aiohttp.ClientError, requests.RequestException)


def _refused(url: str, error: Exception) -> str:
    said = (str(error).strip() or type(error).__name__).splitlines()
    kept: Sequence[str] = [line for line in said if line.strip()][-1:]
    return (
        f"--address: the cluster at {url} failed to answer; got {''.join(kept)[:300]}. A job that "
        "was sent goes on; look with: vocabox status --address URL."
    )


def _job(told: Any, run: str, attempt: int) -> Job:
    return Job(
        run=run,
        attempt=attempt,
        status=STATUSES.get(str(getattr(told.status, "value", told.status)), "running"),
        code=told.driver_exit_code,
        started=(told.start_time or 0) / 1000,
        ended=told.end_time / 1000 if told.end_time else None,
        message=told.message or "",
    )
