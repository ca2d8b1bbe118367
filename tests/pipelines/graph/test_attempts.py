"""Retries of a walk: what is lost is tried again, and not for ever."""

import dataclasses
from typing import Any

import pytest

from cluster.call import InProcessExecutor
from cluster.executor import Finished
from cluster.failures import EXIT, Fail, Failure, Retry
from pipelines.graph.attempts import Attempts, code_of
from pipelines.graph.cuts import Cuts
from pipelines.graph.node import Graph, RunOn
from tests.pipelines.graph.bodies import Bench, node


class Losing:
    """Runs in this process, and loses what it ran a number of times."""

    def __init__(self, times: int, *, kind: str = "preempted") -> None:
        self.inner, self.times, self.kind = InProcessExecutor(), times, kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def wait(self, timeout: float) -> list[Finished]:
        ended = self.inner.wait(timeout)
        if ended and self.times:
            self.times -= 1
            lost = Failure(self.kind, ended[0].name, "the machine was taken away")
            return [dataclasses.replace(ended[0], value=None, error=lost)]
        return ended


def test_what_is_preempted_is_tried_again_and_finds_what_was_committed(bench: Bench) -> None:
    graph = Graph(nodes=(node("end", node("one")),), recipe="r")
    outcome = bench.walk(graph, executor=Losing(3))
    assert outcome.status == "done"
    retries = [e for e in bench.events if e["event"] == "retry"]
    assert [e["attempt"] for e in retries] == [1, 2, 3]
    assert retries[0]["why"] == "the machine was taken away"
    assert bench.states(outcome)["one"] == "cached"  # it had committed before it was lost


def test_retries_end_with_the_table(bench: Bench) -> None:
    graph = Graph(nodes=(node("one", run_on=RunOn(retries=0)),), recipe="r")
    outcome = bench.walk(graph, executor=Losing(9, kind="lost"))
    assert (outcome.status, outcome.code) == ("failed", EXIT["infrastructure"])
    assert outcome.nodes["one"].error.text == "the machine was taken away (lost 1 times)"


def test_kinds_are_counted_apart() -> None:
    attempts = Attempts()
    lost, gone = Failure("lost", "n", "x"), Failure("preempted", "n", "x")
    assert attempts.judge("n", lost, retries=1) == Retry(1.0)
    assert attempts.judge("n", gone, retries=1) == Retry(0.0)
    assert isinstance(attempts.judge("n", lost, retries=1), Fail)
    assert attempts.judge("other", lost, retries=1) == Retry(1.0)
    assert attempts.ready() == [("n", False)]
    assert attempts.pause() == pytest.approx(1.0, abs=0.2)


def test_a_failure_that_is_not_tried_has_its_code() -> None:
    assert code_of(Failure("damaged", "n", "x")) == EXIT["damaged"]
    assert code_of(Failure("preempted", "n", "x")) == EXIT["infrastructure"]


def test_each_kind_has_its_own_budget_in_a_walk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour's memory and preemption take nothing from `retries`; ours runs alone, once."""
    monkeypatch.setattr("cluster.failures.PAUSE_S", 0.01)
    graph = Graph(nodes=(node("one", run_on=RunOn(retries=0)),), recipe="r")
    assert bench.walk(graph, executor=Losing(4, kind="machine_full")).status == "done"
    assert [e["after_s"] for e in bench.events if e["event"] == "retry"] == [0.01] * 4
    outcome = bench.walk(graph, executor=Losing(9, kind="memory"), cuts=Cuts(force=("one",)))
    assert outcome.code == EXIT["infrastructure"]
    assert [e["attempt"] for e in bench.events if e["event"] == "retry"] == [1]
