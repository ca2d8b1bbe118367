"""The end of a run: the table of metrics, where model and report are, and what to do next."""

import shlex
from collections.abc import Mapping
from typing import Any, Protocol

import click

from pipelines.cli.progress import duration
from pipelines.runs.spelled import command
from pipelines.settings.problems import visible

FIRST = "first_run"  # the config after which one's own data come next
HOSTS = '--allowed-hosts "localhost:*,127.0.0.1:*"'  # no other web page may ask it
SILENT = {"interrupted": "What is finished is kept."}  # nothing went wrong
BAD_INPUT = 2  # exit code: the same command would end the same way


class Ended(Protocol):
    """How a run ended, as the driver says it."""

    status: str  # done | failed | interrupted
    code: int
    run: str
    nodes: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, float | None]
    model: Any
    report: Any
    tracking: str | None
    unsent: int
    reason: str | None


def finished_event(ended: Ended) -> dict[str, Any]:
    """Return the last line of a run for a program."""
    names = ("run", "status", "code", "nodes", "metrics", "model", "report", "tracking", "unsent")
    made: dict[str, Any] = {"event": "finished"} | {name: getattr(ended, name) for name in names}
    return made | ({"reason": ended.reason} if ended.reason else {})


def say_ending(ended: Ended, *, again: str, show: str, store: str) -> None:
    """Write the ending for people: stdout where it went well, else why and how to go on."""
    for line in ending(ended, again=again, show=show, store=store):
        click.echo(line, err=ended.status != "done")


def ending(ended: Ended, *, again: str, show: str, store: str) -> list[str]:
    """Return the lines of the ending.

    Args:
        ended: what the driver returned.
        again: the command line that goes on with this run.
        show: the one that says what would run again after some change.
        store: the store as the user named it, for the next commands.
    """
    if ended.status != "done":
        reasons = (ended.reason or SILENT.get(ended.status, "no reason was given")).splitlines()
        first = visible(f"{ended.run}: {ended.status}. {reasons[0]}")
        first_word = "After mending it, go on with" if ended.code == BAD_INPUT else "Go on with"
        return [first, *map(visible, reasons[1:]), *_unsent(ended), f"{first_word}: {again}"]
    counts: dict[str, int] = {}
    for node in ended.nodes.values():
        counts[str(node["state"])] = counts.get(str(node["state"]), 0) + 1
    seconds = sum(n.get("seconds") or 0.0 for n in ended.nodes.values() if n["state"] == "done")
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    lines = ["", f"{ended.run}: done; {states}; {duration(seconds)} of work."]
    if ended.metrics:
        lines += ["", *_metrics(ended.metrics)]
    places = (("model", ended.model), ("report", ended.report), ("tracking", ended.tracking))
    lines += ["", *(f"{name:<9} {place}" for name, place in places if place)]
    return [*lines, *_unsent(ended), "", *_next(ended, store, show=show)]


def _unsent(ended: Ended) -> list[str]:
    if not ended.unsent:
        return []
    return [f"unsent    {ended.unsent} events are not in MLflow yet; the same command sends them."]


def _metrics(metrics: Mapping[str, float | None]) -> list[str]:
    width = max(len(name) for name in metrics)
    return [f"  {name:<{width}}  {_number(value):>8}" for name, value in sorted(metrics.items())]


def _number(value: float | None) -> str:
    if value is None or value != value:  # noqa: PLR0124  NaN: a mean over nothing
        return "-"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"


def _next(ended: Ended, store: str, *, show: str) -> list[str]:
    lines = ["Next:"]
    if ended.model:
        predict = command("predict", ended.run, store=store)
        lines.append(f"  {predict} PICTURES --out detections.json --draw pictures")
    if ended.tracking and str(ended.tracking).startswith("sqlite"):
        lines.append(f"  mlflow ui --backend-store-uri {shlex.quote(ended.tracking)} {HOSTS}")
    lines.append(f"  {show}  # what would run again, and why")
    if FIRST in show:
        lines.append("  vocabox run configs/own_data.yaml  # after putting your files in it")
    return lines
