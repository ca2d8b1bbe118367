"""A config as a job: the page with every setting in it, the command there, and the run's name."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from cluster.parcel import PAGE, Parcel, pack
from pipelines.runs.loading import Loaded
from pipelines.settings.problems import Problem, SettingsError
from pipelines.settings.reading import plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """All that a cluster is sent. The same code, settings, store and cuts have the same name."""

    run: str
    command: str
    parcel: Parcel
    store: str


def submission_of(
    loaded: Loaded, *, store: str, cuts: Sequence[str] = (), flags: Sequence[str] = ()
) -> Submission:
    """Return what to send for a config.

    Args:
        loaded: the config; its paths start there from the folder that they start from here.
        store: as the user named it; a folder is made absolute, for the job stands elsewhere.
        cuts: options of `vocabox run` that choose a part of the graph.
        flags: further options of it, which do not make another run.

    Raises:
        SettingsError: the store's address holds a password.
        ParcelError: the packages are too large to be sent.
    """
    place = _absolute(store)
    command = ["python", "-m", "pipelines.cli.entry", "run", PAGE, "--address", "auto"]
    command += ["--paths-from", str(loaded.root), "--store", place, *cuts]
    page = yaml.safe_dump(plain(loaded.cfg), sort_keys=False, allow_unicode=True)
    parcel = pack(page)
    name = sha256(json.dumps([parcel.digest, command]).encode()).hexdigest()[:12]
    return Submission(
        run=f"{loaded.recipe}-{name}",
        command=shlex.join([*command, *flags]),
        parcel=parcel,
        store=place,
    )


def _absolute(store: str) -> str:
    parts = urlsplit(store)
    if parts.username or parts.password:
        shown = f"{parts.scheme}://***@{parts.hostname or ''}{parts.path}"
        do = "Leave it out: everybody on the cluster can read a job's command."
        raise SettingsError([Problem(where="--store", what="holds a password", got=shown, do=do)])
    return store if "://" in store else str(Path(store).expanduser().absolute())
