"""Walking: what runs, what is found, what follows from a failure."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.call import InProcessExecutor
from pipelines.graph.artifact import FILES, WEIGHTS
from pipelines.graph.cuts import CutError, Cuts
from pipelines.graph.node import Graph, Node, Outside, RunOn, View
from pipelines.graph.outside import OutsideError
from pipelines.graph.problem import GraphError
from pipelines.graph.record import read_record
from pipelines.graph.run import walk
from tests.pipelines.graph import bodies
from tests.pipelines.graph.bodies import Bench, Number, Trained, chain, node


def test_a_chain_runs_once_and_is_found_again(bench: Bench) -> None:
    first = bench.walk(chain())
    assert (first.status, first.code) == ("done", 0)
    assert json.loads((first.artifacts["n3"] / "value.json").read_text()) == 4
    assert first.nodes["n3"].notes == {"total": 4.0}
    again = bench.walk(chain())
    assert set(bench.states(again).values()) == {"cached"}
    assert again.nodes["n3"].notes == {"total": 4.0}
    assert first.artifacts == again.artifacts


def test_events_tell_what_happens(bench: Bench) -> None:
    bench.walk(chain(1))
    assert [(e["event"], e.get("state")) for e in bench.events] == [
        ("node", "running"), ("metrics", None), ("progress", None), ("node", "done"),
    ]  # fmt: skip
    assert all(e["v"] == 1 for e in bench.events)
    assert bench.events[1]["values"] == {"train/loss": 0.5}


def test_nothing_touches_the_executor_when_all_is_there(bench: Bench) -> None:
    bench.walk(chain())
    assert bench.walk(chain(), executor=None).status == "done"


def test_a_setting_moves_its_dependents_and_nothing_else(bench: Bench) -> None:
    def graph(value: float) -> Graph:
        left, right = node("left", value=value), node("right", value=5)
        return Graph(nodes=(node("both", left, right), node("alone", right)), recipe="r")

    bench.walk(graph(1))
    states = bench.states(bench.walk(graph(2)))
    assert states == {"left": "done", "both": "done", "right": "cached", "alone": "cached"}
    assert set(bench.states(bench.walk(graph(1))).values()) == {"cached"}  # the old ones stay


def test_equal_bytes_above_leave_what_is_below_cached(bench: Bench) -> None:
    def graph(value: float) -> Graph:
        odd = Node(name="odd", fn=bodies.parity, cfg=Number(), makes=FILES,
                   inputs={"number": node("number", value=value)})  # fmt: skip
        return Graph(nodes=(node("end", odd),), recipe="r")

    bench.walk(graph(3))
    states = bench.states(bench.walk(graph(5)))
    assert states == {"number": "done", "odd": "done", "end": "cached"}


def test_a_view_depends_on_its_own_files_only(bench: Bench) -> None:
    def graph(value: float) -> Graph:
        whole = node("whole", value=value)
        fixed = View(node=whole, files={"file": "more/fixed.json"})
        moved = View(node=whole, files={"file": "value.json"})
        return Graph(nodes=(node("fixed", fixed), node("moved", moved)), recipe="r")

    bench.walk(graph(1))
    states = bench.states(bench.walk(graph(2)))
    assert states == {"whole": "done", "fixed": "cached", "moved": "done"}


def test_a_view_of_what_is_not_there_fails_in_words(bench: Bench) -> None:
    lost = node("lost", View(node=node("whole"), files={"file": "other.json"}))
    outcome = bench.walk(Graph(nodes=(lost,), recipe="r"))
    assert outcome.status == "failed"
    assert "the artifact of whole has no 'other.json'" in outcome.nodes["lost"].error.text


def test_a_users_file_is_known_by_its_bytes(bench: Bench, tmp_path: Path) -> None:
    def graph(name: str) -> Graph:
        outside = Outside(name="mine", files={"file": str(tmp_path / name)})
        return Graph(nodes=(node("read", outside),), recipe="r")

    (tmp_path / "a.json").write_text("1")
    (tmp_path / "b.json").write_text("1")
    (tmp_path / "c.json").write_text("2")
    assert bench.states(bench.walk(graph("a.json"))) == {"read": "done"}
    assert bench.states(bench.walk(graph("b.json"))) == {"read": "cached"}
    assert bench.states(bench.walk(graph("c.json"))) == {"read": "done"}
    with pytest.raises(
        OutsideError, match=r"read\.i0\.file: no such file or folder; got .*d\.json"
    ):
        bench.walk(graph("d.json"))


def test_a_failure_stops_the_walk_and_the_same_command_goes_on(bench: Bench) -> None:
    def graph(fail: str) -> Graph:
        bad = node("bad", cfg=Number(fail=fail))
        return Graph(nodes=(node("below", bad), node("other", node("good"))), recipe="r")

    outcome = bench.walk(graph("ValueError"), on_failure="continue")
    assert (outcome.status, outcome.code) == ("failed", 1)
    assert bench.states(outcome) == {
        "bad": "failed", "below": "skipped", "good": "done", "other": "done",
    }  # fmt: skip
    assert outcome.nodes["bad"].error.text == "ValueError: as asked for"
    assert "def add" not in outcome.nodes["bad"].error.text
    assert "in add" in outcome.nodes["bad"].error.traceback
    again = bench.walk(graph(""))
    assert bench.states(again)["other"] == "cached"
    assert again.status == "done"


class OneCpu(InProcessExecutor):  # type: ignore[misc]
    """A machine with one CPU."""

    @property
    def capacity(self) -> dict[str, float]:
        return {"cpus": 1.0, "gpus": 0.0}


def test_by_default_nothing_is_submitted_after_a_failure(bench: Bench) -> None:
    bad = node("bad", cfg=Number(fail="ValueError"))
    later = [node(f"later{i}", run_on=RunOn(cpus=1)) for i in range(9)]

    # Longest path first: bad has users, so it goes first on one CPU.
    users = [node("user", bad)]
    outcome = bench.walk(Graph(nodes=(*users, *later), recipe="r"), executor=OneCpu())
    assert outcome.status == "failed"
    assert list(bench.states(outcome).values()).count("skipped") == 10


def test_what_a_body_says_is_told_before_it_ends(bench: Bench) -> None:
    told: dict[str, int] = {}

    def emit(event: dict[str, Any]) -> None:
        told[event["event"]] = len(list(bench.store.root.rglob("value.json")))

    walk(chain(1), store=bench.store, executor=InProcessExecutor(), emit=emit)
    assert told == {"metrics": 0, "progress": 0, "node": 1}


def test_a_full_disk_is_exit_4_and_leaves_nothing_half(bench: Bench) -> None:
    one = Node(name="flaky", fn=bodies.flaky, cfg=Number(), makes=FILES)
    outcome = bench.walk(Graph(nodes=(one,), recipe="r"))
    assert outcome.code == 4
    assert not list(bench.store.root.rglob("half.bin"))
    assert bench.walk(Graph(nodes=(one,), recipe="r")).status == "done"


def test_stop_is_heard(bench: Bench) -> None:
    asked: list[float] = []

    def stop() -> bool:
        asked.append(time.monotonic())
        return len(asked) > 2

    outcome = bench.walk(chain(6), stop=stop, executor=OneCpu())
    assert (outcome.status, outcome.code) == ("interrupted", 130)
    states = list(bench.states(outcome).values())
    assert states.count("done") == 2
    assert bench.states(bench.walk(chain(6)))["n1"] == "cached"


def test_cuts(bench: Bench) -> None:
    graph = chain(4)
    assert bench.states(bench.walk(graph, cuts=Cuts(until=("n1",)))) == {"n0": "done", "n1": "done"}
    with pytest.raises(CutError, match="--only: needs results that are not there; got none of n2"):
        bench.walk(graph, cuts=Cuts(only=("n3",)))
    bench.walk(graph)
    forced = bench.states(bench.walk(graph, cuts=Cuts(force=("n1",))))
    assert forced == {"n0": "cached", "n1": "done", "n2": "cached", "n3": "cached"}
    started = bench.states(bench.walk(graph, cuts=Cuts(start=("n2",))))
    assert started == {"n0": "cached", "n1": "cached", "n2": "done", "n3": "done"}
    only = bench.states(bench.walk(graph, cuts=Cuts(only=("n2",), force=("n2",))))
    assert only == {"n0": "cached", "n1": "cached", "n2": "done"}


def test_a_graph_with_problems_does_not_start(bench: Bench) -> None:
    two = Graph(nodes=(node("same"), node("same", value=2)), recipe="r")
    with pytest.raises(GraphError, match="same: a name is for one node; got 2 nodes"):
        bench.walk(two)


def test_what_can_never_fit_is_refused_before_anything_runs(bench: Bench) -> None:
    gang = Node(name="gang", fn=bodies.train, cfg=Trained(world=500), makes=FILES,
                run_on=RunOn(workers=500))  # fmt: skip
    graph = Graph(nodes=(node("small"), gang), recipe="r")
    with pytest.raises(GraphError, match=r"run_on\.gang: needs 500 CPUs and 0 GPUs at once; got"):
        bench.walk(graph)
    assert not bench.store.list("nodes")


def test_a_result_must_be_what_was_announced(bench: Bench) -> None:
    one = node("one", fn=bodies.nothing)
    wrong = Node(name="wrong", fn=bodies.nothing, cfg=Number(), makes=WEIGHTS)
    assert bench.walk(Graph(nodes=(one,), recipe="r")).status == "done"  # files may be none
    error = bench.walk(Graph(nodes=(wrong,), recipe="r")).nodes["wrong"].error
    assert "wrong: must make model.safetensors" in error.text
    assert "got an empty folder" in error.text


@pytest.mark.parametrize("how", ["cut", "gone", "edited"])
def test_damage_is_exit_3_once_and_kept_for_looking(bench: Bench, how: str) -> None:
    place = bench.walk(chain(2)).artifacts["n0"] / "value.json"
    if how == "gone":
        place.unlink()
    else:
        place.write_text("9" if how == "cut" else "1.00000")
    outcome = bench.walk(chain(2))
    assert (outcome.status, outcome.code) == ("failed", 3)
    assert "its artifact is damaged; got value.json" in outcome.nodes["n0"].error.text
    assert bench.store.list("quarantine")
    assert bench.walk(chain(2)).status == "done"


def test_damage_can_be_repaired_at_once(bench: Bench) -> None:
    (bench.walk(chain(2)).artifacts["n0"] / "value.json").write_text("9")
    outcome = bench.walk(chain(2), on_damage="repair")
    assert bench.states(outcome) == {"n0": "done", "n1": "cached"}


def test_a_torn_record_is_no_record(bench: Bench) -> None:
    key = bench.walk(chain(1)).nodes["n0"].key
    manifest = bench.store.path(f"nodes/{key[:2]}/{key}/manifest.json")
    whole = manifest.read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        manifest.write_bytes(whole[:cut])
        assert read_record(bench.store, key) is None
    assert bench.states(bench.walk(chain(1))) == {"n0": "done"}
    assert read_record(bench.store, key) is not None


def test_two_nodes_of_one_key_make_one_result(bench: Bench) -> None:
    outcome = bench.walk(Graph(nodes=(node("a"), node("b")), recipe="r"))
    assert sorted(bench.states(outcome).values()) == ["cached", "done"]
    assert outcome.nodes["a"].key == outcome.nodes["b"].key


def test_where_it_runs_is_not_what_it_is(bench: Bench) -> None:
    bench.walk(chain(1))
    moved = Graph(nodes=(node("n0", run_on=RunOn(cpus=2, retries=7)),), recipe="other")
    assert bench.states(bench.walk(moved)) == {"n0": "cached"}
    assert bench.store.list("names/other/n0") == bench.store.list("names/chain/n0")
