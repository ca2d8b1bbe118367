"""One run on a cluster: send it unless it is there, follow its log, say how it ended."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import click

from pipelines.cli.progress import duration
from pipelines.settings.problems import Problem, SettingsError, nearest, visible

FAILED, LOST, INTERRUPTED, PREEMPTED = 1, 7, 130, 75  # exit codes
Say = Callable[[str], None]


class Sent(Protocol):
    """What is sent, as `pipelines.runs.submission` makes it."""

    run: str
    command: str
    parcel: Any
    store: str


def send(jobs: Any, what: Sent, *, again: bool, say: Say) -> int:
    """Send a run unless it is running or done, follow it, and return its exit code."""
    job = jobs.last(what.run)
    if job is not None and (job.status in ("waiting", "running")):
        say(f"{what.run}: already {job.status} at {jobs.url}.")
    elif job is not None and job.status == "done" and not again:
        say(f"{what.run}: already done at {jobs.url}; --again looks whether something is missing.")
    else:
        attempt = job.attempt + 1 if job is not None else 1
        about = {"store": what.store}
        new = jobs.submit(
            what.run, attempt=attempt, command=what.command, parcel=what.parcel, about=about
        )
        say(f"{what.run}: {'sent' if new else 'already sent'} to {jobs.url}, attempt {attempt}.")
        job = jobs.last(what.run)
    return follow(jobs, job)


def follow(jobs: Any, job: Any) -> int:
    """Write the log of a job until it ends; return its exit code, 130 after Ctrl-C."""
    try:
        ended = jobs.follow(job, _write)
    except KeyboardInterrupt:
        there = f"{job.run} --address {jobs.url}"
        click.echo(
            f"\n{job.run} goes on without this terminal.\n  vocabox logs {there} -f\n"
            f"  vocabox status {there}\n  vocabox stop {there}",
            err=True,
        )
        return INTERRUPTED
    click.echo(standing_line(ended), err=ended.status != "done")
    return code_of(ended)


def code_of(job: Any) -> int:
    """Return the exit code that says how a job ended."""
    if job.status == "done":
        return 0
    if job.code is not None and job.code < 0:  # a signal that nobody here sent: the machine's
        return LOST
    return job.code if job.code else PREEMPTED if job.status == "stopped" else FAILED


def standing_line(job: Any) -> str:
    """Return one line on how a job stands."""
    took = f" after {duration((job.ended or time.time()) - job.started)}" if job.started else ""
    code = f", exit code {job.code}" if job.code else ""
    code = f", killed by signal {-job.code}" if job.code is not None and job.code < 0 else code
    why = job.message.splitlines()[0] if job.status == "failed" and job.code is None else ""
    return visible(
        f"{job.run}: {job.status}{took}{code}; attempt {job.attempt}.{' ' * bool(why)}{why}"
    )


def job_named(jobs: Any, run: str) -> Any:
    """Return the last attempt at a run; raise a problem with the nearest names."""
    every = jobs.every()
    job = next((job for job in every if job.run == run), None)
    if job is None:
        raise no_such_run(run, [job.run for job in every], place=f"at {jobs.url}")
    return job


def no_such_run(run: str, known: Sequence[str], *, place: str) -> SettingsError:
    """Return the problem of a run that does not exist, with the nearest names."""
    do = nearest(
        run, known[::-1], noun="The runs there are", otherwise="" if known else "There is none."
    )
    return SettingsError([Problem(where="RUN", what=f"no such run {place}", got=run, do=do)])


def _write(text: str) -> None:
    sys.stdout.write(visible(text.expandtabs()))
    sys.stdout.flush()
