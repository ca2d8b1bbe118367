"""What a run leaves in its directory: the model, the metrics, the page."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.journal import read_events
from pipelines.graph.node import upstream
from pipelines.graph.outcome import Outcome
from pipelines.report.page import ClassRow, NodeRow, Page, Picture, render
from pipelines.runs.directory import RunDirectory, write_whole
from pipelines.runs.loading import Loaded

MODEL, SCORES = "stage2", "evaluate"  # nodes


def metrics_of(artifacts: Mapping[str, Path]) -> dict[str, float | None]:
    """Return the metrics of the evaluation, if it is there; a mean over nothing is None."""
    place = artifacts.get(SCORES)
    if place is None:
        return {}
    found = json.loads((place / "metrics.json").read_text())
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in found.items()
    }


def keep_model(directory: RunDirectory, artifacts: Mapping[str, Path]) -> str | None:
    """Copy the last model into the run's directory; return its place."""
    place = artifacts.get(MODEL)
    if place is None:
        return None
    half = directory.path / ".model"
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(place, half)
    shutil.rmtree(directory.model, ignore_errors=True)
    half.rename(directory.model)
    return str(directory.model)


def write_report(
    loaded: Loaded,
    directory: RunDirectory,
    outcome: Outcome,
    *,
    metrics: Mapping[str, float | None],
    status: str,
    reason: str | None,
) -> str:
    """Write the run's page; return its place."""
    commands = [f"vocabox show {loaded.file} --store {directory.path.parents[1]}"]
    if MODEL in outcome.artifacts:
        commands.insert(
            0, f"vocabox predict {directory.model} PICTURES --out detections.json --draw pictures"
        )
    page = Page(
        run=directory.run,
        recipe=loaded.recipe,
        status=status,
        reason=reason or "",
        metrics=metrics,
        nodes=_nodes(loaded, outcome),
        curves=_curves(directory),
        classes=_classes(outcome.artifacts.get(SCORES)),
        pictures=_pictures(outcome.artifacts.get(SCORES)),
        settings=loaded.resolved,
        commands=commands,
    )
    write_whole(directory.report, render(page))
    return str(directory.report)


def _nodes(loaded: Loaded, outcome: Outcome) -> list[NodeRow]:
    rows: list[NodeRow] = []
    for node in loaded.graph.every():
        ended = outcome.nodes.get(node.name)
        if ended is None:
            continue
        rows.append(
            NodeRow(
                name=node.name,
                state=ended.state,
                seconds=ended.seconds,
                key=ended.key or "",
                inputs=tuple(source.name for source in upstream(node)),
                why=ended.error.text if ended.error else "",
            )
        )
    return rows


def _curves(directory: RunDirectory) -> dict[str, dict[str, list[tuple[float, float]]]]:
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for event in read_events(directory.events)[0]:
        if event.get("event") == "metrics":
            of_node = curves.setdefault(event["node"], {})
            for name, value in event["values"].items():
                of_node.setdefault(name, []).append((float(event["step"]), float(value)))
    return curves


def _classes(place: Path | None) -> list[ClassRow]:
    if place is None:
        return []
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(place / "per_class.parquet").to_pylist()
    return [
        ClassRow(
            test=row["test"],
            name=row["class"],
            group=row["group"],
            truths=row["truths"],
            AP=row["AP"],
            AP50=row["AP50"],
        )
        for row in rows
    ]


def _pictures(place: Path | None) -> list[Picture]:
    folder = None if place is None else place / "pictures"
    if folder is None or not folder.is_dir():
        return []
    return [Picture(caption=p.stem, jpeg=p.read_bytes()) for p in sorted(folder.iterdir())]
