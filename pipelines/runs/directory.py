"""STORE/runs/<run>/: one directory a run, taken up again until it is finished."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.storage import LocalStore


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

    def finish(self, store: LocalStore, how: Mapping[str, Any]) -> None:
        """Write how the run ended, once: what a driver says that was followed is not heard."""
        text = json.dumps(how, sort_keys=True, indent=1)
        store.put_new(f"runs/{self.run}/finished.json", text.encode())


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def take(store: LocalStore, *, recipe: str, config: str) -> RunDirectory:
    """Return the newest unfinished run of this config, or begin the next one.

    Args:
        store: where runs are.
        recipe: the first part of a run's id; ids are `<recipe>-<n>`, n from 1.
        config: digest of the resolved settings; the same settings go on with the same run.
    """
    text = json.dumps({"version": 1, "config": config}).encode()
    while True:
        # a folder without its config is of a driver that begins now, or died then: meet it there
        runs = [d for d in listed(store.root, recipe=recipe) if d.config() is not None]
        for directory in reversed(runs):
            if directory.config() == config and directory.finished() is None:
                return directory
        number = int(runs[-1].run.rpartition("-")[2]) + 1 if runs else 1
        store.put_new(f"runs/{recipe}-{number}/config.json", text)  # or another driver was first


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
