"""`vocabox convert FILE --classes LIST --out DIR`: somebody's weights into a form that is safe."""

import shlex
from pathlib import Path

import click

from pipelines.cli import given
from pipelines.cli.json_lines import write_event
from pipelines.cli.out_folder import check_file, check_folder
from pipelines.cli.work import WORK
from pipelines.settings.problems import SettingsError, visible


def _networks() -> list[str]:
    from components.models.choices import NETWORKS

    return list(NETWORKS)


@click.command(
    epilog="\b\nExample:\n  vocabox convert model.pth --classes classes.txt --out weights "
    "--backbone resnet18"
)
@click.argument("file")
@click.option(
    "--classes",
    required=True,
    metavar="LIST",
    help="Class ids in the order of the classifier's rows: one a line, or JSON.",
)
@click.option("--out", required=True, metavar="DIR", help="Folder to write.")
@click.option(
    "--backbone",
    type=click.Choice(_networks()),
    default=None,
    help="Check that the weights fit this network.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there under --out.")
@given.json_option
def convert(
    *, file: str, classes: str, out: str, backbone: str | None, overwrite: bool, as_json: bool
) -> int:
    """Turn weights of somebody else's into weights that run no code.

    FILE is a .safetensors file, or a pickle (.pth, .pt, .bin) of a state_dict: it is opened in a
    process of its own, where none of its code runs. The result is for the setting
    backbone.weights.
    """
    from components.train.weights_file import ABOUT, CLASSES, CONVERTED

    place = Path(out)
    problems = check_folder(
        place, by="convert", holds=(ABOUT, CLASSES, CONVERTED), overwrite=overwrite
    )
    problems += check_file(file, option="FILE") + check_file(classes, option="--classes")
    if problems:
        raise SettingsError(problems)
    made = WORK["convert"](Path(file), classes=Path(classes), out=place, network=backbone)
    if as_json:
        counts = {"tensors": made.tensors, "classes": made.classes, "classifier": made.classifier}
        names = {"weights": made.weights.absolute(), "warnings": list(made.warnings)}
        write_event({"event": "finished", "status": "done"} | counts | names)
        return 0
    click.echo(f"{made.tensors} tensors, {made.classes} classes: {made.weights}")
    for text in made.warnings:
        click.echo(visible(f"note: {text}"), err=True)
    setting = f"backbone.weights={made.weights.absolute()}"  # paths start from the config's folder
    click.echo(f"Use it with: {shlex.quote(setting)}")
    return 0
