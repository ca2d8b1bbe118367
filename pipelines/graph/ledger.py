"""What became of each node of one walk: its record or its error, and how the walk ended."""

from collections.abc import Iterable
from typing import Literal

from cluster.failures import EXIT, Failure
from cluster.storage import Store
from pipelines.graph.lookup import Identified
from pipelines.graph.outcome import Artifacts, NodeOutcome, Outcome
from pipelines.graph.record import Record
from pipelines.graph.telling import Telling


class Ledger:
    """Keeps what is known of nodes by name, and tells it as it becomes known."""

    def __init__(self, tell: Telling) -> None:
        self.tell = tell
        self.known: dict[str, Identified] = {}  # keys; of units too
        self.records: dict[str, Record] = {}  # of nodes that are cached or done
        self.outcomes: dict[str, NodeOutcome] = {}

    def took(self, name: str, record: Record, state: Literal["cached", "done"]) -> None:
        """Write down a result."""
        self.records[name] = record
        self.outcomes[name] = NodeOutcome(
            state=state,
            key=record.key,
            digest=record.digest,
            seconds=record.seconds,
            notes=record.body["notes"],
        )
        self.tell.node(name, state, key=record.key, seconds=record.seconds, digest=record.digest)

    def failed(self, name: str, error: Failure, code: int) -> None:
        """Write down a failure for good; of a map, that of the first unit that failed."""
        if name in self.outcomes:
            return
        key = self._key(name)
        self.outcomes[name] = NodeOutcome(state="failed", key=key, error=error, code=code)
        self.tell.failed(name, key=key, error=error, code=code)

    def skipped(self, name: str, why: str) -> None:
        """Write down a node that will not run."""
        if name not in self.outcomes:
            self.outcomes[name] = NodeOutcome(state="skipped")
            self.tell.node(name, "skipped", why=why)

    def stopped(self, name: str) -> None:
        """Write down a node that was running when the walk was told to stop."""
        if name not in self.outcomes:
            self.outcomes[name] = NodeOutcome(state="stopped", key=self._key(name))
            self.tell.node(name, "skipped", why="stopped")

    def interrupted(self, store: Store, names: Iterable[str]) -> Outcome:
        """Return the end of a walk that was told to stop; nodes not heard of were skipped."""
        for name in names:
            self.skipped(name, "interrupted")
        code = EXIT["interrupted"]
        return Outcome(
            status="interrupted", code=code, nodes=dict(self.outcomes), artifacts=self._at(store)
        )

    def ended(self, store: Store, names: Iterable[str]) -> Outcome:
        """Return the end of a walk that came to it; nodes not heard of were skipped."""
        for name in names:
            self.skipped(name, "something else failed")
        codes = [o.code for o in self.outcomes.values() if o.state == "failed"]
        if EXIT["interrupted"] in codes:
            return self.interrupted(store, ())
        return Outcome(
            status="failed" if codes else "done",
            code=codes[0] if codes else EXIT["done"],
            nodes=dict(self.outcomes),
            artifacts=self._at(store),
        )

    def _at(self, store: Store) -> Artifacts:
        """Return where artifacts lie; a map has no place of its own."""
        return Artifacts(store, {n: r for n, r in self.records.items() if r.units is None})

    def _key(self, name: str) -> str | None:
        known = self.known.get(name)
        return known.key if known else None
