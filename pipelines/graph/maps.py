"""The maps of one walk that run: which unit is whose, what is told of it, what its failure is."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from cluster.failures import Failure
from cluster.storage import Store
from pipelines.graph.lookup import Identified
from pipelines.graph.record import Record
from pipelines.graph.spread import Spread
from pipelines.graph.telling import Telling


class Maps:
    """Maps by name, and their units by the names that the schedule knows."""

    def __init__(self, tell: Telling) -> None:
        self._tell = tell
        self._spreads: dict[str, Spread] = {}
        self._above: dict[str, str] = {}  # name of a unit -> its map

    def __contains__(self, name: str) -> bool:
        """Say whether this is a map whose units are known."""
        return name in self._spreads

    def begin(self, name: str, spread: Spread, *, forced: bool) -> dict[str, Identified]:
        """Take the units of a map; return those that must run."""
        self._spreads[name] = spread
        missing = dict.fromkeys(spread.missing(forced=forced), name)
        if missing:
            self._above |= missing
            self._tell.of_map(name, spread.numbers)
            if there := {u: one for u, one in spread.units.items() if u not in missing}:
                self._tell.reused(name, {spread.numbers[u]: one.key for u, one in there.items()})
            self._tell.node(name, "running", key=spread.known.key)
            self._tell.units(name, spread.done())
        return {unit: spread.units[unit] for unit in missing}

    def of(self, name: str) -> str:
        """Return the map of a unit; the name itself of what is no unit."""
        return self._above.get(name, name)

    def number(self, name: str) -> int | None:
        """Return which of its map's list a unit is; None of what is no unit."""
        above = self._above.get(name)
        return self._spreads[above].numbers[name] if above else None

    def took(self, name: str, record: Record, state: Literal["cached", "done"]) -> bool:
        """Take the record of a unit; return False of what is no unit."""
        above = self._above.get(name)
        if above is None:
            return False
        self._spreads[above].records[record.key] = record
        self._tell.unit(name, state, key=record.key)
        return True

    def told(self, names: Iterable[str]) -> None:
        """Tell how far the maps of these are of which some are units."""
        for above in {self._above[name] for name in names if name in self._above}:
            self._tell.units(above, self._spreads[above].done())

    def failed(self, name: str, error: Failure) -> Failure:
        """Tell that a unit failed for good; return that as the failure of its map."""
        above, number = self._above.get(name), self.number(name)
        if above is None:
            return error
        spread = self._spreads[above]
        said = error.text.removeprefix(f"{name}: ").removeprefix(f"{above}: ")
        self._tell.unit(name, "failed", key=spread.units[name].key)
        return replace(error, where=above, text=f"unit {number} of {len(spread.order)}: {said}")

    def commit(self, name: str, store: Store, call: Mapping[str, Any]) -> Record:
        """Create the record of a map whose units are all there; `call` is as a worker gets it."""
        return self._spreads[name].commit(store, call)
