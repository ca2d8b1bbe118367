"""Maps: one unit an element, each committed on its own, found again by its own key."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.call import InProcessExecutor
from cluster.executor import Finished
from pipelines.graph.cuts import Cuts
from pipelines.graph.plan import as_event, plan
from pipelines.graph.record import read_record
from pipelines.graph.show import text as shown
from tests.pipelines.graph import map_bodies
from tests.pipelines.graph.bodies import Bench
from tests.pipelines.graph.map_bodies import graph, over_shards, twice


class Log:
    """Which elements were squared since the last look."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take(self) -> list[str]:
        lines = self.path.read_text().split() if self.path.is_file() else []
        self.path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv("VOCABOX_TEST_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("VOCABOX_TEST_BAD", str(tmp_path / "bad"))
    return Log(tmp_path / "log")


def values(outcome: Any) -> Any:
    return outcome.nodes["gather"].notes["values"]


def test_a_map_makes_one_unit_an_element_in_the_order_of_the_list(bench: Bench, log: Log) -> None:
    outcome = bench.walk(graph("[3, 1, 2]"))
    assert (outcome.status, values(outcome)) == ("done", [9, 1, 4])
    assert sorted(log.take()) == ["1", "2", "3"]
    record = read_record(bench.store, outcome.nodes["square"].key)
    assert record is not None
    assert (record.body["files"], len(record.units or ())) == ({}, 3)
    assert bench.states(bench.walk(graph("[3, 1, 2]"))) == dict.fromkeys(
        ("list", "square", "gather"), "cached"
    )
    assert log.take() == []


def test_what_changed_in_the_list_is_what_runs(bench: Bench, log: Log) -> None:
    bench.walk(graph("[1, 2, 3]"))
    log.take()
    outcome = bench.walk(graph("[1, 7, 3, 9]"))
    assert (values(outcome), sorted(log.take())) == ([1, 49, 9, 81], ["7", "9"])
    outcome = bench.walk(graph("[3, 2, 1]"))  # another order: no unit runs
    assert (values(outcome), log.take()) == ([9, 4, 1], [])
    assert bench.states(outcome)["square"] == "done"


def test_equal_elements_are_one_unit(bench: Bench, log: Log) -> None:
    assert values(bench.walk(graph("[2, 5, 2]"))) == [4, 25, 4]
    assert sorted(log.take()) == ["2", "5"]


def test_nothing_in_the_list_makes_an_empty_map(bench: Bench, log: Log) -> None:
    outcome = bench.walk(graph("[]"))
    assert (outcome.status, values(outcome), log.take()) == ("done", [], [])
    assert bench.states(bench.walk(graph("[]")))["square"] == "cached"


def test_a_broken_map_goes_on_with_what_is_missing(bench: Bench, log: Log, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("3")
    outcome = bench.walk(graph("[1, 2, 3, 4, 5]"), on_failure="continue")
    assert (outcome.status, outcome.code) == ("failed", 1)
    error = outcome.nodes["square"].error
    assert error.text == "unit 2 of 5: ValueError: refuses 3"
    assert bench.states(outcome) == {"list": "done", "square": "failed", "gather": "skipped"}
    assert sorted(log.take()) == ["1", "2", "4", "5"]  # keep going: the others are done
    (tmp_path / "bad").unlink()
    outcome = bench.walk(graph("[1, 2, 3, 4, 5]"))
    assert (values(outcome), log.take()) == ([1, 4, 9, 16, 25], ["3"])


def test_the_first_failure_stops_a_map(bench: Bench, log: Log, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("0")
    outcome = bench.walk(graph(json.dumps([*range(50)])))
    assert outcome.nodes["square"].error.text == "unit 0 of 50: ValueError: refuses 0"
    assert bench.states(outcome)["gather"] == "skipped"
    assert len(log.take()) < 50


def test_a_map_that_is_stopped_keeps_its_units(bench: Bench, log: Log) -> None:
    asked = iter([False, False, True])
    outcome = bench.walk(graph("[1, 2, 3, 4]"), stop=lambda: next(asked, True))
    assert outcome.status == "interrupted"
    assert bench.states(outcome) == {"list": "done", "square": "stopped", "gather": "skipped"}
    before = log.take()
    assert 0 < len(before) < 4
    assert values(bench.walk(graph("[1, 2, 3, 4]"))) == [1, 4, 9, 16]
    assert sorted(before + log.take()) == ["1", "2", "3", "4"]


def test_maps_go_over_shards_and_over_maps(bench: Bench, log: Log) -> None:
    assert values(bench.walk(over_shards("[1, 2]"))) == [1, 4]
    log.take()
    assert values(bench.walk(over_shards("[1, 3]"))) == [1, 9]
    assert log.take() == ["3"]
    assert values(bench.walk(twice("[2, 3]"))) == [16, 81]
    log.take()
    assert values(bench.walk(twice("[2, 5]"))) == [16, 625]
    assert log.take() == ["5", "25"]


def test_a_forced_map_runs_all_units_again(bench: Bench, log: Log) -> None:
    bench.walk(graph())
    log.take()
    outcome = bench.walk(graph(), cuts=Cuts(force=("square",)))
    assert (outcome.status, sorted(log.take())) == ("done", ["1", "2", "3"])
    assert bench.states(outcome)["gather"] == "cached"


def test_a_damaged_unit_is_set_aside_and_made_again_alone(bench: Bench, log: Log) -> None:
    outcome = bench.walk(graph())
    units = read_record(bench.store, outcome.nodes["square"].key).units or ()
    unit = read_record(bench.store, units[1][0])
    (unit.place(bench.store) / "value.json").write_text("44")
    log.take()
    outcome = bench.walk(graph())
    assert (outcome.status, outcome.code) == ("failed", 3)
    assert "square: its artifact is damaged; got value.json" in outcome.nodes["square"].error.text
    assert (values(bench.walk(graph())), log.take()) == ([1, 4, 9], ["2"])


def test_a_unit_that_is_gone_is_made_again(bench: Bench, log: Log) -> None:
    outcome = bench.walk(graph())
    units = read_record(bench.store, outcome.nodes["square"].key).units or ()
    bench.store.delete(f"nodes/{units[2][0][:2]}/{units[2][0]}/manifest.json")
    log.take()
    outcome = bench.walk(graph())
    assert (bench.states(outcome)["square"], log.take()) == ("done", ["3"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}', "list: list.json must hold a JSON list; got a dict. Write a JSON list to"),
        ("[1, NaN]", "list: list.json cannot be read as JSON; got NaN, which is no number in JSON"),
        ("[1,", "list: list.json cannot be read as JSON; got Expecting value: line 1 column 4"),
    ],
)
def test_what_is_no_list_fails_where_it_was_made(
    bench: Bench, log: Log, text: str, said: str
) -> None:
    outcome = bench.walk(graph(text))
    assert (outcome.status, outcome.code) == ("failed", 1)
    assert said in outcome.nodes["list"].error.text


def test_show_says_how_many_units_will_run(bench: Bench, log: Log) -> None:
    bench.walk(graph(json.dumps([*range(37)])))
    bench.walk(graph(json.dumps([*range(40)])), cuts=Cuts(until=("list",)))
    planned = plan(graph(json.dumps([*range(40)])), bench.store)
    line = next(line for line in shown(planned).splitlines() if line.startswith("square"))
    assert line.startswith("square  will run  3 of 40 units: input each: each ")
    event = next(as_event(p) for p in planned.nodes if p.name == "square")
    assert event["units"] == [3, 40]
    bench.walk(graph(json.dumps([*range(40)])))
    lines = shown(plan(graph(json.dumps([*range(40)])), bench.store)).splitlines()
    assert lines[1].startswith("square  cached     40 units   just now, took ")


def test_units_are_told_and_counted(bench: Bench, log: Log) -> None:
    bench.walk(graph("[1, 2]"))
    states = [(e["unit"], e["state"]) for e in bench.events if e["event"] == "unit"]
    assert states == [(0, "done"), (1, "done")]
    progress = [(e["done"], e["total"]) for e in bench.events if e["event"] == "progress"]
    assert (progress[0], progress[-1]) == ((0, 2), (2, 2))
    running = [e["node"] for e in bench.events if e.get("state") == "running"]
    assert running == ["list", "square", "gather"]


def test_a_task_says_what_to_use(bench: Bench) -> None:
    wrong = map_bodies.gathered(map_bodies.listing("[1]"))
    outcome = bench.walk(map_bodies.Graph(nodes=(wrong,), recipe="fan"))
    said = outcome.nodes["gather"].error.text
    assert said == "TypeError: input units: a whole artifact; got units asked for. Use path()."


class LosesTheFirst(InProcessExecutor):  # type: ignore[misc]
    """Loses a whole call of many, after it was committed in part."""

    lost = 0

    def wait(self, timeout: float) -> list[Finished]:
        from cluster.failures import Failure

        if self._queue and len(self._queue[0][2][0]) > 1 and not self.lost:
            name, _, (payloads,) = self._queue.popleft()
            self.lost = len(payloads)
            map_bodies_run = map_bodies.execute_first(payloads)
            assert map_bodies_run
            return [Finished(name, None, Failure("lost", name, f"{name}: a worker process died"))]
        return super().wait(timeout)


def test_a_lost_call_of_many_is_told_of_each_and_redone_one_by_one(bench: Bench, log: Log) -> None:
    executor = LosesTheFirst()
    outcome = bench.walk(map_bodies.graph_with(json.dumps([*range(30)])), executor=executor)
    assert outcome.status == "done"
    assert executor.lost > 1
    retries = [e for e in bench.events if e["event"] == "retry"]
    assert len(retries) == executor.lost
    assert len({e["why"] for e in retries}) == executor.lost  # each by its own number
    assert len(log.take()) == 30  # what had committed was found
