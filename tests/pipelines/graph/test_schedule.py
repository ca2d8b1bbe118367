"""The pure schedule against a simulated cluster that refuses what does not fit."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.graph.schedule import BYPASS, start, step
from pipelines.graph.schedule_state import (
    Action,
    Capacity,
    Drain,
    Event,
    Failed,
    Finished,
    Freed,
    Job,
    Need,
    Wanted,
)


class Cluster:
    """Runs what is submitted, in random order, and counts."""

    def __init__(
        self, jobs: list[Job], *, cpus: float, seed: int, cached: frozenset[str] = frozenset()
    ) -> None:
        self.random = random.Random(seed)
        self.cpus, self.gpus, self.cached = cpus, 0.0, cached
        self.jobs = {job.name: job for job in jobs}
        self.running: list[str] = []
        self.log: list[str] = []
        self.skipped: set[str] = set()
        self.ended = 0
        self.failing: dict[str, int] = {}  # name -> times it fails before it works; -1 always
        self.state, actions = start(tuple(jobs), cpus=cpus, gpus=self.gpus)
        self.take(actions)

    def tell(self, event: Event) -> None:
        self.state, actions = step(self.state, event)
        self.take(actions)

    def take(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            assert not self.ended, "nothing comes after the end"
            if action.kind == "resolve":
                done = set(self.log) | self.cached
                assert set(self.jobs[action.name].after) <= done
                if action.name in self.cached:
                    self.tell(Finished(action.name))
                else:
                    self.tell(Wanted(action.name))
            elif action.kind == "submit":
                self.running.append(action.name)
                needs = [self.jobs[name].need for name in self.running]
                assert sum(n.cpus for n in needs) <= self.cpus + 1e-6, "too many CPUs"
                assert sum(n.gpus for n in needs) <= self.gpus + 1e-6, "too many GPUs"
            elif action.kind == "skip":
                self.skipped.add(action.name)
            elif action.kind == "end":
                self.ended += 1

    def run(self) -> None:
        for _ in range(10_000):
            if self.ended:
                break
            assert self.running, "nothing runs and nothing ends"
            name = self.running.pop(self.random.randrange(len(self.running)))
            if self.failing.get(name):
                self.failing[name] -= 1
                if self.failing[name] < 0:
                    self.tell(Failed(name))
                else:
                    self.tell(Freed(name))
                    self.tell(Wanted(name))
            else:
                self.log.append(name)
                self.tell(Finished(name))
        assert self.ended == 1


def _mix(seed: int) -> list[Job]:
    """45 nodes: 3 training gangs, 2 pools, 40 tasks, with random edges."""
    rng = random.Random(seed)
    kinds = [Need(2, gang=True)] * 3 + [Need(1, gang=True)] * 2 + [Need(1)] * 34 + [Need(0.5)] * 6
    rng.shuffle(kinds)
    jobs: list[Job] = []
    for i, need in enumerate(kinds):
        above = rng.sample([j.name for j in jobs], k=min(len(jobs), rng.choice([0, 0, 1, 2])))
        jobs.append(Job(f"n{i:02}", tuple(above), need, weight=rng.random() * 10))
    return jobs


@pytest.mark.parametrize("seed", range(100))
def test_every_shuffle_ends_and_nothing_is_overcommitted(seed: int) -> None:
    cluster = Cluster(_mix(seed), cpus=2, seed=seed)
    cluster.run()
    assert sorted(cluster.log) == sorted(cluster.jobs)


@pytest.mark.parametrize("seed", range(20))
def test_failures_skip_what_is_below_and_nothing_else(seed: int) -> None:
    jobs = _mix(seed)
    rng = random.Random(seed)
    cluster = Cluster(jobs, cpus=3, seed=seed)
    dead = set(rng.sample(sorted(cluster.jobs), 3))
    cluster.failing = {n: -1 for n in dead} | {n: 2 for n in rng.sample(sorted(cluster.jobs), 5)}
    dead = {n for n, times in cluster.failing.items() if times == -1}
    cluster.run()
    below: set[str] = set()
    for job in jobs:
        if set(job.after) & (below | dead):
            below.add(job.name)
    assert cluster.skipped == below
    assert set(cluster.log) == set(cluster.jobs) - below - dead


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 2.0, 3.5, 8.0]), st.floats(0, 1))
def test_any_graph_ends_whatever_is_cached(seed: int, cpus: float, share: float) -> None:
    jobs = _mix(seed)
    rng = random.Random(seed)
    cached = frozenset(job.name for job in jobs if rng.random() < share)
    cluster = Cluster(jobs, cpus=cpus, seed=seed, cached=cached)
    cluster.run()
    if cpus >= 2:  # else the gangs of two never fit
        assert set(cluster.log) | cached == set(cluster.jobs)


def _submitted(actions: tuple[Action, ...]) -> list[str]:
    return [a.name for a in actions if a.kind == "submit"]


def test_a_waiting_gang_is_passed_a_bounded_number_of_times() -> None:
    small = [Job(f"s{i:02}", (), Need(1), weight=99) for i in range(30)]
    jobs = [*small, Job("gang", (), Need(2, gang=True))]
    state, _ = start(tuple(jobs), cpus=2, gpus=0)
    running: list[str] = []
    for job in jobs:
        state, actions = step(state, Wanted(job.name))
        running += _submitted(actions)
    passes = 0
    while "gang" not in running:
        state, actions = step(state, Finished(running.pop(0)))
        running += _submitted(actions)
        passes += len([n for n in _submitted(actions) if n != "gang"])
        assert passes <= BYPASS
    assert passes == BYPASS
    assert running == ["gang"]


def test_the_oldest_gang_goes_first_and_gangs_go_before_tasks() -> None:
    jobs = (
        Job("first", (), Need(2, gang=True)),
        Job("second", (), Need(1, gang=True), weight=50),
        Job("task", (), Need(1), weight=99),
    )
    state, _ = start(jobs, cpus=2, gpus=0)
    state, actions = step(state, Wanted("first"))
    assert _submitted(actions) == ["first"]
    state, _ = step(state, Wanted("task"))
    state, _ = step(state, Wanted("second"))
    _, actions = step(state, Finished("first"))
    assert _submitted(actions) == ["second", "task"]


def test_the_longest_remaining_path_goes_first_then_the_name() -> None:
    jobs = (
        Job("b", (), Need(1)),
        Job("a", (), Need(1)),
        Job("long", (), Need(1)),
        Job("longer", ("long",), Need(1), weight=5),
        Job("hold", (), Need(1)),
    )
    state, _ = start(jobs, cpus=1, gpus=0)
    state, _ = step(state, Wanted("hold"))
    for name in ("b", "a", "long"):
        state, _ = step(state, Wanted(name))
    order = []
    for name in ("hold", "long", "a"):
        state, actions = step(state, Finished(name))
        order += _submitted(actions)
    assert order == ["long", "a", "b"]


def test_what_takes_nothing_of_the_gangs_is_not_held_back() -> None:
    jobs = (
        Job("busy", (), Need(1)),
        Job("gang", (), Need(0, 2, gang=True)),
        Job("gpu", (), Need(0, 1)),
        *(Job(f"c{i:02}", (), Need(0.01)) for i in range(30)),
    )
    state, _ = start(jobs, cpus=2, gpus=2)
    submitted: list[str] = []
    for name in ("busy", "gpu", "gang", *(f"c{i:02}" for i in range(30))):
        state, actions = step(state, Wanted(name))
        submitted += _submitted(actions)
    assert len(submitted) == 32
    assert "gang" not in submitted


def test_after_memory_ran_out_a_node_runs_alone() -> None:
    jobs = tuple(Job(f"n{i}", (), Need(1)) for i in range(3))
    state, _ = start(jobs, cpus=2, gpus=0)
    for i in range(3):
        state, _ = step(state, Wanted(f"n{i}"))
    state, _ = step(state, Freed("n0"))  # n2 takes its place
    state, actions = step(state, Wanted("n0", alone=True))
    assert not _submitted(actions)
    state, _ = step(state, Finished("n1"))
    state, actions = step(state, Finished("n2"))
    assert _submitted(actions) == ["n0"]


def test_what_can_never_fit_is_given_up_at_once() -> None:
    jobs = (Job("big", (), Need(4, gang=True)), Job("user", ("big",), Need(1)))
    state, _ = start(jobs, cpus=2, gpus=0)
    _, actions = step(state, Wanted("big"))
    assert actions == (Action("impossible", "big"), Action("skip", "user"), Action("end"))


def test_a_cluster_that_shrinks_gives_up_what_waits() -> None:
    jobs = (Job("busy", (), Need(2)), Job("big", (), Need(2, gang=True)))
    state, _ = start(jobs, cpus=2, gpus=0)
    state, _ = step(state, Wanted("busy"))
    state, _ = step(state, Wanted("big"))
    _, actions = step(state, Capacity(1))
    assert Action("impossible", "big") in actions


def test_drain_lets_what_runs_finish_and_ends() -> None:
    jobs = tuple(Job(f"n{i}", (), Need(1)) for i in range(3))
    state, _ = start(jobs, cpus=1, gpus=0)
    state, _ = step(state, Wanted("n0"))
    state, _ = step(state, Wanted("n1"))
    state, actions = step(state, Drain())
    assert not actions
    _, actions = step(state, Finished("n0"))
    assert actions == (Action("end"),)


def test_no_nodes_end_at_once() -> None:
    assert start((), cpus=1, gpus=0)[1] == (Action("end"),)
