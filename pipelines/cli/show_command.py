"""`vocabox show CONFIG`: what is there, what would run and why, and how long; starts nothing."""

from typing import Any

import click

from pipelines.cli import given
from pipelines.cli.work import WORK


@click.command(epilog="\b\nExample:\n  vocabox show configs/first_run.yaml stage2.steps=50")
@given.config_argument
@given.settings_argument
@given.store_option
@given.cut_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "json"]),
    default="text",
    show_default=True,
    help="json is the same as --json.",
)
@given.json_option
def show(*, config: str, settings: tuple[str, ...], form: str, as_json: bool, **how: Any) -> int:
    """Show what is there, what would run, and why.

    Nothing is started. KEY=VALUE changes a setting, as for `run`.
    """
    loaded = given.load_config(config, settings, given.check_store(how["store"], mode="read"))
    cuts = given.cuts_of(loaded.graph, how)
    with given.refusals():
        text = WORK["plan"](loaded, store=how["store"], cuts=cuts, form="json" if as_json else form)
    click.echo(text, nl=False)
    return 0
