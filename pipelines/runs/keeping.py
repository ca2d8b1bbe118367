"""What `vocabox store` does: list, collect, verify, pin; each opens the store that it is about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from cluster.storage import Store, StoreError, open_store
from pipelines.graph.garbage import Doomed, Kind, find_garbage, sweep
from pipelines.graph.record import Record
from pipelines.graph.stored import is_unit, stored
from pipelines.graph.verifying import Verdict, put_aside
from pipelines.graph.verifying import verify as look
from pipelines.runs import kept_runs

PINS: dict[str, Callable[[Store, str], None]] = {"pin": kept_runs.pin, "unpin": kept_runs.unpin}


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What went or would go, and what stays."""

    doomed: tuple[Doomed, ...]
    kept: int  # results
    runs: int  # whose results stay
    live: tuple[str, ...]  # runs that somebody works on
    now: float  # by the store's clock

    def of(self, kind: Kind) -> list[Doomed]:
        """Return what went of one kind."""
        return [one for one in self.doomed if one.kind == kind]


def open_marked(where: str, *, mode: Literal["read", "write"] = "read") -> Store:
    """Open a store that is there: a folder without the mark of one is refused.

    Raises:
        StoreError: no store is here, or it cannot be used.
    """
    store = open_store(where, mode="read")
    if not store.exists("format"):
        raise StoreError(
            f"--store: no store is here (there is no 'format' in it); got {store.uri}. "
            "Name the store of a run."
        )
    return store if mode == "read" else open_store(where)


def results(where: str) -> list[Record]:
    """List all results, by recipe, node, and time; a map stands for its units."""
    every = [one.record for one in stored(open_marked(where)) if one.record]
    found = [record for record in every if not is_unit(record)]
    return sorted(found, key=lambda r: (r.body["recipe"], r.body["node"], -r.body["started"]))


def collect(
    where: str, *, delete: Literal["no", "yes"], keep_runs: int, grace_s: float
) -> Collected:
    """Find what no kept run needs; delete it if told to."""
    store = open_marked(where, mode="write")
    roots = kept_runs.roots(store, keep_runs=keep_runs)
    garbage = find_garbage(store, roots, grace_s=grace_s)
    doomed = garbage.doomed
    if delete == "yes":
        doomed = tuple(sweep(store, garbage, keep=kept_runs.roots(store, keep_runs=keep_runs)))
    return Collected(
        doomed=doomed,
        kept=garbage.kept,
        runs=len(roots.runs),
        live=tuple(sorted(roots.live)),
        now=garbage.now,
    )


def verify(
    where: str, *, check: Literal["sizes", "all"], repair: Literal["no", "yes"]
) -> Iterator[tuple[Verdict, str]]:
    """Yield each thing that was looked at, and where it was moved if it is damaged and may be."""
    store = open_marked(where, mode="write" if repair == "yes" else "read")
    for verdict in look(store, check=check):
        moves = bool(verdict.faults) and repair == "yes"
        yield verdict, put_aside(store, verdict) if moves else ""


def pin(where: str, run: str, *, how: Literal["pin", "unpin"]) -> None:
    """Keep a run's results whatever comes after it, or no more."""
    PINS[how](open_marked(where, mode="write"), run)
