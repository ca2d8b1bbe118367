"""What the node `analysis` wrote, as a run's page shows it."""

import json
from pathlib import Path
from typing import Any

from pipelines.nodes.analyse import FILE
from pipelines.report.parts import Transferred


def transferred(place: Path | None) -> Transferred | None:
    """Return what became of a classifier's rows; None where the run had no such node."""
    if place is None:
        return None
    told = _read(place)
    return Transferred(
        method=told["method"],
        classes=told["classes"],
        shared=told["shared"],
        asked=told["asked"],
        kept=[(float(k), float(count)) for k, count in enumerate(told["kept"], 1)],
        lengths=told["lengths"],
    )


def transfer_metrics(place: Path) -> dict[str, float | None]:
    """Return the metrics of the analysis."""
    return _read(place)["metrics"]


def _read(place: Path) -> dict[str, Any]:
    return json.loads((place / FILE).read_text(encoding="utf-8"))
