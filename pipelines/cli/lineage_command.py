"""`vocabox lineage ARTIFACT`: what a result was made from, and whether it can be made again."""

from typing import Any

import click

from pipelines.cli import given
from pipelines.cli.event_lines import EventLines
from pipelines.cli.json_lines import JsonLines, write_event
from pipelines.cli.work import WORK


@click.command(
    epilog="\b\nExample:\n  vocabox lineage joint-3\n"
    "  vocabox lineage .vocabox/runs/joint-3/model\n"
    "  vocabox lineage 3fa1b2c4d5e6 --rerun /tmp/again"
)
@click.argument("artifact", metavar="ARTIFACT")
@given.store_option
@click.option(
    "--rerun", "into", metavar="STORE", help="Make it again in this other store, and compare bytes."
)
@click.option(
    "--address", default="local", show_default=True, help="For --rerun: local, auto, host:port."
)
@click.option("--executor", type=click.Choice(["ray", "inline"]), default="ray", hidden=True)
@given.json_option
def lineage(*, artifact: str, store: str, into: str | None, as_json: bool, **how: Any) -> int:
    """Show what a result was made from, up to your own files.

    ARTIFACT is a key (its first digits do), a run, the folder of a model, or a node's name.
    --rerun refuses where code, keyed versions or your files are not what they were, and names
    what differs. Exit code 1: other bytes came out.
    """
    if into is None:
        with given.refusals():
            for lines, events in WORK["lineage"](store, artifact):
                for event in events if as_json else ():
                    write_event(event)
                for line in () if as_json else lines:
                    click.echo(line)
        return 0
    problems = given.check_address(how["address"])
    given.refuse(problems)
    view = JsonLines() if as_json else EventLines()
    with given.refusals():
        rows = WORK["rerun"](store, artifact, into=into, emit=view, **how)
    code = 0 if all(row.same for row in rows) else 1
    if as_json:
        nodes = {row.node: {"key": row.key, "state": row.state, "same": row.same} for row in rows}
        status = "failed" if code else "done"
        write_event({"event": "finished", "status": status, "code": code, "nodes": nodes})
        return code
    for line in compared(rows):
        click.echo(line, err=bool(code))
    return code


def compared(rows: list[Any]) -> list[str]:
    """Return what came out of a re-run, one line a result and a sum."""
    width = max(len(row.node) for row in rows)
    words = {True: "the same bytes", False: "other bytes"}
    lines: list[str] = []
    for row in rows:
        made = row.state in ("done", "cached")
        said = words[row.same] if made else f"{row.state}{': ' if row.text else ''}{row.text}"
        lines.append(f"{row.node:<{width}}  {row.key[:12]}  {said}")
    same = sum(row.same for row in rows)
    return [*lines, f"{same} of {len(rows)} results came out the same."]
