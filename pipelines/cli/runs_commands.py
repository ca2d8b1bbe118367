"""`vocabox status | logs | stop RUN`: a run in a store, or one that was sent to a cluster."""

import time
from collections.abc import Iterator
from typing import Any, Literal

import click

from pipelines.cli import given
from pipelines.cli.event_lines import EventLines
from pipelines.cli.following import follow, job_named, no_such_run, standing_line
from pipelines.cli.json_lines import write_event
from pipelines.cli.progress import duration
from pipelines.cli.work import WORK
from pipelines.settings.problems import visible

PACE_S = 0.5  # between two looks at a run that is followed
LOOK_EVERY = 10  # idle looks at a run between two at its driver
ADDRESS = given.dashboard_option(required=False)


@click.command(epilog="\b\nExample:\n  vocabox status joint-1")
@click.argument("run", metavar="[RUN]", required=False)
@given.store_option
@ADDRESS
@given.insecure_option
@given.json_option
def status(
    *, run: str | None, store: str, address: str | None, insecure: bool, as_json: bool
) -> int:
    """Say how a run stands, or every run.

    RUN is in the store, or with --address one that was sent there.
    """
    if address:
        jobs = _jobs(address, insecure)
        for job in [job_named(jobs, run)] if run else jobs.every():
            told = {"run": job.run, "status": job.status, "attempt": job.attempt, "code": job.code}
            write_event({"event": "status", **told}) if as_json else click.echo(standing_line(job))
        return 0
    for how in _standings(store, _known(store, run) if run else None):
        if as_json:
            told = {"run": how.run, "status": how.status, "nodes": how.nodes, "driver": how.driver}
            write_event({"event": "status", **told})
        else:
            click.echo("\n".join(_lines(how, all_nodes=bool(run))))
    return 0


@click.command(epilog="\b\nExample:\n  vocabox logs joint-1")
@click.argument("run", metavar="RUN")
@click.option("-f", "--follow", "go_on", is_flag=True, help="Until it ends.")
@given.store_option
@ADDRESS
@given.insecure_option
def logs(*, run: str, go_on: bool, store: str, address: str | None, insecure: bool) -> int:
    """Show what a run has said.

    RUN is in the store, or with --address one that was sent there.
    """
    if address:
        jobs = _jobs(address, insecure)
        job = job_named(jobs, run)
        if go_on:
            return follow(jobs, job)
        click.echo(visible(jobs.text(job).expandtabs()), nl=False)
        return 0
    view = _Replayed()
    for event in _events(store, _known(store, run), go_on=go_on):
        view(event)
    return 0


@click.command(epilog="\b\nExample:\n  vocabox stop joint-1")
@click.argument("run", metavar="RUN")
@given.store_option
@ADDRESS
@given.insecure_option
def stop(*, run: str, store: str, address: str | None, insecure: bool) -> int:
    """Stop a run, from any machine; what is done is kept.

    RUN is in the store, or with --address one that was sent there. The same `vocabox run` or
    `vocabox submit` goes on with it.
    """
    if address:
        jobs = _jobs(address, insecure)
        job = job_named(jobs, run)
        asked = job.status in ("waiting", "running") and jobs.stop(job)
        click.echo(f"{run}: asked to stop." if asked else standing_line(job))
        return 0
    [how] = _standings(store, _known(store, run, mode="write"))
    if how.driver is None:
        why = "is done" if how.status == "done" else f"is {how.status}, and nobody works on it"
        click.echo(f"{run}: {why}; there is nothing to stop.")
        return 0
    WORK["stop"](store, run=run)
    click.echo(f"{run}: asked to stop; a driver that works on it sees it within 2 s.")
    return 0


class _Replayed(EventLines):
    """Lines with the times that the events had."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(clock=lambda: self.now)

    def __call__(self, event: Any) -> None:
        """Write the line of an event as it was at its time."""
        at = float(event.get("time", self.now))
        if not self.now:
            self.start = at
        self.now = at
        if event.get("event") == "finished":
            self._write(
                visible(f"{event['run']}: {event['status']}. {event.get('reason') or ''}").rstrip()
            )
        else:
            super().__call__(event)
        if event.get("event") == "metrics":
            self._steps(str(event["node"]), event.get("step"))

    def _steps(self, name: str, step: Any) -> None:
        """Tell of a training now and then: its progress was shown only, its numbers are kept."""
        loss = self.progress.rows[name].loss
        if loss is not None and self.now - self.told.get(name, 0.0) >= self.every:
            self.told[name] = self.now
            self._write(f"{name}: step {step:g}, loss {loss:.4g}")


def _events(store: str, run: str, *, go_on: bool) -> Iterator[Any]:
    offset, ended, idle = 0, False, 0
    while True:
        events, offset = WORK["events"](store, run=run, offset=offset)
        for event in events:
            ended = event.get("event") == "finished"
            yield event
        if not events and (ended or not go_on):
            return
        if not events:
            time.sleep(PACE_S)
            idle += 1
            if idle % LOOK_EVERY:
                continue
            [how] = _standings(store, run)
            if how.status == "not finished" and how.driver is None:
                click.echo(f"{run}: {_driver(None)}.", err=True)
                return


def _lines(how: Any, *, all_nodes: bool) -> list[str]:
    since = (
        "" if how.heard is None else f"; last heard {duration(max(0, time.time() - how.heard))} ago"
    )
    who = "" if how.status != "not finished" else f"; {_driver(how.driver)}"
    first = f"{how.run}: {how.status}{since}{who}."
    reasons = (how.reason or "").splitlines() if all_nodes else []
    nodes = [f"  {name:<20} {state}" for name, state in how.nodes.items()] if all_nodes else []
    return [visible(line) for line in (first, *reasons, *nodes)]


def _driver(words: str | None) -> str:
    return f"its driver: {words}" if words else "its driver is gone: the same command goes on"


def _jobs(address: str, insecure: bool) -> Any:  # noqa: FBT001 - passed on as it was given
    given.refuse(given.check_dashboard(address))
    with given.refusals():
        return WORK["jobs"](address, insecure=insecure)


def _standings(store: str, run: str | None) -> list[Any]:
    with given.refusals():
        return WORK["standings"](store, run=run)


def _known(store: str, run: str, *, mode: Literal["read", "write"] = "read") -> str:
    """Return the name of a run that is in the store; raise the problem, with the nearest names."""
    given.refuse(given.check_store(store, mode=mode))
    names = [how.run for how in _standings(store, None)]
    if run not in names:
        raise no_such_run(run, names, place=f"in the store {store}")
    return run
