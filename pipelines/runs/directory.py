"""STORE/runs/<run>/: one directory a run, taken up again until it is finished."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.storage import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDirectory:
    """Where one run keeps its events, its model, its report, and how it ended."""

    run: str
    path: Path

    @property
    def events(self) -> Path:
        """Return the file of events, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def model(self) -> Path:
        """Return the directory of the last model."""
        return self.path / "model"

    @property
    def report(self) -> Path:
        """Return the page of the run."""
        return self.path / "report.html"

    def finished(self) -> dict[str, Any] | None:
        """Return how the run ended, or None while it has not."""
        place = self.path / "finished.json"
        return json.loads(place.read_text()) if place.is_file() else None

    def config(self) -> str | None:
        """Return the digest of the settings that the run was begun with."""
        place = self.path / "config.json"
        return json.loads(place.read_text())["config"] if place.is_file() else None

    def finish(self, store: Store, how: Mapping[str, Any]) -> None:
        """Write how the run ended, once: what a driver says that was followed is not heard."""
        text = json.dumps(how, sort_keys=True, indent=1)
        if store.put_new(f"runs/{self.run}/finished.json", text.encode()):
            _here(self.path / "finished.json", text)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def take(store: Store, *, recipe: str, config: str) -> RunDirectory:
    """Return the newest unfinished run of this config, or begin the next one.

    Args:
        store: where runs are; those of an object store were brought here before.
        recipe: the first part of a run's id; ids are `<recipe>-<n>`, n from 1.
        config: digest of the resolved settings; the same settings go on with the same run.
    """
    text = json.dumps({"version": 1, "config": config})
    while True:
        # a folder without its config is of a driver that begins now, or died then: meet it there
        runs = [d for d in listed(store.home, recipe=recipe) if d.config() is not None]
        for directory in reversed(runs):
            if directory.config() == config and directory.finished() is None:
                return directory
        number = int(runs[-1].run.rpartition("-")[2]) + 1 if runs else 1
        name = f"runs/{recipe}-{number}/config.json"
        taken = None if store.put_new(name, text.encode()) else store.read(name)
        _here(store.home / name, text if taken is None else taken.decode())


def _here(path: Path, text: str) -> None:
    """Write what an object store was told on this machine too; a folder has it already."""
    if not path.is_file():
        write_whole(path, text)


def finished_before(store: Path, *, recipe: str, config: str) -> RunDirectory | None:
    """Return the newest run of this config that ended well, or None."""
    for directory in reversed(listed(store, recipe=recipe)):
        how = directory.finished()
        if how and how.get("status") == "done" and directory.config() == config:
            return directory
    return None


def listed(store: Path, *, recipe: str) -> list[RunDirectory]:
    """List the runs of a recipe, oldest first."""
    found = [
        (int(match[1]), place)
        for place in (store / "runs").glob(f"{recipe}-*")
        if (match := re.fullmatch(rf"{re.escape(recipe)}-(\d+)", place.name)) and place.is_dir()
    ]
    return [RunDirectory(run=place.name, path=place) for _, place in sorted(found)]
