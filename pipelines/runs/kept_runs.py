"""Which runs of a store are kept: the newest, those somebody works on, those that are pinned."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from cluster.lease import Watch, holder, journal
from cluster.storage import Store
from pipelines.graph.garbage import Roots, clock
from pipelines.runs.fenced import recorded

KEEP_RUNS = 20
DEAD_S = 86400.0  # without a sign of life, by the store's clock: nobody works on a run any more


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRun:
    """One run: when something was last written of it, and why it is kept."""

    run: str
    stamp: float  # seconds, by the store's clock
    live: bool
    pinned: bool


class UnknownRunError(ValueError):
    """There is no run of that name (exit 2)."""


def every_run(store: Store) -> list[KeptRun]:
    """List the runs of a store, newest first; its clock is asked, so it is open for writing.

    A driver elsewhere may have died in silence: one that gave no sign of life for a day has.
    """
    pins, now = set(store.list("pins")), clock(store)
    found: list[KeptRun] = []
    for run in store.list("runs"):
        stamp, beat = _stamp(store, run), store.measure(f"runs/{run}/beats")
        heard = max(stamp, beat[1] if beat else 0.0)
        live = now - heard < DEAD_S and Watch(store, f"runs/{run}").look() is not None
        found.append(KeptRun(run=run, stamp=stamp, live=live, pinned=run in pins))
    return sorted(found, key=lambda entry: (-entry.stamp, entry.run))


def roots(store: Store, *, keep_runs: int = KEEP_RUNS) -> Roots:
    """Return what is not to be collected: of the newest runs, of live and of pinned ones."""
    runs = every_run(store)
    kept = [entry for i, entry in enumerate(runs) if i < keep_runs or entry.live or entry.pinned]
    live = frozenset(entry.run for entry in kept if entry.live)
    return Roots(
        keys=frozenset(key for entry in kept for key in keys_of(store, entry.run)),
        runs=frozenset(entry.run for entry in kept),
        live=live,
        since=min((_begun(store, run) for run in live), default=float("inf")),
    )


def keys_of(store: Store, run: str) -> Iterable[str]:
    """Yield the keys of the results that a run made or found, as far as it came."""
    yield from recorded(list(journal(store, f"runs/{run}").since(1))).values()
    try:
        said = json.loads(store.read(f"runs/{run}/finished.json") or b"{}")
    except ValueError:
        return  # what it made names the run itself
    for node in said.get("nodes", {}).values():
        if node.get("key"):
            yield node["key"]


def pin(store: Store, run: str) -> None:
    """Keep a run until it is unpinned.

    Raises:
        UnknownRunError: there is none.
    """
    _check(store, run)
    store.put_new(f"pins/{run}", b"")


def unpin(store: Store, run: str) -> None:
    """Let a run go the way of the others.

    Raises:
        UnknownRunError: there is none.
    """
    _check(store, run)
    store.delete(f"pins/{run}")


def _check(store: Store, run: str) -> None:
    runs = store.list("runs")
    if run not in runs:
        listed = ", ".join(runs[-10:]) or "none"
        raise UnknownRunError(f"RUN: no such run; got '{run}'. The runs are {listed}.")


def _stamp(store: Store, run: str) -> float:
    """Return when something was last written of a run, without a look at its large files."""
    places = [f"runs/{run}/{name}" for name in ("config.json", "finished.json", "events.jsonl")]
    places += [f"runs/{run}/journal/{name}" for name in store.list(f"runs/{run}/journal")[-1:]]
    return max((found[1] for place in places if (found := store.measure(place))), default=0.0)


def _begun(store: Store, run: str) -> float:
    """Return when the holder of a run took it."""
    held = holder(list(journal(store, f"runs/{run}").since(1)))
    names = store.list(f"runs/{run}/journal")
    place = names[held.epoch - 1] if held and held.epoch <= len(names) else names[0]
    found = store.measure(f"runs/{run}/journal/{place}")
    return found[1] if found else 0.0
