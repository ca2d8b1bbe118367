"""A walk on a real Ray: gangs beside tasks, calls of many, a silent node, and wanted machines."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.call import RayExecutor
from cluster.session import Session
from pipelines.graph.artifact import FILES
from pipelines.graph.node import Graph, Node, RunOn
from pipelines.graph.problem import GraphError
from tests.pipelines.graph import gang_bodies, map_bodies
from tests.pipelines.graph.bodies import Bench, node
from tests.pipelines.graph.gang_bodies import Number, crowd

pytestmark = pytest.mark.ray


@pytest.fixture
def executor(ray_session: Session) -> Iterator[RayExecutor]:
    made = RayExecutor()
    yield made
    made.close()


def test_three_jobs_two_pools_and_forty_tasks_finish_on_two_cpus(
    bench: Bench, executor: RayExecutor
) -> None:
    outcome = bench.walk(crowd(), executor=executor)
    assert (outcome.status, len(outcome.nodes)) == ("done", 46)
    assert all(entry.state == "done" for entry in outcome.nodes.values())


def test_a_map_runs_in_calls_of_many(
    bench: Bench, executor: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    submit = executor.submit

    def counting(name: str, fn: object, args: tuple, **more: float) -> None:
        counted.append(len(args[0]))
        submit(name, fn, args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(RayExecutor, "submit", lambda _, *args, **more: counting(*args, **more))
    units = map_bodies.Node(name="square", fn=map_bodies.cube, cfg=map_bodies.Plain(), makes=FILES,
                            inputs={"each": map_bodies.Each(node=map_bodies.listing(
                                json.dumps([*range(100)])))})  # fmt: skip
    outcome = bench.walk(Graph(nodes=(map_bodies.gathered(units),), recipe="r"), executor=executor)
    assert outcome.nodes["gather"].notes["values"] == [i**3 for i in range(100)]
    assert sum(counted) == 102
    assert max(counted) > 8


def test_a_silent_node_is_stopped_and_tried_again(bench: Bench, executor: RayExecutor) -> None:
    on = RunOn(retries=1, silent_after_s=2.0)
    slow = Node(name="slow", fn=gang_bodies.sleep_once, cfg=Number(), makes=FILES, run_on=on)
    begun = time.monotonic()
    outcome = bench.walk(Graph(nodes=(slow,), recipe="r"), executor=executor)
    assert (outcome.status, time.monotonic() - begun < 120) == ("done", True)
    retries = [e["why"] for e in bench.events if e["event"] == "retry"]
    assert retries == ["slow: said nothing for 2 s and was stopped"]


def test_machines_that_never_come_end_the_wait(bench: Bench, executor: RayExecutor) -> None:
    big = node("big", run_on=RunOn(memory=10**15))
    with pytest.raises(GraphError, match="1e\\+06 GB of memory at once; got 2, 0 and"):
        bench.walk(Graph(nodes=(big,), recipe="r"), executor=executor)
    begun = time.monotonic()
    outcome = bench.walk(Graph(nodes=(big,), recipe="r"), executor=executor, wait_for_nodes_s=2.0)
    assert (outcome.status, outcome.code, time.monotonic() - begun > 2) == ("failed", 7, True)
    notes = [e["text"] for e in bench.events if e["event"] == "note"]
    assert notes[0].startswith("waits up to 2 s for machines: run_on.big: needs 1 CPUs, 0 GPUs")
