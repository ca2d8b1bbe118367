"""`vocabox run CONFIG`: run what is not there yet, show it as it goes, and say what came out."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import click

from pipelines.cli import given
from pipelines.cli.ending import finished_event, say_ending
from pipelines.cli.event_lines import EventLines
from pipelines.cli.json_lines import JsonLines, write_event
from pipelines.cli.work import WORK
from pipelines.runs.spelled import changed, command


class View(Protocol):
    """What a run is shown by."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""

    def close(self) -> None:
        """Stop showing."""


def _live(names: Sequence[str]) -> View:
    from pipelines.cli.live_table import LiveTable

    return LiveTable(names)


NEXT = ("lr=1e-3", "lr=2e-3")  # of the last training; a change to look at: one that was not given

CLUSTER_GROWS_S = 300.0  # what a cluster that is to grow gets, to do so

VIEWS: dict[str, Callable[[Sequence[str]], View]] = {
    "json": lambda _: JsonLines(),
    "terminal": _live,
    "plain": lambda _: EventLines(),
}


@click.command(
    epilog="\b\nExample:\n  vocabox run configs/first_run.yaml stage2.steps=50 --until stage2"
)
@given.config_argument
@given.settings_argument
@given.store_option
@given.cut_options
@click.option(
    "--address", default="local", show_default=True, help="A Ray cluster: local, auto, host:port."
)
@given.insecure_option
@click.option("--paths-from", type=click.Path(path_type=Path), default=None, hidden=True)
@click.option("--instead-of", default="", hidden=True)  # the command that sent this one
@click.option("--trial-of", default="", hidden=True)  # a search, by its token
@click.option("--trial", type=int, default=0, hidden=True)
@click.option(
    "--frozen", is_flag=True, help="Refuse where code or versions are not those of earlier results."
)
@click.option(
    "--take-over-after",
    type=given.Number(min=1.0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Go on with a run whose driver, on another machine, was silent for so long.",
)
@click.option("--keep-going", is_flag=True, help="After a failure run all that does not need it.")
@click.option(
    "--wait-for-nodes",
    type=given.Number(min=0),
    metavar="SECONDS",
    help="Wait so long for machines that a node needs: 300 on a cluster, 0 here unless given.",
)
@click.option("--executor", type=click.Choice(["ray", "inline"]), default="ray", hidden=True)
@given.json_option
def run(*, config: str, settings: tuple[str, ...], as_json: bool, **how: Any) -> int:
    """Run what is not there yet, and say what came out.

    A run that was killed goes on by the same command.
    KEY=VALUE changes a setting: stage2.steps=50, sources.test.0.name=mine.
    """
    store, address = how["store"], how["address"]
    found = [*given.check_store(store), *given.check_address(address)]
    where = {"root": how["paths_from"]} if how["paths_from"] else {}
    loaded = given.load_config(config, settings, found, **where)
    for line in given.warned(loaded):
        click.echo(line, err=True)
    cuts = given.cuts_of(loaded.graph, how)
    form = "json" if as_json else "terminal" if sys.stdout.isatty() else "plain"
    view = VIEWS[form]([node.name for node in loaded.graph.every()])
    try:
        with given.refusals():
            ended = WORK["run"](
                _as_trial(loaded, how),
                store=store,
                cuts=cuts,
                address=address,
                executor=how["executor"],
                frozen="yes" if how["frozen"] else "no",
                emit=view,
                take_over_after=how["take_over_after"],
                insecure=how["insecure"],
                on_failure="continue" if how["keep_going"] else "stop",
                wait_for_nodes_s=_patience(how),
            )
    finally:
        view.close()
    if as_json:
        write_event(finished_event(ended))
    else:
        from pipelines.recipes.table import RECIPES  # known by now; --help does without

        again, show = _commands(config, settings, how, trains=RECIPES[loaded.recipe].trains)
        again, show = (how["instead_of"], "") if how["instead_of"] else (again, show)
        say_ending(ended, again=again, show=show, store=store)
    return int(ended.code)


def _as_trial(loaded: Any, how: Mapping[str, Any]) -> Any:
    """Return what was loaded, with what tracking is told of it where it is a trial of a search."""
    if not how["trial_of"]:
        return loaded
    return replace(loaded, trial={"kind": "trial", "of": how["trial_of"], "trial": how["trial"]})


def _patience(how: Mapping[str, Any]) -> float:
    """Return the seconds to wait for machines: only a cluster may get some that it has not yet."""
    usual = 0.0 if how["address"] == "local" else CLUSTER_GROWS_S
    return usual if how["wait_for_nodes"] is None else float(how["wait_for_nodes"])


def _commands(
    config: str, settings: tuple[str, ...], how: Mapping[str, Any], *, trains: str
) -> tuple[str, str]:
    """Return the command that goes on with this run, and one that shows a change of it."""
    cuts = {option: how[name] for option, name in given.CUTS.items()}
    place = {"--address": how["address"], "--executor": how["executor"]}
    usual = {"--address": "local", "--executor": "ray"}
    places = {option: [said] for option, said in place.items() if said != usual[option]}
    again = command("run", config, settings, store=how["store"], options=cuts | places)
    again += " --frozen" if how["frozen"] else ""
    again += " --insecure-cluster" if how["insecure"] else ""
    change = next(text for text in (f"{trains}.{new}" for new in NEXT) if text not in settings)
    parts = {option: cuts[option] for option in ("--until", "--only")}
    shown = changed(settings, change)
    return again, command("show", config, shown, store=how["store"], options=parts)
