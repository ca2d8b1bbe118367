"""Who runs next: a pure function of the state and one event. No clock, no Ray, no store.

The driver resolves a node (is it cached?) as soon as its inputs are there, and tells the schedule;
the schedule says whom to submit. A gang (Train job, actor pool) is admitted only whole, the oldest
first; while it waits, at most BYPASS others that take what it needs pass it.
"""

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

BYPASS = 8
SLACK = 1e-9  # fractions of CPUs do not sum exactly


@dataclass(frozen=True, slots=True)
class Need:
    """What a running node takes."""

    cpus: float
    gpus: float = 0.0
    gang: bool = False

    def fits(self, cpus: float, gpus: float) -> bool:
        """Say whether this much is enough."""
        return self.cpus <= cpus + SLACK and self.gpus <= gpus + SLACK

    def meets(self, other: "Need") -> bool:
        """Say whether both take some of the same."""
        return (self.cpus > 0 and other.cpus > 0) or (self.gpus > 0 and other.gpus > 0)


@dataclass(frozen=True, slots=True)
class Job:
    """One node as the schedule sees it."""

    name: str
    after: tuple[str, ...]
    need: Need
    weight: float = 1.0  # expected seconds, or 1


@dataclass(frozen=True, slots=True)
class Capacity:
    """Event: what there is, at the start and when machines come or go."""

    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Event: a resolved node has no result, so it must run; also when a retry is due."""

    name: str
    alone: bool = False  # with nothing else, after it ran out of memory


@dataclass(frozen=True, slots=True)
class Finished:
    """Event: a node's result is there, cached or made."""

    name: str


@dataclass(frozen=True, slots=True)
class Freed:
    """Event: a running node failed and will be wanted again later."""

    name: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Event: a node failed for good; what uses it is skipped."""

    name: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Event: submit nothing more."""


Event = Capacity | Wanted | Finished | Freed | Failed | Drain


@dataclass(frozen=True, slots=True)
class Action:
    """What the driver must do. Resolve: find the key of a node whose inputs are there."""

    kind: Literal["resolve", "submit", "skip", "impossible", "end"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """Everything the schedule knows."""

    jobs: Mapping[str, Job]
    users: Mapping[str, tuple[str, ...]]
    rank: Mapping[str, tuple[float, str]]  # minus the longest remaining path, then name
    missing: Mapping[str, int]  # inputs not finished; a node leaves when it is resolved
    cpus: float = 0.0  # of the cluster
    gpus: float = 0.0
    running: Mapping[str, Need] = field(default_factory=dict[str, Need])
    queues: Mapping[Need, tuple[tuple[float, str], ...]] = field(
        default_factory=dict[Need, tuple[tuple[float, str], ...]]
    )  # ordinary nodes by need, best first
    gangs: tuple[str, ...] = ()  # oldest first
    lonely: tuple[str, ...] = ()  # wait until nothing runs
    passed: int = 0  # nodes that passed the oldest gang
    open: frozenset[str] = frozenset()  # resolved or due later: not queued, not ended
    draining: bool = False
    ended: bool = False


def start(
    jobs: tuple[Job, ...], *, cpus: float = 0.0, gpus: float = 0.0
) -> tuple[State, tuple[Action, ...]]:
    """Return the first state and the nodes to resolve; jobs are inputs first.

    What there is may also be told later by `Capacity`, but before the first `Wanted`.
    """
    users: dict[str, list[str]] = {job.name: [] for job in jobs}
    for job in jobs:
        for above in job.after:
            users[above].append(job.name)
    path: dict[str, float] = {}
    for job in reversed(jobs):
        path[job.name] = job.weight + max((path[u] for u in users[job.name]), default=0.0)
    state = State(
        jobs={job.name: job for job in jobs},
        users={name: tuple(below) for name, below in users.items()},
        rank={name: (-length, name) for name, length in path.items()},
        missing={job.name: len(job.after) for job in jobs if job.after},
        cpus=cpus,
        gpus=gpus,
        open=frozenset(job.name for job in jobs if not job.after),
    )
    resolve = tuple(Action("resolve", job.name) for job in jobs if not job.after)
    return (state, resolve) if jobs else (replace(state, ended=True), (Action("end"),))


def step(state: State, event: Event) -> tuple[State, tuple[Action, ...]]:
    """Take one event; return the next state and what to do, in order."""
    actions: list[Action] = []
    match event:
        case Capacity(cpus, gpus):
            state = replace(state, cpus=cpus, gpus=gpus)
            state = _drop_impossible(state, actions)
        case Wanted(name, alone):
            state = _want(state, name, actions, alone=alone)
        case Finished(name):
            state = _release(_close(state, name), name, actions)
        case Freed(name):
            state = replace(_close(state, name), open=state.open | {name})
        case Failed(name):
            state = _skip_below(_close(state, name), name, actions)
        case Drain():
            state = replace(state, draining=True)
    state = _admit(state, actions)
    return _end(state, actions), tuple(actions)


def free(state: State) -> tuple[float, float]:
    """Return CPUs and GPUs that nobody takes."""
    needs = state.running.values()
    return state.cpus - sum(n.cpus for n in needs), state.gpus - sum(n.gpus for n in needs)


def _close(state: State, name: str) -> State:
    running = {n: need for n, need in state.running.items() if n != name}
    return replace(state, running=running, open=state.open - {name})


def _want(state: State, name: str, actions: list[Action], *, alone: bool) -> State:
    need = state.jobs[name].need
    state = replace(state, open=state.open - {name})
    if not need.fits(state.cpus, state.gpus):
        actions.append(Action("impossible", name))
        return _skip_below(state, name, actions)
    if alone:
        return replace(state, lonely=(*state.lonely, name))
    if need.gang:
        return replace(state, gangs=(*state.gangs, name))
    queue = list(state.queues.get(need, ()))
    insort(queue, state.rank[name])
    return replace(state, queues={**state.queues, need: tuple(queue)})


def _release(state: State, name: str, actions: list[Action]) -> State:
    """Resolve the nodes whose last missing input this was."""
    missing, opened = dict(state.missing), set(state.open)
    for user in state.users[name]:
        if user in missing:
            missing[user] -= 1
            if not missing[user]:
                del missing[user]
                opened.add(user)
                actions.append(Action("resolve", user))
    return replace(state, missing=missing, open=frozenset(opened))


def _skip_below(state: State, name: str, actions: list[Action]) -> State:
    """Give up all that needs a node which has no result."""
    missing, todo = dict(state.missing), list(state.users[name])
    while todo:
        user = todo.pop()
        if user in missing:
            del missing[user]
            actions.append(Action("skip", user))
            todo.extend(state.users[user])
    return replace(state, missing=missing)


def _drop_impossible(state: State, actions: list[Action]) -> State:
    """Give up queued nodes that the shrunken cluster can never run."""
    queued = [n for queue in state.queues.values() for _, n in queue]
    for name in (*queued, *state.gangs, *state.lonely):
        if not state.jobs[name].need.fits(state.cpus, state.gpus):
            actions.append(Action("impossible", name))
            state = _skip_below(_unqueue(state, name), name, actions)
    return state


def _unqueue(state: State, name: str) -> State:
    need = state.jobs[name].need
    queue = tuple(entry for entry in state.queues.get(need, ()) if entry[1] != name)
    return replace(
        state,
        queues={**state.queues, need: queue},
        gangs=tuple(g for g in state.gangs if g != name),
        lonely=tuple(g for g in state.lonely if g != name),
    )


def _admit(state: State, actions: list[Action]) -> State:
    """Submit all that may run now: gangs, then the longest remaining path."""
    while not state.draining:
        name = _next(state)
        if name is None:
            break
        need = state.jobs[name].need
        if state.gangs:
            first = state.jobs[state.gangs[0]].need
            if name == state.gangs[0]:
                state = replace(state, passed=0)
            elif need.meets(first):
                state = replace(state, passed=state.passed + 1)
        state = replace(_unqueue(state, name), running={**state.running, name: need})
        actions.append(Action("submit", name))
    return state


def _next(state: State) -> str | None:
    cpus, gpus = free(state)
    if state.lonely:  # one that ran out of memory: first the machine empties, then it runs alone
        return state.lonely[0] if not state.running else None
    gang = state.jobs[state.gangs[0]].need if state.gangs else None
    if gang and gang.fits(cpus, gpus):
        return state.gangs[0]
    best: tuple[float, str] | None = None
    for need, queue in state.queues.items():
        held = gang is not None and need.meets(gang) and state.passed >= BYPASS
        if queue and not held and need.fits(cpus, gpus) and (best is None or queue[0] < best):
            best = queue[0]
    return best[1] if best else None


def _end(state: State, actions: list[Action]) -> State:
    waiting = any(state.queues.values()) or state.gangs or state.lonely or state.missing
    left = state.running or (not state.draining and (waiting or state.open))
    if left or state.ended:
        return state
    actions.append(Action("end"))
    return replace(state, ended=True)
