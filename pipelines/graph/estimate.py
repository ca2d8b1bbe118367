"""How long a node may take, by what its name has taken before."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipelines.graph.reasons import Past, flat
from pipelines.graph.record import Record

LATEST = 5  # records that are looked at
NEAR = 2.0  # times as many units, or as few: what a body needs to start is no great part

How = Literal["about", "at most", "at least", "last time"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds, and how they are meant; `last time` where it may be more or less now."""

    seconds: float
    how: How
    cpu_s: float = 0.0  # CPU seconds
    gpu_s: float = 0.0  # GPU seconds
    size: int = 0  # bytes of the result
    calls: int = 1  # that share the seconds: of a map its units


def estimate(before: Past, *, fn: str, settings: Any) -> Estimate | None:
    """Return what a node may take, or None where nothing is known.

    Where the settings say how many units are wanted (steps of training), it is the seconds a unit
    times the units, by the records with the nearest number of units (the median of them): other
    settings are taken to change nothing. A body also needs time to start, which is counted with
    its units: far from what was recorded the product is only the most, or the least, that it can
    be. Else it is the median of several bodies with these very settings, or what the last took.
    A body costs as many CPU and GPU seconds a second, and makes as many bytes, as earlier ones.

    Args:
        before: the records that the node's name has had.
        fn: label of its function; bodies of another are not counted.
        settings: of the node, plain.
    """
    records = [r for r in before.records if r.body["fn"] == fn][:LATEST]
    counted = [(record, _wanted(record, settings)) for record in records]
    told = [_scaled(record, *wanted) for record, wanted in counted if wanted is not None]
    if not told:
        alike = [record for record in records if record.body["settings"] == settings]
        if len(alike) > 1:
            return _made(alike, statistics.median(r.seconds for r in alike), "about")
        return _made(records[:1], records[0].seconds, "last time") if records else None
    ways = [way for way in told if way is not None]
    if not ways:
        return None
    times = min((times for times, _ in ways), key=lambda t: max(t, 1 / t))
    seconds = statistics.median(seconds for t, seconds in ways if t == times)
    near = 1 / NEAR <= times <= NEAR
    return _made(records, seconds, "about" if near else "at most" if times > 1 else "at least")


def of_units(before: Past, *, fn: str, count: int | None = None) -> Estimate | None:
    """Return what so many units of a map may take, each as long as those of the last maps.

    None: as many as the last map had.
    """
    maps = [(r, len(r.units)) for r in before.records if r.units and r.body["fn"] == fn][:LATEST]
    if not maps:
        return None
    count = maps[0][1] if count is None else count
    each = statistics.median(record.seconds / units for record, units in maps)
    size = statistics.median(record.body.get("unit_bytes", 0) / units for record, units in maps)
    made = _made([record for record, _ in maps], each * count, "about")
    return replace(made, size=int(size * count), calls=count)


def _made(records: Sequence[Record], seconds: float, how: How) -> Estimate:
    """Return an estimate whose cost a second, and whose bytes, are the medians of records."""
    timed = [record for record in records if record.seconds > 0]
    rates = {
        name: [r.body.get(name, 0.0) / r.seconds for r in timed] for name in ("cpu_s", "gpu_s")
    }
    cpu, gpu = (statistics.median(rate) if rate else 0.0 for rate in rates.values())
    size = int(statistics.median(_bytes(record) for record in records))
    return Estimate(seconds, how, cpu_s=cpu * seconds, gpu_s=gpu * seconds, size=size)


def _bytes(record: Record) -> int:
    return record.size if "files" in record.body else 0


def _scaled(record: Record, unit: str, count: float) -> tuple[float, float] | None:
    """Return how many times a record's units are wanted, and the seconds at its pace."""
    notes = record.body["notes"]
    done = notes["units"][unit] - notes.get("resumed_at", 0)  # an earlier attempt did the others
    return (count / done, record.seconds * count / done) if done > 0 and count > 0 else None


def _wanted(record: Record, settings: Any) -> tuple[str, float] | None:
    """Return the unit that a record counts, and how many the settings ask for, if they say so."""
    for unit in record.body["notes"].get("units", {}):
        found = [value for path, value in flat(settings) if path.rpartition(".")[2] == unit]
        if len(found) == 1 and isinstance(found[0], int | float):
            return unit, found[0]
    return None
