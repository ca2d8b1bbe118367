"""`vocabox store`: what is kept in a store, what may go, whether it is whole."""

from collections.abc import Sequence
from typing import Any

import click

from pipelines.cli import given
from pipelines.cli.json_lines import write_event
from pipelines.cli.store_lines import doomed_event, gone, listed, result_event, table, verdict_line
from pipelines.cli.work import WORK
from pipelines.runs.spelled import command

DAMAGED = 3  # exit code
HOUR_S = 3600.0


@click.group(epilog="\b\nExample:\n  vocabox store ls\n  vocabox store gc --yes")
def store() -> None:
    """List what a store holds, clean it up, and check it."""


@store.command(epilog="\b\nExample:\n  vocabox store ls --store .vocabox")
@given.store_option
@given.json_option
def ls(*, store: str, as_json: bool) -> int:
    """List results: recipe, node, key, bytes, age, and the run that made each."""
    with given.refusals():
        found = WORK["results"](store)
    if as_json:
        for record in found:
            write_event(result_event(record))
    else:
        for line in [*table(found), listed(found)]:
            click.echo(line)
    return 0


@store.command(epilog="\b\nExample:\n  vocabox store gc\n  vocabox store gc --keep-runs 5 --yes")
@given.store_option
@click.option("--yes", is_flag=True, help="Delete; without it, only say what would go.")
@click.option(
    "--keep-runs",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Newest runs whose results stay.",
)
@click.option(
    "--grace",
    type=given.Number(0),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="What is younger stays.",
)
@given.json_option
def gc(*, store: str, yes: bool, keep_runs: int, grace: float, as_json: bool) -> int:
    """Find what no kept run needs: results, halves of them, scratch, texts of code.

    Kept are the newest runs, those that somebody works on, and those that are pinned; with each,
    all that its results were made from. The folders of runs (model, report) and quarantine/ are
    left alone. Nothing is deleted without --yes.
    """
    with given.refusals():
        delete = "yes" if yes else "no"
        found = WORK["collect"](store, delete=delete, keep_runs=keep_runs, grace_s=grace * HOUR_S)
    if as_json:
        for one in found.doomed:
            write_event(doomed_event(one))
        sizes = {"bytes": sum(one.size for one in found.doomed), "kept": found.kept}
        write_event({"event": "finished", "status": "done", "deleted": yes, **sizes})
        return 0
    for line in gone(found, deleted=yes):
        click.echo(line)
    if found.doomed and not yes:
        again = command("store", "gc", store=store, options=_said(keep_runs, grace))
        click.echo(f"Nothing was deleted. To delete it: {again} --yes")
    return 0


@store.command(epilog="\b\nExample:\n  vocabox store verify --deep")
@given.store_option
@click.option("--deep", is_flag=True, help="Read every byte; without it, names and sizes.")
@click.option("--repair", is_flag=True, help="Move what is damaged to quarantine/ of the store.")
@given.json_option
def verify(*, store: str, deep: bool, repair: bool, as_json: bool) -> int:
    """Compare what lies in a store with its records.

    What is damaged is named, and never deleted; --repair moves it aside, so that the next run
    makes it anew. Exit code 3: something is damaged.
    """
    looked = damaged = other = size = 0
    with given.refusals():
        check, may = "all" if deep else "sizes", "yes" if repair else "no"
        for verdict, place in WORK["verify"](store, check=check, repair=may):
            looked, other = looked + bool(verdict.key), other + verdict.foreign
            size += verdict.size if verdict.key else 0  # texts of code are looked at beside
            if verdict.faults:
                damaged += 1
                _say_damage(verdict, place, as_json=as_json)
    code = DAMAGED if damaged else 0
    if as_json:
        status = {"status": "failed" if damaged else "done", "code": code}
        counts = {"looked": looked, "bytes": size, "damaged": damaged, "other_version": other}
        write_event({"event": "finished", **status, **counts})
        return code
    for line in verdict_line(looked, size, damaged=damaged, other=other, deep=deep, repair=repair):
        click.echo(line, err=bool(damaged))
    return code


@store.command(epilog="\b\nExample:\n  vocabox store pin joint-3")
@click.argument("run", metavar="RUN")
@given.store_option
def pin(*, run: str, store: str) -> int:
    """Keep the results of a run, however many runs come after it."""
    with given.refusals():
        WORK["pin"](store, run, how="pin")
    click.echo(f"{run}: pinned; gc keeps what it made and used.")
    return 0


@store.command(epilog="\b\nExample:\n  vocabox store unpin joint-3")
@click.argument("run", metavar="RUN")
@given.store_option
def unpin(*, run: str, store: str) -> int:
    """Keep the results of a run no longer than those of others."""
    with given.refusals():
        WORK["pin"](store, run, how="unpin")
    click.echo(f"{run}: not pinned any more.")
    return 0


def _say_damage(verdict: Any, place: str, *, as_json: bool) -> None:
    if as_json:
        about = {"name": verdict.name, "key": verdict.key, "faults": list(verdict.faults)}
        write_event({"event": "damaged", **about, "moved_to": place or None})
        return
    moved = f"; moved to {place}" if place else ""
    click.echo(f"{verdict.name}: {'; '.join(verdict.faults[:3])}{moved}", err=True)


def _said(keep_runs: int, grace: float) -> dict[str, Sequence[str]]:
    """Return the options that were not left as they are."""
    given_runs = [] if keep_runs == 20 else [str(keep_runs)]
    given_grace = [] if grace == 24.0 else [f"{grace:g}"]
    return {"--keep-runs": given_runs, "--grace": given_grace}
