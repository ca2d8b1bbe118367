"""Run directories lie on one machine; with an object store they are carried there and back."""

import re
from collections.abc import Callable
from pathlib import Path

from cluster.storage import StorageError, Store
from pipelines.runs.directory import RunDirectory

TOLD = frozenset({"config.json", "events.jsonl", "finished.json", "metrics.json", "sent.json"})
RESULTS = TOLD | {"model/", "report.html", "per_class.parquet"}
ENDED = frozenset({"finished.json"})


def bring_runs(store: Store, *, recipe: str) -> None:
    """Bring here what the runs of a recipe said and how they ended, but not their models.

    A run that was begun here and is not known to have ended elsewhere stays as it is here.
    """
    for run in store.list("runs"):
        if re.fullmatch(rf"{re.escape(recipe)}-\d+", run) is None:
            continue
        here = store.home / "runs" / run
        if (here / "finished.json").is_file():
            continue
        if (here / "config.json").is_file():
            store.fetch(f"runs/{run}", only=ENDED)
            if not (here / "finished.json").is_file():
                continue
        store.fetch(f"runs/{run}", only=TOLD)


def bring_model(store: Store, run: str) -> Path | None:
    """Bring the model of a run here; return its folder, or None where the run left none."""
    if run not in store.list("runs"):
        return None
    place = store.fetch(f"runs/{run}", only=frozenset({"model/"}))
    return None if place is None else place / "model"


def bring_results(store: Store, run: str) -> None:
    """Bring here what a finished run is asked for: its page, its numbers, its model."""
    store.fetch(f"runs/{run}", only=RESULTS)


def keep_run(store: Store, directory: RunDirectory, *, say: Callable[[str], None]) -> None:
    """Carry a run's directory into the store as it is now; what is in the way is only said."""
    try:
        store.keep(f"runs/{directory.run}", directory.path)
    except StorageError as error:
        say(f"{directory.run}: is not in the store, only in {directory.path}; got {error}.")
