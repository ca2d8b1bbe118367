"""What a plan may cost, and how long the schedule would take with it."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.graph.cuts import Cuts
from pipelines.graph.estimate import estimate
from pipelines.graph.forecast import Forecast, Task, wall_seconds
from pipelines.graph.node import Graph, Node, RunOn
from pipelines.graph.plan import as_event, plan
from pipelines.graph.reasons import Past
from pipelines.graph.record import Record, home, read_record, sealed
from pipelines.graph.show import FORMATS, spoken_forecast
from tests.pipelines.graph import map_bodies
from tests.pipelines.graph.bodies import Bench, node


def _tasks(*nodes: Node, **seconds: float) -> list[Task]:
    return [Task(node=n, seconds=seconds.get(n.name)) for n in nodes]


def test_the_wall_time_is_that_of_the_schedule() -> None:
    first = node("first")
    ways = [node(f"way{i}", first) for i in range(3)]
    last = node("last", *ways)
    every = _tasks(first, *ways, last, first=1, way0=4, way1=2, way2=2, last=3)
    assert wall_seconds(every, cpus=1) == 12
    assert wall_seconds(every, cpus=2) == 1 + 4 + 3
    assert wall_seconds(every, cpus=8) == 8
    assert wall_seconds([], cpus=2) == 0
    assert wall_seconds(_tasks(last, last=3), cpus=2) == 3  # what it reads is there


def test_a_gang_waits_for_its_cpus_and_what_never_fits_is_told() -> None:
    gang = node("gang", run_on=RunOn(workers=2))
    small = [node(f"s{i}") for i in range(2)]
    assert wall_seconds(_tasks(*small, gang, s0=1, s1=3, gang=5), cpus=2) == 5 + 3
    assert wall_seconds(_tasks(gang, gang=5), cpus=1) is None
    gpus = node("gpus", run_on=RunOn(workers=1, gpus_per_worker=1))
    assert wall_seconds(_tasks(gpus, gpus=5), cpus=4) is None
    assert wall_seconds(_tasks(gpus, gpus=5), cpus=4, gpus=1) == 5


def test_the_units_of_a_map_share_what_there_is() -> None:
    first = node("first")
    units = Task(node=node("map", first), seconds=8, calls=4)
    every = [*_tasks(first, first=1), units, *_tasks(node("last", units.node), last=3)]
    assert wall_seconds(every, cpus=1) == 12
    assert wall_seconds(every, cpus=2) == 1 + 4 + 3
    assert wall_seconds(every, cpus=8) == 1 + 2 + 3
    many = Task(node=units.node, seconds=1000, calls=10_000)
    assert wall_seconds([many], cpus=8) == pytest.approx(125)


def test_a_map_is_expected_to_take_what_its_units_took(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOCABOX_TEST_LOG", str(tmp_path / "log"))
    bench.walk(map_bodies.graph("[1, 2, 3, 4]"))  # values of 1, 1, 1 and 2 bytes
    planned = {p.name: p for p in plan(map_bodies.graph("[5, 6, 7, 8]"), bench.store).nodes}
    waits = planned["square"].expected
    assert planned["square"].state == "waits"
    assert waits
    assert (waits.size, waits.calls) == (5, 4)
    bench.walk(map_bodies.graph("[1, 2, 5, 6, 7, 8, 9, 10]"), cuts=Cuts(until=("list",)))
    found = plan(map_bodies.graph("[1, 2, 5, 6, 7, 8, 9, 10]"), bench.store).nodes[1].expected
    assert found
    assert (found.size, found.calls) == (7, 6)


def test_what_is_unknown_counts_as_nothing() -> None:
    first = node("first")
    assert wall_seconds(_tasks(first, node("last", first), last=2), cpus=2) == 2


def _record(seconds: float, *, steps: int = 4, size: int = 10, **more: Any) -> Record:
    settings = {"kind": "X", "steps": steps}
    body = {"fn": "m:f", "settings": settings, "seconds": seconds, "notes": {}, "started": 0}
    return Record({**body, "files": {"a": [size, "d"]}, "cpu_s": 2 * seconds, "gpu_s": 0, **more})


def test_it_is_the_median_of_five_with_the_same_settings() -> None:
    past = Past(tuple(_record(s, size=int(s)) for s in (2, 30, 4, 3, 5, 1000, 1000)))
    found = estimate(past, fn="m:f", settings={"kind": "X", "steps": 4})
    assert found
    assert (found.seconds, found.how, found.cpu_s, found.gpu_s, found.size) == (4, "about", 8, 0, 4)
    other = estimate(past, fn="m:f", settings={"kind": "X", "steps": 5})
    assert other
    assert (other.seconds, other.how, other.cpu_s, other.size) == (2, "last time", 4, 2)
    assert estimate(past, fn="m:g", settings={}) is None


def test_units_scale_time_and_cpus_and_not_bytes() -> None:
    gpu = _record(10, notes={"units": {"steps": 4}}, gpu_s=10.0)
    found = estimate(Past((gpu,)), fn="m:f", settings={"steps": 8})
    assert found
    assert (found.seconds, found.cpu_s, found.gpu_s, found.size) == (20, 40, 20, 10)


def test_records_of_before_costs_were_recorded_are_enough() -> None:
    body = {"fn": "m:f", "settings": {}, "seconds": 3.0, "notes": {}, "started": 0}
    found = estimate(Past((Record(body),)), fn="m:f", settings={})
    assert found
    assert (found.seconds, found.cpu_s, found.size) == (3.0, 0.0, 0)


def _slow(bench: Bench, graph: Graph, **seconds: float) -> None:
    """Let what is there have taken so long."""
    bench.walk(graph)
    for entry in plan(graph, bench.store).nodes:
        assert entry.key
        record = read_record(bench.store, entry.key)
        assert record
        took = seconds[entry.name]
        body = {**record.body, "seconds": took, "cpu_s": 2 * took, "gpu_s": 0.0}
        bench.store.delete(name := f"{home(entry.key)}/manifest.json")
        bench.store.put_new(name, sealed(body))


def test_show_says_what_a_run_may_cost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.graph.show.machine_cpus", lambda: 2.0)

    def graph(value: float, *more: Node) -> Graph:
        first = node("first", value=value)
        ways = [node(f"way{i}", first, value=i) for i in range(2)]
        return Graph(nodes=(node("last", *ways), *more), recipe="r")

    _slow(bench, graph(1), first=60, way0=100, way1=80, last=5)
    found = plan(graph(2), bench.store)
    shown = FORMATS["text"](found).splitlines()
    assert shown[0] == "first  will run  settings: value 1.0 -> 2.0   last time 1 m 0 s"
    assert shown[-1] == (
        "4 nodes: 0 cached, 4 to run; about 2 m 45 s on 2 CPUs (4 m 5 s one after the other), "
        "8 m 10 s of CPUs, 16 B."
    )
    (first, *_) = found.nodes
    cost = {"seconds": 60, "how": "last time", "cpu_s": 120, "gpu_s": 0, "bytes": 4}
    assert as_event(first)["estimate"] == cost
    more = plan(graph(2, node("new", value=77)), bench.store)
    assert FORMATS["text"](more).splitlines()[-1].endswith("16 B; and 1 of unknown length.")
    new = next(p for p in more.nodes if p.name == "new")
    assert as_event(new)["estimate"]["cpu_s"] is None
    cached = plan(graph(1), bench.store)
    assert FORMATS["text"](cached).splitlines()[-1] == "4 nodes: 4 cached, 0 to run."
    fresh = Graph(nodes=(node("alone", value=88),), recipe="fresh")
    assert FORMATS["text"](plan(fresh, bench.store)).splitlines()[-1] == (
        "1 nodes: 0 cached, 1 to run; how long is unknown: they never ran here."
    )


def test_the_words_of_a_forecast() -> None:
    def said(**more: Any) -> str:
        facts: dict[str, Any] = {
            "seconds": 20.0, "wall_s": 20.0, "cpus": 1.0, "cpu_s": 20.0, "gpu_s": 0.0,
            "size": 3_100_000, "runs": 2, "unknown": 0,
        }  # fmt: skip
        return spoken_forecast(Forecast(**{**facts, **more}))

    assert said() == "about 20 s on 1 CPU, 20 s of CPUs, 3.1 MB"
    assert said(wall_s=10.0, cpus=2.0, gpu_s=7260.0, unknown=1) == (
        "about 10 s on 2 CPUs (20 s one after the other), 20 s of CPUs, 2 h 1 m of GPUs, 3.1 MB; "
        "and 1 of unknown length"
    )
    assert said(wall_s=None, cpus=2.0) == (
        "about 20 s one after the other, and more than 2 CPUs at once, 20 s of CPUs, 3.1 MB"
    )
