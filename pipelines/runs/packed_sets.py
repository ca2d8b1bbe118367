"""Sets of shards as a run's page shows them: counts, what was left out and why, samples."""

import json
from collections.abc import Mapping
from pathlib import Path

from pipelines.graph.artifact import SHARDS
from pipelines.graph.node import Graph
from pipelines.report.parts import PackedSet

SAMPLES = 12  # pictures on a sheet
LEFT_OUT = 20  # pictures that are named
QUALITY = 60  # of JPEG: a sheet is looked at as a whole
SHEETS = 6  # sets that have one


def packed_sets(graph: Graph, artifacts: Mapping[str, Path]) -> list[PackedSet]:
    """Return every set of shards that a graph has made so far, in its order.

    Raises:
        ShardsError, PictureError: one of them cannot be read.
    """
    places = [
        (node.name, artifacts[node.name])
        for node in graph.every()
        if node.makes == SHARDS and node.name in artifacts
    ]
    return [_packed(name, place, sheet=i < SHEETS) for i, (name, place) in enumerate(places)]


def _packed(name: str, place: Path, *, sheet: bool) -> PackedSet:
    from components.data.class_counts import class_counts
    from components.data.contact_sheet import contact_sheet, of_shards
    from components.data.draw_boxes import jpeg
    from components.data.shards import Shards

    shards = Shards.open(place)
    counts = class_counts(shards)
    drawn = jpeg(contact_sheet(of_shards(place, count=SAMPLES)), quality=QUALITY) if sheet else None
    return PackedSet(
        name=name,
        pictures=len(shards),
        boxes=int(shards.record["boxes"]),
        supervision=shards.record["images_by_supervision"],
        quarantined=shards.record["quarantined"],
        noted=shards.record["noted"],
        left_out=_left_out(place / "quarantine.jsonl"),
        boxes_of=counts.boxes,
        labels_of=counts.labels,
        sheet=drawn,
    )


def _left_out(place: Path) -> list[tuple[str, str]]:
    """Return (picture, why) of the first pictures that were left out."""
    found: list[tuple[str, str]] = []
    with place.open(encoding="utf-8") as file:
        for line, _ in zip(file, range(LEFT_OUT), strict=False):
            row = json.loads(line)
            found.append((row["source_name"], f"{row['check']}: {row['text']}"))
    return found
