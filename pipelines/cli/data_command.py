"""`vocabox data show`: look at samples with their boxes and labels before training on them."""

from pathlib import Path

import click

from pipelines.cli import given
from pipelines.cli.json_lines import write_event
from pipelines.cli.work import WORK
from pipelines.settings.problems import Problem, SettingsError


@click.group(epilog="\b\nExample:\n  vocabox data show configs/first_run.yaml --out sheet.png")
def data() -> None:
    """Look at data."""


@data.command(
    epilog="\b\nExample:\n  vocabox data show configs/first_run.yaml --out sheet.png\n"
    "  vocabox data show configs/first_run.yaml draw.seed=1 --out other.png"
)
@click.argument("source", metavar="CONFIG_OR_SHARDS")
@given.settings_argument
@click.option("--out", default="sheet.png", show_default=True, help="Picture to write (.png).")
@click.option(
    "--count",
    type=click.IntRange(1, 400),
    default=12,
    show_default=True,
    help="Samples of each source.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there under --out.")
@given.json_option
def show(
    *,
    source: str,
    settings: tuple[str, ...],
    out: str,
    count: int,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Draw samples of a config or of shards.

    Of each source of a config some are drawn, all on one sheet. KEY=VALUE changes a setting of the
    config, as for `run`.
    """
    place, sheet = Path(source), Path(out)
    keep = "" if overwrite else "Pass --overwrite, or name another."
    found = given.check_out(sheet, option="--out", keep=keep)
    if (place / "record.json").is_file():
        if settings:
            do = "Leave it out, or give a config."
            what = "packed shards have no settings to change"
            found.append(Problem(where="KEY=VALUE", what=what, got=settings[0], do=do))
        if found:
            raise SettingsError(found)
        drawn = WORK["sheet_of_shards"](place, out=sheet, count=count)
    else:
        loaded = given.load_config(source, settings, found)
        drawn = WORK["sheet_of_config"](loaded, out=sheet, count=count)
    if as_json:
        write_event({"event": "finished", "status": "done", "samples": drawn, "out": sheet})
    else:
        click.echo(f"{drawn} samples: {sheet}")
    return 0
