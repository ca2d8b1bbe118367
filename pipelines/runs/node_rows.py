"""Each node of a run as its page shows it: state, time, and why it ran or where it was found."""

from collections.abc import Mapping
from pathlib import Path

from cluster.journal import every_event
from cluster.storage import Store
from pipelines.graph.node import upstream
from pipelines.graph.outcome import NodeOutcome, Outcome
from pipelines.graph.plan import Plan, Planned
from pipelines.graph.record import Record, read_record
from pipelines.report.parts import NodeRow


def node_rows(
    planned: Plan, outcome: Outcome, *, made: Mapping[str, Record], run: str, events: Path
) -> list[NodeRow]:
    """Return a row for each node that the walk met, inputs before users.

    Args:
        planned: what was to be run, and why, before the walk.
        outcome: how each node ended.
        made: the records of nodes that are there.
        run: the name of this run.
        events: its journal, for what nodes said beside their numbers.
    """
    said = _notes(events)
    return [
        NodeRow(
            name=entry.name,
            state=ended.state,
            seconds=ended.seconds,
            key=ended.key or "",
            inputs=tuple(source.name for source in upstream(entry.node)),
            why=[*_why(entry, ended, made.get(entry.name), run), *said.get(entry.name, [])],
        )
        for entry in planned.nodes
        if (ended := outcome.nodes.get(entry.name)) is not None
    ]


def _notes(events: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in every_event(events):
        if event.get("event") == "note" and event.get("node"):
            found.setdefault(str(event["node"]), []).append(str(event.get("text")))
    return found


def records_of(outcome: Outcome, store: Store) -> dict[str, Record]:
    """Return the records of the nodes that are there, by name."""
    found = {
        name: read_record(store, ended.key)
        for name, ended in outcome.nodes.items()
        if ended.key and name in outcome.artifacts
    }
    return {name: record for name, record in found.items() if record is not None}


def maker(record: Record) -> str:
    """Return the name of the run that made a result, or an empty text."""
    return str(record.body.get("run") or "")


def _why(entry: Planned, ended: NodeOutcome, record: Record | None, run: str) -> list[str]:
    if ended.error is not None:
        return [ended.error.text]
    if ended.state == "cached":
        by = maker(record) if record else ""
        if by == run:
            return ["made earlier in this run"]
        return [f"made by {by}; nothing that counts has changed" if by else "was there"]
    return _ran(entry) if ended.state == "done" else []


def _ran(entry: Planned) -> list[str]:
    if entry.state == "cached":
        return ["the result that was there is damaged"]
    if entry.waits_for:
        anew = f"an input was made anew: {', '.join(entry.waits_for)}"
        return [anew, *(reason.text for reason in entry.why[1:])]
    return [reason.text for reason in entry.why]
