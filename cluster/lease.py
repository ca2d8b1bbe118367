"""Who may write a run: numbered records, each created if absent, that carry the owner's epoch.

Two drivers cannot both create record n, so whoever takes a run over is the only one to go on; a
driver that finds a record of a higher epoch where it wanted to write stops. Beats only say when to
try: how long an owner was silent is judged by the watcher's own clock, while the watcher is awake.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

from cluster.numbered import Names, Numbered, Record, digits
from cluster.owner import Owner, steady_s
from cluster.storage import StorageError

TTL_S = 30.0  # of silence before a run may be taken over
BEAT_S = 2.0
POLL_S = 0.25

Say = Callable[[str], None]


class OwnedError(RuntimeError):
    """Another driver works on this run (exit 5)."""


class DeposedError(OwnedError):
    """This driver was taken for dead and another one works on the run (exit 5)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Who holds a run, and the number of the record that said so."""

    epoch: int
    owner: Owner


class Watch:
    """Reads a run's records and listens for signs of life of its holder; it sleeps nowhere."""

    def __init__(self, store: Names, place: str, *, ttl_s: float = TTL_S) -> None:
        self._store, self._place, self._ttl_s = store, place, ttl_s
        self._journal = journal(store, place)
        self._beat: list[str] | None = None
        self._at = steady_s()
        self.records: list[Record] = []
        self.silent_s = 0.0
        self.moved = False  # a sign of life was seen after the first look

    def look(self) -> Held | None:
        """Return the holder unless it gave the run back, is gone, or was silent for too long.

        Only time in which this process looked counts: a watcher that slept has heard nothing.
        """
        new = list(self._journal.since(len(self.records) + 1))
        self.records += new
        beat, now = self._store.list(f"{self._place}/beats")[-1:], steady_s()
        if new or beat != self._beat:
            self.moved = self._beat is not None
            self._beat, self.silent_s = beat, 0.0
        else:
            self.silent_s += min(now - self._at, 2 * BEAT_S)
        self._at = now
        held = holder(self.records)
        if held is None or held.owner.is_gone() or self.silent_s >= self._ttl_s:
            return None
        return held


class Lease:
    """The right to write a run, kept alive by a thread until `close`."""

    def __init__(
        self, store: Names, place: str, *, epoch: int, past: list[Record], ttl_s: float
    ) -> None:
        self.place, self.epoch, self.past = place, epoch, past
        self._store, self._ttl_s = store, ttl_s
        self._journal = journal(store, place)
        self._next = epoch + 1
        self._lock = threading.Lock()
        self._sure_at = steady_s()  # when this epoch was last known to be the highest
        self._deposed: DeposedError | None = None
        self._ends = threading.Event()
        self._beats = 0
        self._thread = threading.Thread(target=self._live, name="lease", daemon=True)
        self._thread.start()

    def record(self, kind: str, **body: Any) -> int:
        """Create the next record; return its number.

        Raises:
            DeposedError: another driver has taken the run over; nothing was written.
            StorageError: the store failed.
        """
        with self._lock:
            if self._deposed:
                raise self._deposed
            line = {"kind": kind, "epoch": self.epoch, **body}
            if not self._journal.create(self._next, line):
                self._look()
                raise StorageError(f"{self.place}: record {self._next} was written by nobody.")
            self._next += 1
            self._sure_at = steady_s()
            return self._next - 1

    def check(self) -> None:
        """Raise DeposedError if another driver has taken the run over.

        The store is asked only where this process has not been sure for half of the time after
        which others may take over: it slept, was stopped, or the store was slow.
        """
        with self._lock:
            if self._deposed:
                raise self._deposed
            if steady_s() - self._sure_at > self._ttl_s / 2:
                self._look()

    @property
    def deposed(self) -> DeposedError | None:
        """Return the error that says who took the run over, once that is known."""
        return self._deposed

    def close(self) -> None:
        """Give the run back, unless it was taken; where the store fails others wait for silence."""
        self._ends.set()
        self._thread.join(BEAT_S)
        try:
            self.record("release")
            for name in self._store.list(f"{self.place}/beats"):
                self._store.delete(f"{self.place}/beats/{name}")
        except (DeposedError, StorageError):
            return

    def __enter__(self) -> Self:
        """Hold the run."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self.close()

    def _live(self) -> None:
        while not self._ends.wait(BEAT_S):
            try:
                self._beat()
            except DeposedError:
                return
            except StorageError:
                continue  # a store that is away says nothing of the owner: `check` asks again

    def _beat(self) -> None:
        self._beats += 1
        folder, epoch = f"{self.place}/beats", digits(self.epoch)
        self._store.put_new(f"{folder}/{epoch}-{digits(self._beats)}", b"", sync="fast")
        self._store.delete(f"{folder}/{epoch}-{digits(self._beats - 1)}")
        with self._lock:
            self._look()

    def _look(self) -> None:
        """Read the record after our own last one: whoever takes over must create it."""
        takes = [r for r in self._journal.since(self._next) if r["epoch"] > self.epoch]
        takes = [r for r in takes if r["kind"] == "take"]
        if takes:
            who = Owner.told(takes[-1]["owner"])
            self._deposed = DeposedError(
                f"{_run(self.place)}: was taken over by {who.words()} (epoch {takes[-1]['n']}) "
                f"while this driver gave no sign of life; got epoch {self.epoch}. "
                "What this driver finished is kept; follow the other one."
            )
            raise self._deposed
        self._sure_at = steady_s()


def take(store: Names, place: str, *, ttl_s: float = TTL_S, say: Say | None = None) -> Lease:
    """Take a run: at once where nobody holds it or its owner is gone, else after a silence.

    Args:
        store: where the run is.
        place: the run's name in it, such as `runs/joint-1`.
        ttl_s: seconds without a sign of life after which a run is taken over.
        say: told in one sentence when the silence of an owner is waited for.

    Raises:
        OwnedError: its owner lives.
        StorageError, DamagedError: the store failed, or its records are no records.
    """
    while True:
        past = _abandoned(store, place, ttl_s=ttl_s, say=say)
        number = len(past) + 1
        body = {"kind": "take", "epoch": number, "owner": asdict(Owner.here())}
        if journal(store, place).create(number, body):
            return Lease(store, place, epoch=number, past=past, ttl_s=ttl_s)


def holder(said: list[Record]) -> Held | None:
    """Return who holds a run by its records; None: nobody, or it was given back."""
    takes = [record for record in said if record["kind"] == "take"]
    if not takes:
        return None
    last = takes[-1]
    if any(r["kind"] == "release" and r["epoch"] == last["epoch"] for r in said):
        return None
    return Held(epoch=last["epoch"], owner=Owner.told(last["owner"]))


def journal(store: Names, place: str) -> Numbered:
    """Return the records of a run."""
    return Numbered(store, f"{place}/journal")


def _abandoned(store: Names, place: str, *, ttl_s: float, say: Say | None) -> list[Record]:
    """Return the records of a run once there is no holder to fear; raise OwnedError if it lives."""
    watch, told = Watch(store, place, ttl_s=ttl_s), False
    while (held := watch.look()) is not None:
        who = held.owner.words()
        if watch.moved:
            raise OwnedError(
                f"{_run(place)}: is owned by {who} (epoch {held.epoch}); got a second driver. "
                f"Wait, stop it, or go on after {ttl_s:.0f} s without a sign of life."
            )
        if say is not None and not told and watch.silent_s > 2 * BEAT_S:
            told = True
            left = max(0.0, ttl_s - watch.silent_s)
            say(f"{_run(place)} is owned by {who}, which is silent; taken over in {left:.0f} s.")
        time.sleep(POLL_S)
    return watch.records


def _run(place: str) -> str:
    return f"run {place.rpartition('/')[2]}"
