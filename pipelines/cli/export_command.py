"""`vocabox export MODEL --out DIR`: a detector's classes as plain rows, and more beside them."""

import shlex
from pathlib import Path

import click

from pipelines.cli import given
from pipelines.cli.json_lines import write_event
from pipelines.cli.out_folder import check_file, check_folder
from pipelines.cli.work import WORK
from pipelines.settings.problems import SettingsError, visible

WRITTEN = {
    "model.safetensors", "model.json", "vocabulary.json", "classes.safetensors",
    "transfer.safetensors", "transfer.json",
}  # fmt: skip
ALWAYS = "classes.safetensors"  # a model directory without it was trained, and is never replaced


@click.command(
    epilog="\b\nExample:\n  vocabox export joint-1 --source efficientnet-lite0 --out thousand\n"
    "  vocabox predict thousand photos/ --parts 0.6 --draw pictures"
)
@click.argument("model")
@click.option("--out", required=True, metavar="DIR", help="Folder of the model to write.")
@click.option(
    "--source",
    default=None,
    metavar="NAME|DIR|FILE",
    help="Where more classes come from: efficientnet-lite0 (ImageNet's 1,000), the folder or run "
    "of a model of yours, a folder of vocabox convert, a .parquet table, a .safetensors file.",
)
@click.option(
    "--source-classes",
    default=None,
    metavar="LIST",
    help="Class ids of the rows of a .safetensors file, in their order: one a line, or JSON.",
)
@click.option(
    "--classes",
    default=None,
    metavar="LIST",
    help="Write these class ids only: one a line, or JSON. Default: all there are.",
)
@click.option(
    "--context",
    type=given.Number(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the whole picture in what names a box, for a classifier's own rows: 0.5 names "
    "pictures of one thing better, and the smaller things of a scene worse.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there under --out.")
@given.store_option
@given.json_option
def export(
    *,
    model: str,
    out: str,
    source: str | None,
    source_classes: str | None,
    classes: str | None,
    context: float,
    overwrite: bool,
    store: str,
    as_json: bool,
) -> int:
    """Add classes to a detector without training.

    MODEL is a directory with model.json, or the name of a run in the store. Its boxes stay as they
    are; its classes become plain rows of weights in the folder DIR, which vocabox predict runs.

    --source adds classes: by the transfer that was fitted for MODEL, where one was; else by the
    classifier's own rows. Those read the trunk that they were made for, unchanged: train MODEL with
    backbone.frozen_stages at its most. They stand for the classes that a trained MODEL has from
    image labels, and join those of an exported one.

    A .parquet table has a row a class: id (text) and vector (numbers), and if you like name and
    bias. Its rows are of no network: without a transfer they are taken for MODEL's trunk where they
    are as wide as its features, else for its head. Above the trunk of EfficientNet-Lite0 there are
    layers: an exported MODEL has them, or the package that MODEL started from. With weights of
    yours, give the classifier's .safetensors file.
    """
    place = Path(out)
    model_at, problems = given.find_model(model, store=store)
    problems += check_folder(place, by="export", holds=WRITTEN, always=ALWAYS, overwrite=overwrite)
    for option, name in (("--source-classes", source_classes), ("--classes", classes)):
        problems += [] if name is None else check_file(name, option=option)
    if problems:
        raise SettingsError(problems)
    made = WORK["export"](
        model_at,
        out=place,
        source=None if source is None else _source(source, store=store),
        source_classes=None if source_classes is None else Path(source_classes),
        classes=None if classes is None else Path(classes),
        context=context,
    )
    left_out = [visible(name) for name in made.left_out]
    if as_json:
        counts = {"classes": made.classes, "groups": made.groups, "left_out": left_out}
        ids = {"two_ids": [[visible(name) for name in pair] for pair in made.two_ids]}
        names = {"model": place.absolute()}
        write_event({"event": "finished", "status": "done"} | counts | ids | names)
        return 0
    click.echo(f"{made.classes} classes: {place}")
    if left_out:
        some = ", ".join(left_out[:3]) + (", ..." if len(left_out) > 3 else "")
        click.echo(f"note: {len(left_out)} classes of MODEL are not in it: {some}", err=True)
    if made.two_ids:
        from components.vocab.shared_classes import both_found

        click.echo(f"note: {visible(both_found(made.two_ids))}", err=True)
    click.echo(f"Use it with: vocabox predict {shlex.quote(str(place))} PICTURES")
    return 0


def _source(name: str, *, store: str) -> str:
    """Return the source as it was given, or the model of the run of that name in the store."""
    if Path(name).exists() or Path(name).name != name:
        return name
    run, problems = given.find_model(name, store=store)
    return name if problems else str(run)
