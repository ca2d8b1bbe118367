"""How a run in a store stands, told from what it left there: no driver is asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cluster.journal import every_event
from cluster.lease import holder, journal
from cluster.storage import Store
from pipelines.runs.carried import bring_runs
from pipelines.runs.directory import RunDirectory


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A run: how it ended, or that it has not, and how each node stands."""

    run: str
    status: Literal["done", "failed", "interrupted", "not finished"]
    heard: float | None  # seconds since 1970 of its last event
    nodes: Mapping[str, str] = field(default_factory=dict[str, str])  # name -> state
    reason: str | None = None
    driver: str | None = None  # who works on it, unless that process is surely gone


def runs_in(store: Store) -> list[RunDirectory]:
    """List the runs of all recipes in a store, by name and number; what is elsewhere is brought."""
    for recipe in sorted({name.rpartition("-")[0] for name in store.list("runs")}):
        bring_runs(store, recipe=recipe)
    places = [p for p in (store.home / "runs").glob("*-*") if (p / "config.json").is_file()]
    found = [(m[1], int(m[2]), p) for p in places if (m := re.fullmatch(r"(.+)-(\d+)", p.name))]
    return [RunDirectory(run=place.name, path=place) for _, _, place in sorted(found)]


def standing(directory: RunDirectory, store: Store) -> Standing:
    """Read how a run stands; what comes after an ending was begun anew."""
    heard, nodes = None, dict[str, str]()
    ended: dict[str, Any] = {}
    for event in every_event(directory.events):
        heard = float(event.get("time", 0.0))
        ended = event if event.get("event") == "finished" else {}
        if event.get("event") == "node":
            nodes[str(event["node"])] = str(event["state"])
    return Standing(
        run=directory.run,
        status=ended.get("status", "not finished"),
        heard=heard,
        nodes=nodes,
        reason=ended.get("reason"),
        driver=None if ended else _driver(store, directory.run),
    )


def _driver(store: Store, run: str) -> str | None:
    held = holder(list(journal(store, f"runs/{run}").since(1)))
    return held.owner.words() if held and not held.owner.is_gone() else None
