"""One trial of a search: a run of the graph with other settings, as a command of its own.

It meets the other trials in the store: what several share is computed by whoever comes first. When
the process that started it is gone, it is told to stop, and keeps what it has.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cluster.failures import EXIT
from cluster.numbered import Numbered
from cluster.searchers import LostError, Point, spelled, spelled_value
from cluster.storage import open_store
from cluster.trials import Report
from pipelines.runs.spelled import changed

SEARCHES = "searches"
PR_SET_PDEATHSIG = 1  # of prctl: what a child is sent when its parent ends
TAIL = 20  # lines of a trial's log that are looked at for a reason


LASTING = ("failed", "bad_input", "numerical")  # ends that are the point's own, not the machine's


class TrialError(RuntimeError):
    """A trial's run did not end well, and would not another time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialJob:
    """What all trials of a search have in common; plain values, for it crosses processes."""

    search: str  # its id
    token: str  # by which tracking finds the search's own run
    trains: str  # the last training node: its numbers tell how a trial goes on
    config: str
    root: str  # the folder that the page's paths start from
    settings: tuple[str, ...]  # KEY=VALUE, as they were given
    store: str
    address: str
    insecure: bool
    folder: str  # where the command was given: relative paths start there


def run_trial(point: Point, report: Report, *, job: TrialJob) -> Mapping[str, float]:
    """Run the graph at a point; return its metrics.

    Raises:
        TrialError: the run did not end well; says why.
        LostError: it could not be carried out, or was stopped.
    """
    number = _number(job, point)
    log = open_store(job.store, mode="join").home / SEARCHES / job.search / f"trial-{number}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as errors:
        process = subprocess.Popen(
            command(job, point, number=number), stdout=subprocess.PIPE, stderr=errors,
            stdin=subprocess.DEVNULL, cwd=job.folder, text=True, start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
        )  # fmt: skip
        assert process.stdout is not None, "a pipe was asked for"  # noqa: S101
        finished: dict[str, Any] = {}
        for event in _events(process.stdout):
            if event.get("event") == "metrics" and event.get("node") == job.trains:
                report({"step": event["step"], **event["values"]})
            elif event.get("event") == "node" and event["state"] == "running":
                report({"node": event["node"]})
            elif event.get("event") == "finished":
                finished = event
        code = process.wait()
    if finished.get("status") != "done":
        lines = [line.strip() for line in log.read_text().splitlines()[-TAIL:] if line.strip()]
        why = finished.get("reason") or " ".join(lines) or f"exit code {code}"
        lasting = code in [EXIT[name] for name in LASTING]
        raise (TrialError if lasting else LostError)(f"{why} See {log}.")
    return {n: v for n, v in finished["metrics"].items() if isinstance(v, int | float)}


def command(job: TrialJob, point: Point, *, number: int) -> list[str]:
    """Return the command of a trial: `vocabox run` with the point's settings."""
    settings = job.settings
    for name, value in point.items():
        settings = changed(settings, f"{name}={spelled_value(value)}")
    where = ["--store", job.store, "--address", job.address, "--paths-from", job.root]
    where += ["--insecure-cluster"] if job.insecure else []
    return [
        sys.executable, "-m", "pipelines.cli.entry", "run", job.config, *settings, *where, "--json",
        "--trial-of", job.token, "--trial", str(number),
    ]  # fmt: skip


def _number(job: TrialJob, point: Point) -> int:
    """Return a trial's number: the order in which points were begun, whoever began them."""
    begun = Numbered(open_store(job.store, mode="join"), f"{SEARCHES}/{job.search}/begun")
    number = 1
    while True:
        record = begun.read(number)
        if record is None:
            if begun.create(number, {"point": spelled(point)}):
                return number
        elif record["point"] == spelled(point):
            return number
        else:
            number += 1


def _events(lines: IO[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # not ours: a library's
        if isinstance(event, dict):
            yield event


def _end_with_parent() -> None:
    """Ask to be told to stop when the parent is gone; runs in the child before the command."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:  # it was gone before we could ask
        os._exit(1)


def home_of(store: str, search: str) -> Path:
    """Return this machine's folder of a search."""
    return open_store(store).home / SEARCHES / search
