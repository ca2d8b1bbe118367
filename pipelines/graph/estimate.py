"""How long a node may take, by what its name has taken before."""

import statistics
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.graph.reasons import Past, flat
from pipelines.graph.record import Record

LATEST = 5  # records that an estimate is the median of


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds; `about` where the work is known, `last time` where it may be more or less now."""

    seconds: float
    how: Literal["about", "last time"]


def estimate(before: Past, *, fn: str, settings: Any) -> Estimate | None:
    """Return what a node may take, or None where nothing is known.

    Where the settings say how many units are wanted (steps of training), it is the median of the
    seconds a unit times the units: other settings are taken to change nothing. Else it is what the
    last body took.

    Args:
        before: the records that the node's name has had.
        fn: label of its function; bodies of another are not counted.
        settings: of the node, plain.
    """
    records = [r for r in before.records if r.body["fn"] == fn][:LATEST]
    rates = [rate for rate in (_scaled(record, settings) for record in records) if rate is not None]
    if rates:
        return Estimate(statistics.median(rates), "about")
    if records and not any(_wanted(r, settings) for r in records):
        return Estimate(records[0].seconds, "last time")
    return None


def _scaled(record: Record, settings: Any) -> float | None:
    """Return the seconds that the units wanted take at the pace of a record."""
    wanted = _wanted(record, settings)
    if wanted is None:
        return None
    unit, count = wanted
    notes = record.body["notes"]
    done = notes["units"][unit] - notes.get("resumed_at", 0)  # an earlier attempt did the others
    return record.seconds / done * count if done > 0 else None


def _wanted(record: Record, settings: Any) -> tuple[str, float] | None:
    """Return the unit that a record counts, and how many the settings ask for, if they say so."""
    for unit in record.body["notes"].get("units", {}):
        found = [value for path, value in flat(settings) if path.rpartition(".")[2] == unit]
        if len(found) == 1 and isinstance(found[0], int | float):
            return unit, found[0]
    return None
