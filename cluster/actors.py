"""Map a function over shards with one gang of actors; a dead one is replaced, its shard redone.

An actor calls `start` once (it loads a model) and then the function for each shard it is given. A
pool stands in one placement group or not at all, so that two pools never hold half each. Every
shard comes back once, as soon as it is done, in no particular order: name things by the shard.
"""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from cluster.failures import Budget, Fail, Failure, decide
from cluster.ray_faults import GroupError
from cluster.workers import Report, never, silent

TICK_S = 0.5  # between two looks at `asked` while nothing happens

Start = Callable[[Any], Any]  # start(arg) -> what the function gets first, for example a model
Fn = Callable[[Any, Any], Any]  # fn(held, shard.value) -> a small plain value


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """Where a map runs: changes no result."""

    actors: int = 1
    cpus: float = 1.0  # of one actor; also its number of threads, at least 1
    gpus: float = 0.0  # of one actor
    memory: int = 0  # bytes of one actor; 0: not asked for
    in_flight: int = 2  # shards an actor has at most: one at work, the others wait for it
    budget: Budget = field(default_factory=Budget)  # how often one shard may lose its actor
    losses: int = 20  # actors that one map may lose, those of a preempted machine not counted
    room_s: float = 600.0  # seconds to wait for a place for all actors at once
    local: bool = False  # in this process, or with several actors in child processes; no Ray


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One piece of work: a name of its own (a digest), and what the function gets."""

    name: str
    value: Any = None
    units: float = 1.0  # how much it holds, for the rate and the time left


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A shard and what the function returned for it."""

    shard: Shard
    value: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What every actor of a pool is told once."""

    fn: Fn
    start: Start | None
    arg: Any
    threads: int
    where: str  # who is named when something fails

    def begin(self) -> Any:
        """Return what the function gets first."""
        return self.start(self.arg) if self.start else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What an actor told, or what became of it."""

    kind: Literal["ready", "value", "raised", "gone"]
    actor: int
    shard: str = ""
    value: Any = None
    failure: Failure | None = None


class Crew(Protocol):
    """Actors by number; a number is used again for a replacement."""

    def start(self, actor: int) -> None:
        """Begin to make an actor; it is heard of as ready, raised or gone."""
        ...

    def give(self, actor: int, shard: Shard) -> None:
        """Queue a shard at an actor that is ready."""
        ...

    def hear(self, timeout: float) -> list[Heard]:
        """Wait up to `timeout` seconds for news; what a dead actor still answered comes first."""
        ...

    def close(self) -> None:
        """End all actors at once and free what they held."""
        ...


@contextlib.contextmanager
def over_shards(
    fn: Fn,
    shards: Sequence[Shard],
    *,
    pool: Pool,
    name: str,
    start: Start | None = None,
    arg: Any = None,
    say: Report = silent,
    unit: str = "shards",
    before: float = 0.0,
    asked: Callable[[], bool] = never,
) -> Generator[Iterator[Done]]:
    """Open a pool over shards; give an iterator of what is done. Leaving frees all of it.

        with over_shards(label, shards, start=load, arg=path, pool=pool, name="teacher") as done:
            for each in done: ...

    Results are not held: while nobody takes the next one, actors finish what they have and wait.

    Args:
        fn: at the top level of a module. It may run twice for a shard whose actor died, so what it
            writes must take its place at the end only (`cluster.shard_folders`).
        shards: all names differ.
        pool: where it runs.
        name: who is named when something fails; one pool of a name at a time in a session.
        start: at the top level of a module; called once in each actor, with `arg`.
        arg: plain values and paths.
        say: told units done, units in all, and the rate and time left in words.
        unit: what a shard's units are, for people.
        before: units that an earlier attempt has done, for people.
        asked: asked twice a second; true: what is at work is finished, then kind `preempted`.

    Raises:
        GroupError: the function raised (kind as of its error, with the actor's traceback), an
            actor was lost too often, or there was no place for the gang in time.
    """
    names = Counter(shard.name for shard in shards)
    if twice := [shard for shard, times in names.items() if times > 1]:
        raise ValueError(f"{name}: shards have names of their own; got {twice[0]!r} twice.")
    if not shards:
        yield iter(())
        return
    pool = replace(pool, actors=min(max(1, pool.actors), len(shards)))
    threads = max(1, int(pool.cpus))
    job = Job(fn=fn, start=start, arg=arg, threads=threads, where=name)
    with contextlib.closing(_crew(job, pool, say=say)) as crew:
        work = _Work(shards, crew, pool=pool, name=name)
        yield work.results(_Telling(say, unit, shards, before), asked)


def _crew(job: "Job", pool: Pool, *, say: Report) -> Crew:
    if pool.local:
        from cluster.actors_local import ChildCrew, HereCrew

        return (HereCrew if pool.actors == 1 else ChildCrew)(job)
    from cluster.actors_ray import RayCrew

    return RayCrew(job, pool, say=say)


class _Work:
    """Which shards wait, and which actor has which, in the order they were given."""

    def __init__(self, shards: Sequence[Shard], crew: Crew, *, pool: Pool, name: str) -> None:
        self.todo = deque(shards)
        self.held: dict[int, deque[Shard]] = {}  # of actors that are ready
        self.crew, self.pool, self.name = crew, pool, name
        self.deaths = Counter[tuple[str, str]]()  # shard and kind of failure
        self.lost = 0

    def results(self, telling: "_Telling", asked: Callable[[], bool]) -> Iterator[Done]:
        """Give out shards and yield what comes back, each once."""
        for actor in range(self.pool.actors):
            self.crew.start(actor)
        stopping = False
        while self.todo or any(self.held.values()):
            stopping = stopping or asked()
            if stopping and not any(self.held.values()):
                text = f"{self.name}: asked to stop; {len(self.todo)} shards are not done."
                raise GroupError(Failure("preempted", self.name, text))
            if not stopping:
                self._feed()
            for heard in self.crew.hear(TICK_S):
                match heard.kind:
                    case "ready":
                        self.held[heard.actor] = deque()
                        telling.begin()
                    case "value":
                        shard = self._take(heard)
                        telling.add(shard)
                        yield Done(shard=shard, value=heard.value)
                    case "raised":
                        raise GroupError(_failure(heard))
                    case "gone":
                        self._replace(heard)
            telling.tell()

    def _feed(self) -> None:
        """Give waiting shards to those who have least."""
        while self.todo and self.held:
            actor = min(self.held, key=lambda each: (len(self.held[each]), each))
            if len(self.held[actor]) >= max(1, self.pool.in_flight):
                return
            shard = self.todo.popleft()
            self.held[actor].append(shard)
            self.crew.give(actor, shard)

    def _take(self, heard: Heard) -> Shard:
        held = self.held[heard.actor]
        shard = next(shard for shard in held if shard.name == heard.shard)
        held.remove(shard)
        return shard

    def _replace(self, heard: Heard) -> None:
        """Put back what a dead actor had, oldest first, and start another in its place."""
        failure = _failure(heard)
        had = self.held.pop(heard.actor, deque[Shard]())
        self.todo.extendleft(reversed(had))
        if failure.kind not in ("lost", "preempted"):  # out of memory: the graph's to judge
            raise GroupError(failure)
        shard = had[0].name if had else ""  # the one at work; none: it died before it was ready
        self.deaths[shard, failure.kind] += 1
        times = self.deaths[shard, failure.kind]
        self.lost += failure.kind == "lost"
        at = f"shard {shard}" if shard else "its start"
        verdict = decide(failure, attempt=times, policy=self.pool.budget)
        if isinstance(verdict, Fail):
            text = f"{failure.text} It was at {at}, {times} times."
            raise GroupError(replace(failure, kind="used_up", text=text))
        if self.lost > self.pool.losses:
            text = f"{failure.text} The pool lost {self.lost} actors; {self.pool.losses} may go."
            raise GroupError(replace(failure, kind="used_up", text=text))
        self.crew.start(heard.actor)


def _failure(heard: Heard) -> Failure:
    assert heard.failure is not None, heard.kind  # noqa: S101 - a crew's own contract
    return heard.failure


class _Telling:
    """How far a map is, how fast, and how long it will take."""

    def __init__(self, say: Report, unit: str, shards: Sequence[Shard], before: float) -> None:
        self.say, self.unit, self.before = say, unit, before
        self.total = before + sum(shard.units for shard in shards)
        self.done, self.since = 0.0, 0.0

    def begin(self) -> None:
        """Start the clock with the first actor: its start is not part of the rate."""
        self.since = self.since or time.monotonic()

    def add(self, shard: Shard) -> None:
        """Count a shard."""
        self.done += shard.units
        self.tell()

    def tell(self) -> None:
        """Say how far it is."""
        text = self.unit
        if self.done:
            rate = self.done / max(time.monotonic() - self.since, 1e-6)
            left = (self.total - self.before - self.done) / rate
            text = f"{self.unit}, {rate:.3g}/s, {_span(left)} left"
        self.say(self.before + self.done, self.total, text)


def _span(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} m {whole % 60} s" if whole < 3600 else f"{whole / 3600:.1f} h"
