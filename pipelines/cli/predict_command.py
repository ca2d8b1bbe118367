"""`vocabox predict MODEL IMAGES...`: boxes for pictures, as COCO JSON and drawn over them."""

from pathlib import Path
from typing import Any

import click

from pipelines.cli import given
from pipelines.cli.json_lines import write_event
from pipelines.cli.work import WORK
from pipelines.settings.problems import Problem, SettingsError, visible

OVERWRITE = "Pass --overwrite, or name another."
SHOWN = 20  # pictures that could not be read, named one by one


@click.command(
    epilog="\b\nExample:\n  vocabox predict joint-1 photos/ --out detections.json --draw pictures"
)
@click.argument("model")
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option("--out", default="detections.json", show_default=True, help="File of boxes to write.")
@click.option(
    "--draw", default=None, metavar="DIR", help="Draw the boxes on copies of IMAGES here."
)
@click.option(
    "--score",
    type=given.Number(0, 1),
    default=0.3,
    show_default=True,
    help="Least score of a box that is drawn.",
)
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Most boxes written for a picture.",
)
@click.option(
    "--parts",
    type=given.Number(0, 1),
    default=1.0,
    show_default=True,
    help="Leave out a box if more than this share of it lies in a better box of its class, or of "
    "that one in it; 0.6 is a good one for pictures, 1 keeps all.",
)
@click.option(
    "--level",
    default=None,
    help="Name classes of this level only: imagenet, say, of a model that has coarse ones too.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there under --out and --draw.")
@given.store_option
@given.json_option
def predict(*, model: str, images: tuple[str, ...], as_json: bool, **how: Any) -> int:
    """Find boxes in pictures with a model.

    IMAGES are files, folders, or patterns in quotes.

    MODEL is a directory with model.json, or the name of a run in the store.
    """
    keep = "" if how["overwrite"] else OVERWRITE
    out, draw = Path(how["out"]), None if how["draw"] is None else Path(how["draw"])
    place, problems = given.find_model(model, store=how["store"])
    pictures, missing = given.find_pictures(images)
    problems += [*missing, *given.check_out(out, option="--out", keep=keep)]
    if draw is not None:
        problems += _check_folder(draw, keep=keep)
        if draw.absolute() == out.absolute():
            what, got = "must not be the place of --out", str(draw)
            problems.append(Problem(where="--draw", what=what, got=got, do="Name a folder."))
    if problems:
        raise SettingsError(problems)
    wanted = {name: how[name] for name in ("score", "top", "parts", "level")}
    found = WORK["predict"](place, pictures=pictures, out=out, draw=draw, **wanted)
    bad = [(str(path), str(reason)) for path, reason in found.bad]
    if as_json:
        names = {"out": out.absolute(), "draw": draw.absolute() if draw else None}
        counts = {"pictures": found.pictures, "boxes": found.boxes}
        left = [{"picture": path, "reason": reason} for path, reason in bad]
        status = "done" if found.pictures else "failed"
        write_event({"event": "finished", "status": status} | counts | names | {"bad": left})
    else:
        if found.pictures:
            click.echo(f"{found.boxes} boxes in {found.pictures} pictures: {out}")
        else:
            click.echo("No picture could be read; nothing was written.", err=True)
        if draw is not None and found.pictures:
            bare = f"; {found.bare} have no such box, see --score" if found.bare else ""
            click.echo(f"drawn with score >= {how['score']:g}: {draw}{bare}")
        for path, reason in bad[:SHOWN]:
            click.echo(visible(f"left out: {path}: {reason}"), err=True)
        if len(bad) > SHOWN:
            click.echo(f"left out: {len(bad) - SHOWN} more.", err=True)
    return 0 if found.pictures else 1


def _check_folder(path: Path, *, keep: str) -> list[Problem]:
    """Say why pictures cannot be drawn into a folder."""
    got = str(path.absolute())
    if path.exists() and not path.is_dir():
        do = "Name a folder."
        return [Problem(where="--draw", what="expected a folder", got=f"the file {got}", do=do)]
    if not path.absolute().parent.is_dir():
        do = f"Make it: mkdir -p {path.absolute().parent}"
        return [Problem(where="--draw", what="its folder is not there", got=got, do=do)]
    if keep and path.is_dir() and any(path.iterdir()):
        what = "holds files already, and they are kept"
        return [Problem(where="--draw", what=what, got=got, do=keep)]
    return []
