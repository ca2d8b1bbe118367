"""What a run leaves in its directory: the model, the metrics, the page."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from cluster.storage import Store
from pipelines.graph.outcome import Outcome
from pipelines.graph.plan import Plan
from pipelines.graph.record import Record
from pipelines.report.page import render
from pipelines.report.parts import Page, Previous
from pipelines.runs.directory import RunDirectory, write_whole
from pipelines.runs.loading import Loaded
from pipelines.runs.loss_curves import Curves, curves_of, with_earlier
from pipelines.runs.node_rows import maker, node_rows, records_of
from pipelines.runs.packed_sets import packed_sets
from pipelines.runs.previous import previous_run
from pipelines.runs.scored_sets import scored_sets
from pipelines.runs.spelled import command
from pipelines.runs.transferred import transfer_metrics, transferred

T = TypeVar("T")
SCORES, ANALYSIS = "evaluate", "analysis"  # nodes


def metrics_of(artifacts: Mapping[str, Path]) -> dict[str, float | None]:
    """Return the metrics of evaluation and analysis, where there; a mean over nothing is None."""
    found: dict[str, float | None] = {}
    if (place := artifacts.get(SCORES)) is not None:
        found |= json.loads((place / "metrics.json").read_text())
    if (place := artifacts.get(ANALYSIS)) is not None:
        found |= transfer_metrics(place)
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in found.items()
    }


def keep_model(directory: RunDirectory, artifacts: Mapping[str, Path], *, of: str) -> str | None:
    """Copy the model, the artifact of node `of`, into the run's directory; return its place."""
    place = artifacts.get(of)
    if place is None:
        return None
    half = directory.path / ".model"
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(place, half)
    shutil.rmtree(directory.model, ignore_errors=True)
    half.rename(directory.model)
    return str(directory.model)


def keep_numbers(
    directory: RunDirectory,
    artifacts: Mapping[str, Path],
    metrics: Mapping[str, float | None],
) -> None:
    """Write the run's metrics.json, and copy its per_class.parquet."""
    place = artifacts.get(SCORES)
    if place is None:
        return
    text = json.dumps(metrics, sort_keys=True, indent=1, allow_nan=False)
    write_whole(directory.path / "metrics.json", text)
    half = directory.path / ".per_class.parquet"
    shutil.copyfile(place / "per_class.parquet", half)
    half.replace(directory.path / "per_class.parquet")


def write_report(
    loaded: Loaded,
    directory: RunDirectory,
    planned: Plan,
    outcome: Outcome,
    *,
    store: Store,
    metrics: Mapping[str, float | None],
    reason: str | None,
) -> str:
    """Write the run's page; return its place. A part that cannot be had is a note on it."""
    commands = [command("show", str(loaded.file), loaded.overrides, store=store.uri)]
    if loaded.graph.model in outcome.artifacts:
        predict = command("predict", str(directory.model))
        commands.insert(0, f"{predict} PICTURES --out detections.json --draw pictures")
    parts = _Parts()
    made = records_of(outcome, store)
    scores = outcome.artifacts.get(SCORES)
    page = Page(
        run=directory.run,
        recipe=loaded.recipe,
        status=outcome.status,
        reason=reason or "",
        metrics=metrics,
        nodes=node_rows(planned, outcome, made=made, run=directory.run, events=directory.events),
        curves=parts.take("curves", lambda: _curves(directory, planned, made), {}),
        sets=parts.take("data", lambda: packed_sets(loaded.graph, outcome.artifacts), []),
        scored=parts.take("scores", lambda: scored_sets(scores) if scores else [], []),
        transferred=parts.take(
            "transfer", lambda: transferred(outcome.artifacts.get(ANALYSIS)), None
        ),
        previous=parts.take("previous run", lambda: _previous(loaded, directory, store), None),
        settings=loaded.resolved,
        commands=commands,
        notes=parts.notes,
    )
    write_whole(directory.report, render(page))
    return str(directory.report)


class _Parts:
    """Takes parts of a page; what goes wrong with one is noted, for the run itself has ended."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def take(self, name: str, make: Callable[[], T], otherwise: T) -> T:
        """Return a part, or what stands in its place when it cannot be made."""
        try:
            return make()
        except Exception as error:
            self.notes.append(f"{name}: not shown; got {type(error).__name__}: {error}.")
            return otherwise


def _curves(directory: RunDirectory, planned: Plan, made: Mapping[str, Record]) -> Curves:
    """Return the curves of this run, and of the runs that made what it found, inputs first."""
    runs = directory.path.parent
    makers = {name: runs / maker(record) / "events.jsonl" for name, record in made.items()}
    found = with_earlier(curves_of(directory.events), makers)
    return {entry.name: found[entry.name] for entry in planned.nodes if entry.name in found}


def _previous(loaded: Loaded, directory: RunDirectory, store: Store) -> Previous | None:
    return previous_run(directory, store=store.home, recipe=loaded.recipe, settings=loaded.resolved)
