"""`vocabox data`: look at samples with their boxes and labels; check label files and pictures."""

from pathlib import Path
from typing import Any

import click

from pipelines.cli import given
from pipelines.cli.data_check import ForPeople, ForPrograms
from pipelines.cli.json_lines import write_event
from pipelines.cli.work import WORK
from pipelines.settings.problems import Problem, SettingsError

PAGES = (".yaml", ".yml")
SHEETS = (".png", ".jpg", ".jpeg", ".webp")


@click.group(epilog="\b\nExample:\n  vocabox data show configs/first_run.yaml --out sheet.png")
def data() -> None:
    """Look at data, and check it."""


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
    if sheet.suffix.lower() not in SHEETS:
        what, do = "a sheet is a picture", f"Let its name end in {', '.join(SHEETS)}."
        found.append(Problem(where="--out", what=what, got=out, do=do))
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


@data.command(
    epilog="\b\nExample:\n  vocabox data check configs/own_data.yaml\n"
    "  vocabox data check train.json val.json --images pictures\n"
    "  vocabox data check labels.csv --images pictures --set columns.image=file_name"
)
@click.argument("given_files", nargs=-1, required=True, metavar="CONFIG_OR_FILES...")
@click.option(
    "--kind",
    type=click.Choice(["coco", "csv", "folders"]),
    help="Of the files; else .json is coco, .csv is csv, and a folder is folders.",
)
@click.option("--images", metavar="DIR", help="Folder that the names of pictures start from.")
@click.option(
    "--classes", metavar="LIST", help="File of the classes there may be, one name a line."
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of the source."
)
@click.option("--deep", is_flag=True, help="Decode the pixels too.")
@given.json_option
def check(*, given_files: tuple[str, ...], as_json: bool, **how: Any) -> int:
    """Count label files and pictures; list what is wrong.

    What is odd is listed too. Nothing is written. Exit code 0: no error, 2: an error was found.
    """
    known = given.read_names(how["classes"], option="--classes") if how["classes"] else ()
    first, drawn = given_files[0], []
    if Path(first).suffix in PAGES:
        if len(given_files) > 1 or how["kind"] or how["images"]:
            do = "Give the config alone, or label files with --images."
            what = "a config names its own files"
            raise SettingsError([Problem(where="CONFIG", what=what, got=first, do=do)])
        sources = WORK["sources_of_config"](Path(first), how["settings"])
        drawn = WORK["drawn_of_config"](Path(first), how["settings"])
    else:
        about = {name: how[name] for name in ("kind", "images", "settings")}
        sources = WORK["sources_of_files"](given_files, **about)
    if not sources and not as_json:
        click.echo("There is no source of files in it: vocabox draws them all.")
    saying = ForPrograms() if as_json else ForPeople()
    glance = "pixels" if how["deep"] else "headers"
    WORK["check_data"](sources, drawn=drawn, known=known, glance=glance, saying=saying)
    return saying.end()
