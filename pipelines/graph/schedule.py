"""Who runs next: a pure function of the state and one event. No clock, no Ray, no store.

The driver resolves a node (is it cached?) as soon as its inputs are there, and tells the schedule;
the schedule says whom to submit. A gang (Train job, actor pool) is admitted only whole, the oldest
first; while it waits, at most BYPASS calls that take what it needs pass it. Cheap nodes of one
group go several to a call.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import replace

from pipelines.graph.schedule_state import (
    Action,
    Back,
    Capacity,
    Drain,
    Event,
    Failed,
    Finished,
    Freed,
    Job,
    Queue,
    Ready,
    Sized,
    Spread,
    State,
    Wanted,
)

BYPASS = 8
IN_FLIGHT = 4  # calls a CPU, of nodes that may share one, however little each takes


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
    first = [job.name for job in jobs if not job.after]
    state = State(
        jobs={job.name: job for job in jobs},
        users={name: tuple(below) for name, below in users.items()},
        rank={name: (-length, name) for name, length in path.items()},
        missing={job.name: len(job.after) for job in jobs if job.after},
        total=Capacity(cpus, gpus),
        open=len(first),
    )
    resolve = tuple(Action("resolve", name) for name in first)
    return (state, resolve) if jobs else (replace(state, ended=True), (Action("end"),))


def step(state: State, event: Event) -> tuple[State, tuple[Action, ...]]:
    """Take one event; return the next state and what to do, in order."""
    actions: list[Action] = []
    match event:
        case Capacity():
            state = _drop_impossible(replace(state, total=event), actions)
        case Wanted(name, alone):
            state = _want(state, name, actions, alone=alone)
        case Ready(names):
            for name in names:
                state = _want(state, name, actions)
        case Back(name):
            state = replace(state, running={**state.running, name: None})
        case Finished(name):
            state = _release(_close(state, name), name, actions)
        case Freed(name):
            state = _close(state, name)
            state = replace(state, open=state.open + 1, single=state.single | {name})
        case Failed(name):
            state = _skip_below(_close(state, name), name, actions)
        case Spread(name, units):
            state = _spread(state, name, units)
        case Sized(group, most):
            state = replace(state, sizes={**state.sizes, group: most})
        case Drain():
            state = replace(state, draining=True)
    state = _admit(state, actions)
    return _end(state, actions), tuple(actions)


def free(state: State) -> Capacity:
    """Return what nobody takes."""
    needs = [need for need in state.running.values() if need is not None]
    return Capacity(
        state.total.cpus - sum(n.cpus for n in needs),
        state.total.gpus - sum(n.gpus for n in needs),
        state.total.memory - sum(n.memory for n in needs),
    )


def _close(state: State, name: str) -> State:
    """Take a node out of those that run, or of those that are open."""
    if name not in state.running:
        return replace(state, open=state.open - 1)
    return replace(state, running={n: need for n, need in state.running.items() if n != name})


def _want(state: State, name: str, actions: list[Action], *, alone: bool = False) -> State:
    job = state.jobs[name]
    state = replace(state, open=state.open - 1)
    if not job.need.fits(state.total):
        actions.append(Action("impossible", name))
        return _skip_below(state, name, actions)
    if alone:
        return replace(state, lonely=(*state.lonely, name))
    if job.need.gang:
        return replace(state, gangs=(*state.gangs, name))
    key = (job.need, "" if name in state.single else job.group)
    queue = list(state.queues.get(key, ()))
    insort(queue, state.rank[name])
    return replace(state, queues={**state.queues, key: tuple(queue)})


def _spread(state: State, name: str, units: tuple[Job, ...]) -> State:
    """Put the units of a map before it: it is resolved again when the last one is there."""
    below = state.rank[name][0]
    return replace(
        state,
        jobs={**state.jobs, **{unit.name: unit for unit in units}},
        users={**state.users, **{unit.name: (name,) for unit in units}},
        rank={**state.rank, **{u.name: (below - u.weight, u.name) for u in units}},
        missing={**state.missing, name: len(units)},
        open=state.open - 1 + len(units),
    )


def _release(state: State, name: str, actions: list[Action]) -> State:
    """Resolve the nodes whose last missing input this was."""
    users = [user for user in state.users[name] if user in state.missing]
    if not users:
        return state
    missing, opened = dict(state.missing), 0
    for user in users:
        missing[user] -= 1
        if not missing[user]:
            del missing[user]
            opened += 1
            actions.append(Action("resolve", user))
    return replace(state, missing=missing, open=state.open + opened)


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
    queued = [name for queue in state.queues.values() for _, name in queue]
    for name in (*queued, *state.gangs, *state.lonely):
        if not state.jobs[name].need.fits(state.total):
            actions.append(Action("impossible", name))
            state = _skip_below(_unqueue(state, (name,)), name, actions)
    return state


def _unqueue(state: State, names: Iterable[str]) -> State:
    gone = set(names)
    queues = {
        key: tuple(entry for entry in queue if entry[1] not in gone)
        for key, queue in state.queues.items()
    }
    return replace(
        state,
        queues={key: queue for key, queue in queues.items() if queue},
        gangs=tuple(g for g in state.gangs if g not in gone),
        lonely=tuple(g for g in state.lonely if g not in gone),
    )


def _admit(state: State, actions: list[Action]) -> State:
    """Submit all that may run now: gangs, then the longest remaining path."""
    while not state.draining:
        names, queue = _next(state)
        if not names:
            break
        need = state.jobs[names[0]].need
        if state.gangs:
            first = state.jobs[state.gangs[0]].need
            if names[0] == state.gangs[0]:
                state = replace(state, passed=0)
            elif need.meets(first):
                state = replace(state, passed=state.passed + 1)
        if queue is None:
            state = _unqueue(state, names)
        else:
            left = {**state.queues, queue: state.queues[queue][len(names) :]}
            state = replace(state, queues={key: rest for key, rest in left.items() if rest})
        taken = {**state.running, names[0]: need, **dict.fromkeys(names[1:])}
        state = replace(state, running=taken)
        actions.append(Action("submit", names[0], along=names[1:]))
    return state


def _next(state: State) -> tuple[tuple[str, ...], Queue | None]:
    """Return the nodes of the next call, and the queue they stand first in, if any."""
    left = free(state)
    if state.lonely:  # one that ran out of memory: first the machine empties, then it runs alone
        return ((), None) if state.running else (state.lonely[:1], None)
    gang = state.jobs[state.gangs[0]].need if state.gangs else None
    if gang and gang.fits(left):
        return state.gangs[:1], None
    calls = sum(need is not None and not need.gang for need in state.running.values())
    crowded = calls >= IN_FLIGHT * max(1.0, state.total.cpus)
    best: Queue | None = None
    for key, queue in state.queues.items():
        need = key[0]
        held = gang is not None and need.meets(gang) and state.passed >= BYPASS
        held |= crowded and bool(key[1])
        if not held and need.fits(left) and (best is None or queue[0] < state.queues[best][0]):
            best = key
    return (_together(state, best), best) if best else ((), None)


def _together(state: State, key: Queue) -> tuple[str, ...]:
    """Return the first of a queue that go in one call: no more than leaves work for all CPUs."""
    need, group = key
    queue = state.queues[key]
    places = state.total.cpus // need.cpus if need.cpus else IN_FLIGHT * state.total.cpus
    fair = -(-len(queue) // int(max(1.0, places)))
    return tuple(name for _, name in queue[: min(state.sizes.get(group, 1), fair)])


def _end(state: State, actions: list[Action]) -> State:
    waiting = state.queues or state.gangs or state.lonely or state.missing
    left = state.running or (not state.draining and (waiting or state.open))
    if left or state.ended:
        return state
    actions.append(Action("end"))
    return replace(state, ended=True)
