"""3 Train jobs, 2 pools and 40 tasks on 2 CPUs: no order of readiness deadlocks."""

import random

import pytest

from pipelines.graph.schedule import step
from pipelines.graph.schedule_state import (
    Back,
    Capacity,
    Finished,
    Job,
    Need,
    Ready,
    Sized,
    Spread,
    Wanted,
)
from tests.pipelines.graph.small_machine import SHAPES, Machine, Run

GANG = SHAPES["gang of a task without CPU"]


def _mix(seed: int) -> tuple[list[Job], dict[str, object]]:
    """45 nodes in random order with random edges; half of the tasks may share a call."""
    rng = random.Random(seed)
    kinds = ["gang"] * 5 + ["task"] * 20 + ["cheap"] * 20
    rng.shuffle(kinds)
    jobs: list[Job] = []
    for i, kind in enumerate(kinds):
        above = rng.sample([j.name for j in jobs], k=min(len(jobs), rng.choice([0, 0, 1, 2])))
        need = Need(2, gang=True) if kind == "gang" else Need(1)
        group = "cheap" if kind == "cheap" else ""
        jobs.append(Job(f"n{i:02}", tuple(above), need, rng.random() * 10, group))
    return jobs, {j.name: GANG if j.need.gang else SHAPES["task"] for j in jobs}


@pytest.mark.parametrize("seed", range(100))
def test_any_order_of_readiness_ends(seed: int) -> None:
    jobs, shapes = _mix(seed)
    run = Run(jobs, shapes, seed=seed)  # type: ignore[arg-type]
    run.tell(Sized("cheap", random.Random(seed).choice([1, 2, 8, 64])))
    assert run.go(), f"stuck with seed {seed}: {run.machine.calls}"
    assert sorted(run.done) == sorted(job.name for job in jobs)


@pytest.mark.parametrize(
    ("shape", "ends"),
    [
        ("gang of a task without CPU", True),
        ("gang of a task that blocks", True),
        ("gang of a task that polls", False),
        ("gang of an actor", False),
    ],
)
def test_the_machine_hangs_where_ray_hangs(shape: str, ends: bool) -> None:
    machine = Machine(2, seed=0)
    machine.submit("gang", SHAPES[shape])
    moves = [machine.move() for _ in range(4)]
    assert ("gang" in moves) is ends


def test_two_gangs_taken_one_by_one_hang() -> None:
    stuck = 0
    for seed in range(20):
        machine = Machine(2, seed)
        machine.submit("a", SHAPES["gang taken one by one"])
        machine.submit("b", SHAPES["gang taken one by one"])
        moves = [machine.move() for _ in range(12)]
        stuck += not {"a", "b"} <= set(moves)
    assert stuck


def test_cheap_nodes_share_a_call_and_leave_work_for_all_cpus() -> None:
    jobs = tuple(Job(f"n{i:02}", (), Need(1), group="g") for i in range(20))
    run = Run(list(jobs), {job.name: SHAPES["task"] for job in jobs}, seed=0)
    run.tell(Sized("g", 64))
    run.open.clear()
    run.tell(Ready(tuple(job.name for job in jobs)))
    assert [len(call) for call in run.calls.values()] == [10, 5]
    assert len(run.machine.calls) == 2


def test_what_comes_back_makes_room_before_it_is_looked_at() -> None:
    jobs = [Job(name, (), Need(2)) for name in ("a", "b")]
    run = Run(jobs, {job.name: SHAPES["task"] for job in jobs}, seed=0)
    run.tell(Ready(("a", "b")))
    _, actions = step(run.state, Back("a"))
    assert [(action.kind, action.name) for action in actions] == [("submit", "b")]


def test_memory_is_a_resource() -> None:
    jobs = [Job(name, (), Need(0.5, memory=6e9)) for name in ("a", "b")]
    run = Run(jobs, {job.name: SHAPES["task"] for job in jobs}, seed=0)
    run.tell(Capacity(2, 0, memory=10e9))
    run.tell(Ready(("a", "b")))
    assert list(run.calls) == ["a"]
    run.tell(Back("a"))
    assert list(run.calls) == ["a", "b"]
    state, actions = step(run.state, Capacity(2, 0, memory=1e9))
    assert not [a for a in actions if a.kind == "impossible"]  # it runs already
    assert state.running


def test_a_map_is_resolved_again_after_its_last_unit() -> None:
    jobs = [Job("list", (), Need(1)), Job("map", ("list",), Need(1)), Job("end", ("map",), Need(1))]
    run = Run(jobs, {job.name: SHAPES["task"] for job in jobs}, seed=0)
    state = run.state
    for event in (Wanted("list"), Back("list"), Finished("list")):
        state, actions = step(state, event)
    assert [a.name for a in actions if a.kind == "resolve"] == ["map"]
    units = tuple(Job(f"map[{i}]", (), Need(1)) for i in range(3))
    state, _ = step(state, Spread("map", units))
    state, _ = step(state, Ready(tuple(unit.name for unit in units)))
    for i in range(3):
        state, actions = step(state, Finished(f"map[{i}]"))
    assert [a.name for a in actions if a.kind == "resolve"] == ["map"]
    state, actions = step(state, Finished("map"))
    assert [a.name for a in actions if a.kind == "resolve"] == ["end"]
    state, actions = step(state, Finished("end"))
    assert [a.kind for a in actions] == ["end"]
