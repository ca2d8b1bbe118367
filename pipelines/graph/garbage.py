"""What in a store nothing needs any more: marked from the runs that are kept, swept when old.

Never garbage: what a kept run made or used, all it was made from, and the texts of its code; what
is younger than the grace time or than the beginning of a run that lives; records that cannot be
read and what lies beside them; `quarantine/`; the folders of runs.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cluster.storage import Store
from pipelines.graph.claims import BEGUN
from pipelines.graph.record import Record, home
from pipelines.graph.stored import MANIFEST, Stored, makers, stored

Kind = Literal["result", "attempt", "work", "code", "name"]
WORDS: dict[Kind, tuple[str, str]] = {
    "result": ("result", "results"),
    "attempt": ("attempt that did not count", "attempts that did not count"),
    "work": ("scratch folder", "scratch folders"),
    "code": ("text of code", "texts of code"),
    "name": ("name of what is gone", "names of what is gone"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Roots:
    """What is kept: results by key, all that these runs made, and all younger than a time."""

    keys: frozenset[str]
    runs: frozenset[str]
    live: frozenset[str] = frozenset()  # runs that somebody works on now
    since: float = float("inf")  # when the oldest of them was begun, by the store's clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Doomed:
    """One thing to go."""

    kind: Kind
    name: str  # in the store
    size: int  # bytes
    stamp: float  # newest in it, seconds by the store's clock
    record: Record | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Garbage:
    """What is to go, and how much stays."""

    doomed: tuple[Doomed, ...]
    kept: int  # results
    now: float  # by the store's clock


def clock(store: Store) -> float:
    """Return the time by the store's own clock, in seconds: of a marker written now."""
    name = f"garbage/{uuid.uuid4().hex}"
    store.put_new(name, b"", sync="fast")
    found = store.measure(name)
    store.delete(name)
    if found is None:
        raise RuntimeError(f"{name}: written and not there; got none. Look at the store.")
    return found[1]


def marked(every: Iterable[Stored], roots: Roots) -> frozenset[str]:
    """Return the keys that kept runs need: what they made or used, and all above it."""
    records = {one.key: one.record for one in every if one.record}
    todo = [key for key in roots.keys if key in records]
    todo += [key for key, record in records.items() if record.body["run"] in roots.runs]
    found: set[str] = set()
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo += [above for above in makers(records[key]) if above in records]
    return frozenset(found)


def find_garbage(store: Store, roots: Roots, *, grace_s: float) -> Garbage:
    """Look at all of a store; nothing is deleted.

    Args:
        store: opened for writing, as its clock is asked by a marker.
        roots: what is kept.
        grace_s: seconds; what is younger stays.
    """
    now = clock(store)
    look = _Look(store, roots, before=min(now - grace_s, roots.since))
    every = list(stored(store))
    stay = marked(every, roots)
    for one in every:
        look.at(one, stays=one.key in stay)
    there = {one.key for one in every if one.record or one.torn} - look.gone
    look.at_work(there=there)
    look.at_code([one.record for one in every if one.record and one.key not in look.gone])
    look.at_names(there=there)
    return Garbage(doomed=tuple(look.doomed), kept=len(there), now=now)


@dataclass
class _Look:
    """One look over a store."""

    store: Store
    roots: Roots
    before: float  # what was written later stays
    doomed: list[Doomed] = field(default_factory=list[Doomed])
    gone: set[str] = field(default_factory=set[str])

    def at(self, one: Stored, *, stays: bool) -> None:
        """Doom a result that nobody needs, and the attempts beside it that do not count."""
        if claimant(self.store, one.key) in self.roots.live:
            return
        manifest = f"{home(one.key)}/{MANIFEST}"
        if one.record and not stays and self.doom("result", manifest, record=one.record):
            self.gone.add(one.key)
        for name in one.litter:
            self.doom("attempt", name)

    def at_work(self, *, there: set[str]) -> None:
        """Doom scratch: at once where the result is there, else when no kept run began it.

        A result that is there may be made again by force: what a live run works in stays.
        """
        for key in self.store.list("work"):
            by = claimant(self.store, key)
            if key in there and by not in self.roots.live:
                self.doom("work", f"work/{key}", at_once=True)
            elif not begun_by(self.store, key) & (self.roots.runs | self.roots.live):
                self.doom("work", f"work/{key}")

    def at_code(self, records: list[Record]) -> None:
        """Doom the texts of definitions that no result was made by."""
        used = {digest for record in records for digest in record.body["code"].values()}
        for first in self.store.list("code"):
            for digest in self.store.list(f"code/{first}"):
                if digest not in used:
                    self.doom("code", f"code/{first}/{digest}")

    def at_names(self, *, there: set[str]) -> None:
        """Doom the names of results that are not there, or are to go."""
        for recipe in self.store.list("names"):
            for node in self.store.list(f"names/{recipe}"):
                for key in self.store.list(f"names/{recipe}/{node}"):
                    if key not in there:
                        name = f"names/{recipe}/{node}/{key}"
                        self.doom("name", name, at_once=key in self.gone)

    def doom(
        self, kind: Kind, name: str, *, record: Record | None = None, at_once: bool = False
    ) -> bool:
        """Write down what is to go, if it is old enough."""
        found = self.store.measure(name)
        if found is None or (found[1] >= self.before and not at_once):
            return False
        size = record.size if record else found[0]
        self.doomed.append(Doomed(kind=kind, name=name, size=size, stamp=found[1], record=record))
        return True


def begun_by(store: Store, key: str) -> set[str]:
    """Return the runs that have scratch of a key: by its claim, or by what they left there."""
    return {claimant(store, key), *store.list(f"work/{key}/{BEGUN}")}


def claimant(store: Store, key: str) -> str:
    """Return the run whose claim stands on a key, or an empty text."""
    try:
        said = json.loads(store.read(f"{home(key)}/claim") or b"{}")
        return str(said.get("run", ""))
    except (ValueError, AttributeError):
        return ""  # cut short by a crash: it says nothing


def sweep(store: Store, garbage: Garbage, *, keep: Roots) -> list[Doomed]:
    """Delete what was found, records first; return what went.

    Args:
        store: opened for writing.
        garbage: what `find_garbage` found.
        keep: the roots as they are now: what a run came to need since then stays.
    """
    stay = marked(stored(store), keep)
    gone: list[Doomed] = []
    spared: set[str] = set()
    for one in sorted(garbage.doomed, key=lambda d: d.kind != "result"):
        if one.record and (one.record.key in stay or claimant(store, one.record.key) in keep.live):
            spared |= {one.record.key, *one.record.body["code"].values()}
        elif one.record:
            store.delete(one.name)
            store.drop(f"{home(one.record.key)}/{one.record.body['attempt']}")
            gone.append(one)
        elif one.name.rpartition("/")[2] not in spared:
            if one.kind in ("attempt", "work"):
                store.drop(one.name)
            else:
                store.delete(one.name)
            gone.append(one)
    return gone


def sums(doomed: Iterable[Doomed]) -> Mapping[Kind, tuple[int, int]]:
    """Return how many there are of each kind, and their bytes."""
    out: dict[Kind, tuple[int, int]] = {}
    for one in doomed:
        count, size = out.get(one.kind, (0, 0))
        out[one.kind] = (count + 1, size + one.size)
    return out
