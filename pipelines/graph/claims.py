"""Two runs that want one result: one makes it, the other waits.

A claim is advice: whoever loses a race computes the same bytes again, and the first record counts.
A worker claims a key before it begins; a driver whose worker met another run's claim tries again
until the result is there, or until that run is silent and its claim may be taken.
"""

import json
import uuid
from contextlib import suppress
from dataclasses import dataclass

from cluster.lease import TTL_S, Watch
from cluster.numbered import Names
from cluster.storage import StorageError
from pipelines.graph.record import home

TRIES = 4
BEGUN = "begun"  # below the scratch of a key: a name for each run that left some there
AGAIN_S = 1.0  # between two tries of a node that another run is making


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimant:
    """For whom a worker works: a run, its owner's epoch, and the claim it may take, if any."""

    run: str
    epoch: int = 0
    over: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What stands on a key: who makes it, and a mark that no other claim has."""

    run: str
    epoch: int
    mark: str


def claim(store: Names, key: str, claimant: Claimant) -> Claim:
    """Claim a key; return the claim that stands, which is another run's where that was first.

    A claim of the same run is of a worker that died, or of an owner that is gone: it is taken. So
    is one that names nobody: a power cut left it, and there is no run to wait for.
    """
    mine = Claim(run=claimant.run, epoch=claimant.epoch, mark=uuid.uuid4().hex)
    body = {"run": mine.run, "epoch": mine.epoch, "mark": mine.mark}
    present = mine
    for _ in range(TRIES):
        if store.put_new(_name(key), json.dumps(body).encode(), sync="fast"):
            return mine
        present = _read(store, key)
        if present is None:
            continue
        if present.run not in ("", mine.run) and present.mark != claimant.over:
            return present
        store.delete(_name(key))
    return mine  # others come and go: advice was asked for and is not to be had


def let_go(store: Names, claimed: Claim, key: str) -> None:
    """Remove a claim if it still stands; one that stays is taken when its run is silent."""
    with suppress(StorageError):
        if _read(store, key) == claimed:
            store.delete(_name(key))


def give_up(store: Names, run: str, key: str) -> None:
    """Remove the claim of a worker that died, when its run, which lives on, tries no more."""
    with suppress(StorageError):
        standing = _read(store, key)
        if standing is not None and standing.run == run:
            store.delete(_name(key))


class Rivals:
    """The other runs whose claims the workers of this one have met."""

    def __init__(self, store: Names, *, ttl_s: float = TTL_S) -> None:
        self._store, self._ttl_s = store, ttl_s
        self._watches: dict[str, Watch] = {}
        self._met: dict[str, Claim] = {}  # node -> the claim its worker met

    def meet(self, node: str, met: Claim) -> str | None:
        """Remember that a node waits for a run; return a sentence the first time."""
        known = self._met.get(node)
        self._met[node] = met
        if known is not None and known.run == met.run:
            return None
        return f"waits for {met.run}, which is making the same result"

    def taken(self, node: str) -> str | None:
        """Return the mark of the claim that a node may take: whose run, or its driver, is gone."""
        met = self._met.get(node)
        if met is None:
            return None
        place = f"runs/{met.run}"
        watch = self._watches.setdefault(met.run, Watch(self._store, place, ttl_s=self._ttl_s))
        held = watch.look()
        return None if held is not None and held.epoch == met.epoch else met.mark


def _name(key: str) -> str:
    return f"{home(key)}/claim"


def _read(store: Names, key: str) -> Claim | None:
    data = store.read(_name(key))
    if data is None:
        return None
    try:
        return Claim(**json.loads(data))
    except (ValueError, TypeError):  # cut short by a crash: it says nothing
        return Claim(run="", epoch=0, mark="")
