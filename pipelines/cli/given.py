"""What a command was given, looked at before anything starts: each check returns its problems."""

import contextlib
import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import click

from pipelines.cli.work import WORK
from pipelines.runs.spelled import STORE
from pipelines.settings.problems import Problem, SettingsError

CUTS = {"--until": "until", "--from": "start", "--only": "only", "--force": "force"}

config_argument = click.argument("config", metavar="CONFIG")
settings_argument = click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
store_option = click.option(
    "--store", default=STORE, show_default=True, metavar="URI", help="Where results and runs are."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON objects on stdout, one a line."
)


insecure_option = click.option(
    "--insecure-cluster",
    "insecure",
    is_flag=True,
    help="Use a cluster that asks nobody for a token; for closed networks.",
)


def dashboard_option(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --address, the dashboard of a cluster, to a command."""
    text = "The dashboard of a cluster's head: http://HEAD:8265."
    return click.option("--address", required=required, metavar="URL", help=text)


def cut_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --until, --from, --only and --force to a command."""
    for name, text in (
        ("--force", "Run this node again although its result is there."),
        ("--only", "Run this node alone; what it needs must be there."),
        ("--from", "Run this node again, and all that use it."),
        ("--until", "Stop after this node."),
    ):
        option = click.option(name, CUTS[name], multiple=True, metavar="NODE", help=text)
        command = option(command)
    return command


def load_config(
    config: str, settings: Sequence[str], found: Sequence[Problem] = (), **how: Any
) -> Any:
    """Return what the config says, or raise its problems together with those found before."""
    try:
        loaded = WORK["load"](Path(config), tuple(settings), **how)
    except SettingsError as error:
        raise SettingsError([*found, *error.problems], file=config) from error
    wrong = [Problem.told(str(problem)) for problem in WORK["check"](loaded)]
    if found or wrong:
        raise SettingsError([*found, *wrong], file=config if wrong else "")
    return loaded


def warned(loaded: Any) -> list[str]:
    """Return what a loaded config is warned of: a line that counts, and one a warning."""
    count = len(loaded.warnings)
    head = f"{count} warning{'s' if count != 1 else ''}:"
    return [head, *(f"  {warning}" for warning in loaded.warnings)] if count else []


def check_store(where: str, *, mode: Literal["read", "write"] = "write") -> list[Problem]:
    """Say why a store cannot be used, or (mode read) cannot be looked at; nothing is written."""
    from cluster.storage import BUCKETS, StoreError, open_store

    try:
        root = open_store(where, mode="read").home
    except StoreError as error:
        return [Problem.told(str(error))]
    if _scheme(where) in BUCKETS:
        return []
    there = next(place for place in (root, *root.parents) if place.exists())
    if not there.is_dir():
        do = "Name another place."
        return [Problem(where="--store", what="a file is in the way", got=str(there), do=do)]
    if mode == "write" and not os.access(there, os.W_OK):
        do = "Name a place you may write to."
        return [Problem(where="--store", what="not writable", got=str(there), do=do)]
    return []


def check_address(address: str) -> list[Problem]:
    """Say why an address cannot be one; nothing is tried."""
    from cluster.session import AddressError, parse_address

    try:
        parse_address(address)
    except AddressError as error:
        return [Problem.told(f"--{error}")]
    return []


def check_dashboard(address: str) -> list[Problem]:
    """Say why an address cannot be that of a dashboard; nothing is tried."""
    from cluster.jobs import parse_url
    from cluster.session import AddressError

    try:
        parse_url(address)
    except AddressError as error:
        return [Problem.told(f"--{error}")]
    return []


def cuts_of(graph: Any, how: Mapping[str, Any]) -> Any:
    """Return the cuts of a command, or raise: a name is no node, or they contradict."""
    from pipelines.graph.cuts import Cuts, scope

    cuts = Cuts(**{name: tuple(how[name]) for name in CUTS.values()})
    with refusals():
        scope(graph, cuts)
    return cuts


class Number(click.FloatRange):
    """A number in a range; nan lies in none, which click does not know."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or refuse it in click's words."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return found


@contextlib.contextmanager
def refusals() -> Generator[None]:
    """Turn what the rooms below refuse, before anything starts, into problems of the user's."""
    from cluster.mlflow_door import TrackingError
    from cluster.parcel import ParcelError
    from cluster.reach import ClusterError
    from cluster.session import AddressError
    from cluster.storage import StoreError
    from pipelines.graph.cuts import CutError
    from pipelines.graph.frozen import FrozenError
    from pipelines.graph.lineage import UnknownResultError
    from pipelines.graph.outside import OutsideError
    from pipelines.graph.problem import GraphError
    from pipelines.graph.rebuilt import RebuildError
    from pipelines.runs.kept_runs import UnknownRunError

    try:
        yield
    except (
        AddressError,
        ClusterError,
        CutError,
        FrozenError,
        GraphError,
        OutsideError,
        ParcelError,
        StoreError,
        TrackingError,
        RebuildError,
        UnknownResultError,
        UnknownRunError,
    ) as error:
        raise SettingsError(map(Problem.told, str(error).splitlines())) from error


def refuse(found: Sequence[Problem]) -> None:
    """Raise what was found, if anything was."""
    if found:
        raise SettingsError(found)


def check_out(path: Path, *, option: str, keep: str) -> list[Problem]:
    """Say why a file cannot be written: a folder, no parent, or (keep) it is there already."""
    got = str(path.absolute())
    if path.is_dir():
        do = "Name a file in it."
        return [Problem(where=option, what="expected a file", got=f"the folder {got}", do=do)]
    if path.exists() and not path.is_file():
        what = "expected a file that can be replaced"
        return [Problem(where=option, what=what, got=f"the device {got}", do="Name a file.")]
    if not path.absolute().parent.is_dir():
        do = f"Make it: mkdir -p {path.absolute().parent}"
        return [Problem(where=option, what="its folder is not there", got=got, do=do)]
    if keep and path.exists():
        return [Problem(where=option, what="is there already, and is kept", got=got, do=keep)]
    if not os.access(path.absolute().parent, os.W_OK):
        do = "Name a place you may write to."
        return [Problem(where=option, what="not writable", got=got, do=do)]
    return []


def read_names(where: str, *, option: str) -> tuple[str, ...]:
    """Return the names in a file, one a line; raise its problem."""
    what, got = "", str(Path(where).absolute())
    try:
        text = Path(where).read_text(encoding="utf-8-sig")
        names = tuple(dict.fromkeys(filter(None, map(str.strip, text.splitlines()))))
        what = "" if names else "no name in this file"
    except (OSError, UnicodeDecodeError) as error:
        names, what = (), "no list that can be read"
        got = f"{got}: {error.strerror if isinstance(error, OSError) else 'not UTF-8'}"
    if what:
        do = "Name a text file with one class a line."
        raise SettingsError([Problem(where=option, what=what, got=got, do=do)])
    return names


def find_model(model: str, *, store: str) -> tuple[Path, list[Problem]]:
    """Return the directory of a model: a path, or the name of a run in the store."""
    from cluster.storage import BUCKETS

    tried = [Path(model), Path(model) / "model"]
    if any((place / "model.json").is_file() for place in tried):
        return next(place for place in tried if (place / "model.json").is_file()), []
    if _scheme(store) in BUCKETS:
        return _find_model_in_bucket(model, store=store)
    runs = Path(store.removeprefix("file://")) / "runs"
    tried.append(runs / model / "model")
    if (tried[2] / "model.json").is_file():
        return tried[2], []
    names = sorted(p.name for p in runs.glob("*") if p.is_dir()) if runs.is_dir() else []
    what = "no model here (a directory with model.json)"
    got = ", ".join(str(place.absolute()) for place in (tried[0], tried[2]))
    do = f"Runs in the store: {', '.join(names[-10:])}." if names else "Make one: vocabox run."
    return tried[0], [Problem(where="MODEL", what=what, got=got, do=do)]


def _find_model_in_bucket(run: str, *, store: str) -> tuple[Path, list[Problem]]:
    """Bring the model of a run here; return its directory."""
    from cluster.storage import StoreError, open_store
    from pipelines.runs.carried import bring_model

    try:
        opened = open_store(store, mode="read")
    except StoreError as error:
        return Path(run), [Problem.told(str(error))]
    plain = "/" not in run and run not in ("", ".", "..")
    place = bring_model(opened, run) if plain else None
    if place is not None and (place / "model.json").is_file():
        return place, []
    what, names = "no model here and no run of this name in the store", opened.list("runs")
    do = f"Runs in the store: {', '.join(names[-10:])}." if names else "Make one: vocabox run."
    got = f"{Path(run).absolute()}, {store.rstrip('/')}/runs/{run}"
    return Path(run), [Problem(where="MODEL", what=what, got=got, do=do)]


def _scheme(store: str) -> str:
    return store.partition("://")[0] if "://" in store else ""


def find_pictures(names: Sequence[str]) -> tuple[list[Path], list[Problem]]:
    """Return the picture files that files, folders and patterns name, in order, none twice."""
    from components.data.sources.folders import FOREIGN, PICTURES  # the others are left out, named

    found: dict[Path, None] = {}
    problems: list[Problem] = []
    for name in names:
        place = Path(os.path.relpath(name)) if name and not os.path.isabs(name) else Path(name)
        if not name:
            inside, what, do = [], "an empty name", "Check what the shell put there."
        elif place.is_dir():
            inside = sorted(p for p in place.rglob("*") if p.suffix.lower() in PICTURES + FOREIGN)
            what, do = "a folder without a picture", f"Pictures end in {', '.join(PICTURES)}."
        elif place.is_file():
            found[place] = None  # by its name, hidden or not
            continue
        elif any(mark in name for mark in "*?["):
            root = Path(place.anchor) if place.is_absolute() else Path()
            pattern = str(place.relative_to(place.anchor) if place.is_absolute() else place)
            what, do = "a pattern that matches no file", "Check the path."
            try:
                inside = sorted(p for p in root.glob(pattern) if p.is_file())
            except ValueError as error:  # ** beside other letters
                inside, what = [], f"not a pattern ({error})"
        else:
            inside, what, do = [], "no such file or folder", "Check the path."
        if not inside:
            got = str(place.absolute())
            problems.append(Problem(where="IMAGES", what=what, got=got, do=do))
        found |= dict.fromkeys(p for p in inside if not p.name.startswith("."))
    once = {os.path.abspath(path): path for path in reversed(found)}
    return list(reversed(once.values())), problems
