"""`vocabox convert FILE --classes LIST --out DIR`: somebody's weights into a form that is safe."""

import shlex
from pathlib import Path

import click

from pipelines.cli import given
from pipelines.cli.json_lines import write_event
from pipelines.cli.work import WORK
from pipelines.settings.problems import Problem, SettingsError, visible


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
    place = Path(out)
    problems = _check_folder(place, overwrite=overwrite)
    problems += _missing("FILE", file) + _missing("--classes", classes)
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


def _missing(where: str, name: str) -> list[Problem]:
    if Path(name).is_file():
        return []
    what = "expected a file" if Path(name).is_dir() else "no such file"
    return [Problem(where=where, what=what, got=str(Path(name).absolute()), do="Check the path.")]


def _check_folder(path: Path, *, overwrite: bool) -> list[Problem]:
    """Say why a folder cannot be written. One that we did not write is never replaced."""
    from components.train.weights_file import ABOUT, CLASSES, CONVERTED

    got = str(path.absolute())
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        what, do = "expected a folder", "Name a folder."
        return [Problem(where="--out", what=what, got=got, do=do)]
    if not path.absolute().parent.is_dir():
        do = f"Make it: mkdir -p {path.absolute().parent}"
        return [Problem(where="--out", what="its folder is not there", got=got, do=do)]
    inside = {entry.name for entry in path.iterdir()} if path.is_dir() else set[str]()
    if inside - {ABOUT, CLASSES, CONVERTED}:
        what, do = "holds files that vocabox convert did not write", "Name another."
        return [Problem(where="--out", what=what, got=got, do=do)]
    if inside and not overwrite:
        what, do = "is there already, and is kept", "Pass --overwrite, or name another."
        return [Problem(where="--out", what=what, got=got, do=do)]
    return []
