"""`vocabox tune CONFIG --space SPACE`: try settings, and write the best as a config that runs."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pipelines.cli import given
from pipelines.cli.json_lines import write_event
from pipelines.cli.work import WORK
from pipelines.runs.spelled import command
from pipelines.settings.problems import Problem, visible

EXAMPLE = "vocabox tune configs/first_run.yaml --space configs/search/loss_weights.yaml --trials 8"
SHOWN = 5  # trials in the closing table
PACE_S = 10.0  # between two lines of a training


@click.command(epilog=f"\b\nExample:\n  {EXAMPLE}")
@given.config_argument
@given.settings_argument
@click.option(
    "--space",
    required=True,
    metavar="SPACE",
    help="A page of settings and their values; see configs/search.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="How many points in all; the first is the config as it is.",
)
@click.option(
    "--concurrent",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Trials at once; they share the CPUs and GPUs of the cluster.",
)
@click.option(
    "--searcher",
    type=click.Choice(["random", "optuna"]),
    default="random",
    show_default=True,
    help="optuna chooses by what earlier trials gave.",
)
@click.option(
    "--scheduler",
    type=click.Choice(["none", "asha"]),
    default="none",
    show_default=True,
    help="asha stops trials whose training loss is behind.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the points drawn.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="The best settings, as a config: beside CONFIG, for its paths start there.",
)
@given.store_option
@click.option(
    "--address", default="local", show_default=True, help="A Ray cluster: local, auto, host:port."
)
@given.insecure_option
@given.json_option
def tune(*, config: str, settings: tuple[str, ...], as_json: bool, **how: Any) -> int:
    """Try settings of CONFIG; write the best as a config.

    A trial is a run of the same config in the same store: what trials share is computed once. Set
    sources.tune, and let the metric of the space be one of its (val/AP): what chooses must not be
    what tests. A search that was killed goes on by the same command; more --trials go on from it.
    """
    store, address = how["store"], how["address"]
    out: Path = how["out"] or Path(config).with_name(f"{Path(config).stem}.best.yaml")
    found = [*given.check_store(store), *given.check_address(address)]
    found += [*given.check_out(out, option="--out", keep=""), *_beside(out, Path(config))]
    loaded = given.load_config(config, settings, found)
    for line in given.warned(loaded):
        click.echo(line, err=True)
    space = WORK["space"](Path(how["space"]), loaded)
    again = command("tune", config, settings, store=store, options=_options(how))

    say = _Said(metric=space.metric, as_json=as_json)
    with given.refusals():
        ended = WORK["tune"](
            loaded, space, say=say, out=out, store=store, address=address,
            insecure=how["insecure"], **{n: how[n] for n in ASKED},
        )  # fmt: skip
    if as_json:
        write_event(_finished(ended, metric=space.metric))
    else:
        nexts = command("run", str(ended.page), store=store)
        for line in _ending(ended, space=space, again=again, nexts=nexts):
            click.echo(line, err=ended.best is None)
    return 0 if ended.best is not None else 1


def _beside(out: Path, config: Path) -> list[Problem]:
    """Say why a page that is to be written would read other files: paths start from a page."""
    if out.absolute().parent == config.absolute().parent:
        return []
    what = f"expected a file beside {config}, where its paths start"
    do = "Name one there, or leave --out away."
    return [Problem(where="--out", what=what, got=str(out.absolute()), do=do)]


ASKED = ("trials", "concurrent", "searcher", "scheduler", "seed")


def _options(how: Mapping[str, Any]) -> dict[str, list[str]]:
    said = {f"--{name}": [str(how[name])] for name in ("space", *ASKED)}
    if how["out"] is not None:
        said["--out"] = [str(how["out"])]
    return said | ({"--address": [how["address"]]} if how["address"] != "local" else {})


class _Said:
    """Shows what happens in a search; of a trial that trains, a line in PACE_S seconds."""

    def __init__(self, *, metric: str, as_json: bool) -> None:
        self.metric, self.as_json, self.shown = metric, as_json, -PACE_S

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        if event["event"] == "trial" and self.as_json:
            write_event(event)
        elif event["event"] in ("note", "trial"):
            click.echo(_line(event, metric=self.metric), err=self.as_json)
        elif event["event"] == "progress" and not self.as_json:
            now = time.monotonic()
            if event["node"] or now - self.shown >= PACE_S:
                self.shown = now
                click.echo(_going(event))


def _going(event: Mapping[str, Any]) -> str:
    """Return how a trial goes on: the node that runs, or the step and the loss."""
    doing = event["node"] or f"step {event['step']}"
    loss = "" if event["loss"] is None else f", loss {event['loss']:.3g}"
    return visible(f"  {event['point']}: {doing}{loss}")


def _line(event: Mapping[str, Any], *, metric: str) -> str:
    """Return one event of a search for people."""
    if event["event"] == "note":
        return visible(str(event["text"]))
    point = " ".join(f"{name}={value}" for name, value in event["point"].items())
    value = event.get(metric)
    said = f"{metric} {value:.4f}" if value is not None else event["status"]
    why = f"  {event['why']}" if event["why"] else ""
    return visible(f"trial {event['number']}: {said}  {point}{why}")


def _finished(ended: Any, *, metric: str) -> dict[str, Any]:
    best = ended.best
    return {
        "event": "finished", "status": "failed" if best is None else "done",
        "search": ended.search, "trials": len(ended.tried),
        "best": None if best is None else {"point": best.point, metric: best.metrics[metric]},
        "page": ended.page,
    }  # fmt: skip


def _ending(ended: Any, *, space: Any, again: str, nexts: str) -> list[str]:
    """Return the closing lines: the best trials, what they gained, and what to do next."""
    if ended.best is None:
        return [f"{ended.search}: no trial ended well; their logs are in the store.",
                f"After mending it, go on with: {again}"]  # fmt: skip
    sign = 1 if space.mode == "min" else -1
    good = [one for one in ended.tried if one.status == "done" and space.metric in one.metrics]
    good.sort(key=lambda one: sign * one.metrics[space.metric])
    lines = [f"{len(ended.tried)} trials, the best {min(SHOWN, len(good))}:"]
    for one in good[:SHOWN]:
        mark = " (the config as it is)" if one is ended.default else ""
        point = " ".join(f"{name}={value}" for name, value in one.point.items())
        lines.append(f"  {space.metric} {one.metrics[space.metric]:.4f}  {point}{mark}")
    if ended.best is ended.default:
        lines.append("Nothing that was tried is better than the config as it is.")
    return [*map(visible, lines), f"Next: {nexts}"]
