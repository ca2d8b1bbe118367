"""What there is: grown is told at once, shrunk after a while, never come after the wait."""

import pytest

from pipelines.graph.chunk import together
from pipelines.graph.machines import LOOK_S, LOST_S, Machines
from pipelines.graph.node import RunOn
from pipelines.graph.problem import GraphError
from pipelines.graph.schedule_state import Capacity
from pipelines.graph.silence import SAID_S, Silence
from tests.pipelines.graph.bodies import node


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _machines(have: dict[str, float], clock: Clock, *, wait_s: float = 0.0) -> Machines:
    return Machines(lambda: have, wait_s=wait_s, clock=clock)


def test_growth_is_told_at_once_and_loss_when_it_lasts() -> None:
    have, clock = {"cpus": 2.0}, Clock()
    machines = _machines(have, clock)
    assert machines.news() is None  # not before somebody asked
    assert machines.first([], note=lambda *_: None) == Capacity(2)
    have["cpus"] = 4.0
    assert machines.news() is None  # looks now and then
    clock.now += LOOK_S
    assert machines.news() == Capacity(4)
    have["cpus"] = 1.0
    for _ in range(int(LOST_S / LOOK_S)):
        clock.now += LOOK_S
        assert machines.news() is None
    clock.now += LOOK_S
    assert machines.news() == Capacity(1)


def test_a_machine_that_comes_back_was_never_lost() -> None:
    have, clock = {"cpus": 2.0}, Clock()
    machines = _machines(have, clock)
    machines.first([], note=lambda *_: None)
    for cpus in (1.0, 2.0) * 20:
        have["cpus"] = cpus
        clock.now += LOOK_S
        assert machines.news() is None


def test_nodes_wait_for_machines_as_long_as_told() -> None:
    have, clock, said = {"cpus": 1.0}, Clock(), list[tuple[str, str]]()
    big = node("big", run_on=RunOn(cpus=8))
    with pytest.raises(GraphError, match=r"run_on\.big: needs 8 CPUs and 0 GPUs at once; got 1"):
        _machines(have, clock).first([big], note=lambda *_: None)
    machines = _machines(have, clock, wait_s=30)
    for _ in range(3):
        assert machines.first([big], note=lambda *text: said.append(text)) is None
        clock.now += 5
    assert [name for name, _ in said] == ["big"]  # once
    have["cpus"] = 8.0
    assert machines.first([big], note=lambda *_: None) == Capacity(8)
    assert not machines.never


def test_who_waited_in_vain_is_named() -> None:
    clock = Clock()
    machines = _machines({"cpus": 1.0}, clock, wait_s=30)
    assert machines.first([node("big", run_on=RunOn(cpus=8))], note=lambda *_: None) is None
    clock.now += 30
    assert machines.first([node("big", run_on=RunOn(cpus=8))], note=lambda *_: None)
    assert machines.never == {"big"}


def test_silence_is_told_once_a_minute_until_something_is_said() -> None:
    clock = Clock()
    silence = Silence(clock)
    silence.heard("a")
    silence.said("never began")
    clock.now += SAID_S - 1
    assert silence.due() == []
    clock.now += 1
    assert silence.due() == [("a", SAID_S)]
    assert silence.due() == []
    clock.now += SAID_S
    assert silence.due() == [("a", 2 * SAID_S)]
    silence.said("a")
    clock.now += SAID_S / 2
    assert (silence.due(), silence.since("a")) == ([], SAID_S / 2)
    silence.ended("a")
    clock.now += SAID_S
    assert (silence.due(), silence.since("a")) == ([], 0)


@pytest.mark.parametrize(
    ("took", "count"),
    [((0.0,), 64), ((0.001,), 64), ((0.01,), 20), ((0.15,), 2), ((0.2,), 1), ((9.0, 0.05), 1)],
)
def test_a_call_of_many_takes_a_fifth_of_a_second(took: tuple[float, ...], count: int) -> None:
    assert together(took) == count
