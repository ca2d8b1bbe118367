"""`vocabox settings [NAME]`: what may stand on a config's page; name, range, default, meaning."""

from dataclasses import asdict

import click

from pipelines.cli import given
from pipelines.cli.json_lines import write_event
from pipelines.cli.work import WORK


@click.command(epilog="\b\nExample:\n  vocabox settings stage2\n  vocabox settings frozen_stages")
@click.argument("name", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="json is the same as --json.",
)
@given.json_option
def settings(*, name: str | None, form: str, as_json: bool) -> int:
    """Say what each setting takes, its default and its meaning.

    NAME is a section (stage2), a setting (stage2.lr, sources.test.0.size), or the last part of
    one (frozen_stages). Without it, all are told.
    """
    from pipelines.settings.reference import select
    from pipelines.settings.reference_forms import FORMS

    rows = WORK["settings"]()
    if name is not None:
        rows = select(rows, name)
    if as_json or form == "json":
        for row in rows:
            write_event({"event": "setting", **asdict(row)})
    else:
        click.echo(FORMS[form](rows), nl=False)
    return 0
