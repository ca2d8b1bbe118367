"""What a record says beside identity, and versions in and out of keys."""

import json
from pathlib import Path

import pytest

from pipelines.graph import circumstances
from pipelines.graph.circumstances import short, versions
from pipelines.graph.frozen import FrozenError, check_frozen
from pipelines.graph.node import Graph, Outside, RunOn, View
from pipelines.graph.plan import as_event, plan
from pipelines.graph.provenance import OtherVersionError, check_versions, provenance
from pipelines.graph.show import FORMATS
from tests.pipelines.graph import bodies
from tests.pipelines.graph.bodies import Bench, Number, Trained, node


def _upgrade(patch: pytest.MonkeyPatch, **found: str) -> None:
    now = {**versions(), **found}
    for module in ("circumstances", "provenance", "commit"):
        patch.setattr(f"pipelines.graph.{module}.versions", lambda: now)


def test_a_record_says_what_it_cost_and_how_it_can_be_made_again(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text("3")
    outside = Outside(name="mine", files={"file": str(tmp_path / "mine.json")})
    first = node("first", outside)
    last = node("last", View(node=first, files={"part": "value.json"}), first)
    bench.walk(Graph(nodes=(last,), recipe="r"))
    body = {p.name: p.record.body for p in plan(Graph(nodes=(last,), recipe="r"), bench.store).nodes
            if p.record}  # fmt: skip
    assert body["first"]["places"] == {"i0": {"file": str(tmp_path / "mine.json")}}
    assert body["last"]["places"] == {"i0": {"part": "value.json"}}
    assert body["first"]["cfg"] == "tests.pipelines.graph.bodies:Number"
    assert body["first"]["run_on"]["retries"] == 0
    for name in ("cpu_s", "gpu_s", "rss_max", "seconds", "started"):
        assert body["last"][name] >= 0
    for name in ("host", "versions", "git", "run", "epoch", "keyed"):
        assert name in body["last"]
    assert body["last"]["versions"]["torch"] == versions()["torch"]


def test_workers_elsewhere_are_counted_by_what_they_held() -> None:
    def cost(run_on: RunOn) -> tuple[float, float]:
        made = provenance(Number(), run_on=run_on, places={}, keyed={}, seconds=10.0, cpu_s=0.5)
        return made["cpu_s"], made["gpu_s"]

    assert cost(RunOn()) == (0.5, 0.0)
    assert cost(RunOn(workers=2, cpus_per_worker=3, gpus_per_worker=1)) == (60.5, 20.0)
    assert cost(RunOn(workers=2, local=True)) == (0.5, 0.0)


def test_another_version_is_a_note_and_reruns_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = Graph(nodes=(node("one"),), recipe="r")
    bench.walk(graph)
    _upgrade(monkeypatch, torch=versions()["torch"] + ".post9", numpy="99.1.2", ray="9.8.7")
    found = plan(graph, bench.store)
    (one,) = found.nodes
    assert one.state == "cached"
    then = versions()
    said = f"made with numpy {short(then['numpy'])}, ray {short(then['ray'])}; now 99.1, 9.8"
    assert one.note == as_event(one)["note"] == said
    assert FORMATS["text"](found).splitlines()[1] == f"               {said}"
    with pytest.raises(FrozenError, match=r"^--frozen: one must be as it was made; got made with"):
        check_frozen(found)


def test_a_keyed_version_moves_keys_and_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plainly = Graph(nodes=(node("one"),), recipe="r")
    keyed = Graph(nodes=(node("one"),), recipe="r", keyed_versions=("torch",))
    bench.walk(plainly)
    now = short(versions()["torch"])
    (one,) = plan(keyed, bench.store).nodes
    assert [r.text for r in one.why] == [f"version of torch: not in the key -> {now}"]
    bench.walk(keyed)
    assert plan(keyed, bench.store).nodes[0].state == "cached"
    assert plan(plainly, bench.store).nodes[0].state == "cached"
    _upgrade(monkeypatch, torch=f"{now}.77+cpu")  # the third number is not in keys
    assert plan(keyed, bench.store).nodes[0].state == "cached"
    _upgrade(monkeypatch, torch="99.0.0")
    (one,) = plan(keyed, bench.store).nodes
    assert [r.text for r in one.why] == [f"version of torch: {now} -> 99.0"]
    bench.walk(keyed)
    assert plan(keyed, bench.store).nodes[0].record.body["keyed"] == {"torch": "99.0"}


def test_a_worker_of_another_version_is_refused() -> None:
    check_versions("a", {})
    check_versions("a", circumstances.keyed(["torch", "python"]))
    with pytest.raises(OtherVersionError) as caught:
        check_versions("a", {"torch": "0.1", "nothing": "1.0"})
    assert str(caught.value) == (
        f"a: a worker must have the versions that its key names; got torch "
        f"{short(versions()['torch'])}, wanted 0.1, nothing none, wanted 1.0. "
        "Install the same on every machine."
    )


def test_a_new_node_is_free_to_run_when_frozen(bench: Bench) -> None:
    bench.walk(Graph(nodes=(node("one"),), recipe="r"))
    more = Graph(nodes=(node("two", node("one")),), recipe="r")
    check_frozen(plan(more, bench.store))
    other = Graph(nodes=(node("one", fn=bodies.train, cfg=Trained()),), recipe="r")
    with pytest.raises(FrozenError, match=r"got code: tests\.pipelines\.graph\.bodies:add -> "):
        check_frozen(plan(other, bench.store))
    assert json.dumps(as_event(plan(other, bench.store).nodes[0]))
