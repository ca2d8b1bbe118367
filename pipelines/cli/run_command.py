"""`vocabox run CONFIG`: run what is not there yet, show it as it goes, and say what came out."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import click

from pipelines.cli import given
from pipelines.cli.ending import finished_event, say_ending
from pipelines.cli.event_lines import EventLines
from pipelines.cli.json_lines import JsonLines, write_event
from pipelines.cli.work import WORK


class View(Protocol):
    """What a run is shown by."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""

    def close(self) -> None:
        """Stop showing."""


def _live(names: Sequence[str]) -> View:
    from pipelines.cli.live_table import LiveTable

    return LiveTable(names)


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
@click.option("--keep-going", is_flag=True, help="After a failure run all that does not need it.")
@click.option(
    "--wait-for-nodes",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for machines that a node needs; else what cannot fit is refused.",
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
    loaded = given.load_config(config, settings, found)
    cuts = given.cuts_of(loaded.graph, how)
    form = "json" if as_json else "terminal" if sys.stdout.isatty() else "plain"
    view = VIEWS[form]([node.name for node in loaded.graph.every()])
    try:
        with given.refusals():
            ended = WORK["run"](
                loaded,
                store=store,
                cuts=cuts,
                address=address,
                executor=how["executor"],
                emit=view,
                on_failure="continue" if how["keep_going"] else "stop",
                wait_for_nodes_s=how["wait_for_nodes"],
            )
    finally:
        view.close()
    if as_json:
        write_event(finished_event(ended))
    else:
        say_ending(ended, again=given.command_line(), store=store)
    return int(ended.code)
