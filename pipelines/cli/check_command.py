"""`vocabox check CONFIG`: every problem at once; nothing is started, nothing is written."""

import click

from pipelines.cli import given
from pipelines.cli.json_lines import write_event
from pipelines.cli.work import WORK
from pipelines.runs.spelled import command
from pipelines.settings.problems import Problem, SettingsError


@click.command(epilog="\b\nExample:\n  vocabox check configs/first_run.yaml")
@given.config_argument
@given.settings_argument
@given.json_option
def check(*, config: str, settings: tuple[str, ...], as_json: bool) -> int:
    """Say every problem of CONFIG and of its files.

    Exit code 0: it can be run, and what may be wrong was said. 2: it cannot, and all the reasons
    were said.
    """
    loaded = given.load_config(config, settings)
    if wrong := WORK["tracking"](loaded):
        raise SettingsError(map(Problem.told, wrong), file=config)
    if as_json:
        for warning in loaded.warnings:
            write_event(warning.event())
        write_event({"event": "finished", "problems": 0, "warnings": len(loaded.warnings)})
    else:
        count = len(tuple(loaded.graph.every()))
        click.echo(f"{config}: no problems; recipe {loaded.recipe}, {count} nodes.")
        for line in given.warned(loaded):
            click.echo(line)
        click.echo(f"Run it: {command('run', config, settings)}")
    return 0
