"""Events of a run while this driver owns it; what is finished is recorded once in the run."""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.lease import DeposedError, Lease
from cluster.owner import steady_s

FLUSH_S = 0.5  # results told within this time share one record
RESULTS = ("done", "cached")


class Fenced:
    """Hands events on until another driver takes the run over; then it is silent."""

    def __init__(self, lease: Lease, emit: Callable[[Mapping[str, Any]], None]) -> None:
        self._lease, self._emit = lease, emit
        self._known = recorded(lease.past)
        self._new: dict[str, str] = {}
        self._found = False  # some of the new ones were there: nothing else says that we need them
        self._flushed = steady_s()

    @property
    def lost(self) -> DeposedError | None:
        """Return the error that says who took the run over, if somebody did."""
        return self._lease.deposed

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Record what is finished, then tell it; what was found, before anything that uses it."""
        try:
            self._lease.check()
            self._new |= results(event)
            self._found |= event["event"] == "reused" or event.get("state") == "cached"
            used = self._found and event.get("state") == "running"
            if used or steady_s() - self._flushed > FLUSH_S:
                self.flush()
        except DeposedError:
            return
        if event["event"] != "reused":
            self._emit({**event, "epoch": self._lease.epoch})

    def flush(self) -> None:
        """Record the results that are not recorded yet, each once in a run.

        Raises:
            DeposedError: another driver owns the run.
        """
        new = {node: key for node, key in self._new.items() if self._known.get(node) != key}
        self._new, self._found = {}, False
        self._flushed = steady_s()
        if new:
            self._lease.record("done", nodes=new)
            self._known |= new


def results(event: Mapping[str, Any]) -> dict[str, str]:
    """Return node -> key of the results that an event tells of; a unit of a map is node[number]."""
    if event["event"] == "reused":
        return {f"{event['node']}[{number}]": key for number, key in event["keys"].items()}
    if event.get("state") not in RESULTS or not event.get("key"):
        return {}
    unit = f"[{event['unit']}]" if event["event"] == "unit" else ""
    return {f"{event['node']}{unit}": event["key"]}


def recorded(records: list[dict[str, Any]]) -> dict[str, str]:
    """Return node -> key of the results that a run has recorded, of units too."""
    found: dict[str, str] = {}
    for record in records:
        if record["kind"] == "done":
            found |= record["nodes"]
    return found
