"""One map while it runs: its units, which of them are there, and the record that lists them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.storage import Store
from pipelines.graph.commit import described, publish
from pipelines.graph.lookup import Identified
from pipelines.graph.payload import Call
from pipelines.graph.record import Record


class Spread:
    """The units of one map. Elements that are equal are one unit, run once."""

    def __init__(self, known: Identified, units: Sequence[Identified]) -> None:
        self.known = known
        self.order = [unit.key for unit in units]
        width = len(str(len(units)))
        self.units: dict[str, Identified] = {}  # by the name that the schedule knows
        self.numbers: dict[str, int] = {}  # name -> which of the list, the first of equal ones
        seen: set[str] = set()
        for number, unit in enumerate(units):
            if unit.key not in seen:
                seen.add(unit.key)
                name = f"{known.node.name}[{number:0{width}d}]"
                self.units[name], self.numbers[name] = unit, number
        self.records: dict[str, Record] = {}  # by key

    def missing(self, *, forced: bool) -> list[str]:
        """Return the names of the units that must run; the others are taken as they are."""
        names: list[str] = []
        for name, unit in self.units.items():
            if unit.record is None or unit.damage or forced:
                names.append(name)
            else:
                self.records[unit.key] = unit.record
        return names

    def done(self) -> tuple[int, int]:
        """Return how many of the list are there, and how many it has."""
        return sum(key in self.records for key in self.order), len(self.order)

    def commit(self, store: Store, call: Mapping[str, Any]) -> Record:
        """Create the map's record, when all of its units are there.

        Args:
            store: where the units are.
            call: the fields of the map's `Call`, as a worker would get them.
        """
        records = [self.records[key] for key in self.order]
        bodies = [record.body for record in self.records.values()]
        spent = {name: round(sum(b[name] for b in bodies), 6) for name in ("cpu_s", "gpu_s")}
        body = {
            **described(Call(**call), seconds=sum(b["seconds"] for b in bodies), cpu_s=0.0),
            **spent,
            "files": {},
            "unit_bytes": sum(record.size for record in self.records.values()),
            "units": [[record.key, record.digest] for record in records],
            "attempt": uuid.uuid4().hex,
            "started": min((b["started"] for b in bodies), default=0.0),
            "rss_max": max((b["rss_max"] for b in bodies), default=0),
            "notes": {},
        }
        return publish(store, body, "yes")
