"""A whole tiny run of paper 5: its lineage, made again from its records, collected, forecast."""

import json
from pathlib import Path

import pytest

from cluster.storage import open_store
from pipelines.graph.key import canonical, plain
from pipelines.graph.plan import plan
from pipelines.graph.rebuilt import rebuild
from pipelines.graph.stored import stored
from pipelines.runs.loading import load
from tests.pipelines.cli.small import call
from tests.pipelines.runs.tiny import page, run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    ended, events = run(page(folder), store=folder / "store")
    assert ended.status == "done", ended.reason
    notes = [e["text"] for e in events if e["event"] == "note"]
    assert notes[0] == "12 of 12 nodes to run; how long is unknown: they never ran here."
    return folder


def test_every_record_gives_its_node_back(made: Path) -> None:
    store = open_store(str(made / "store"))
    graph = load(made / "tiny.yaml").graph
    nodes = {node.name: node for node in graph.every()}
    for one in stored(store):
        assert one.record
        again, records = rebuild(store, one.record)
        last = again.nodes[0]
        meant = nodes[last.name]
        assert (last.fn, last.parts, last.makes) == (meant.fn, dict(meant.parts), meant.makes)
        assert canonical(plain(last.cfg, where="n")) == canonical(plain(meant.cfg, where="n"))
        assert last.cfg == meant.cfg
        assert last.inputs.keys() == meant.inputs.keys()
        assert records[last.name].key == one.key


def test_the_model_is_made_again_bit_by_bit(made: Path, tmp_path: Path) -> None:
    model = str(made / "store" / "runs" / "joint-1" / "model")
    where = ("--store", str(made / "store"))
    shown = call("lineage", model, *where).stdout
    assert shown.startswith("stage2 ")
    assert "start: stage1 " in shown
    result = call(
        "lineage", model, *where, "--rerun", str(tmp_path / "t"), "--executor", "inline", "--json"
    )
    assert result.exit_code == 0, result.output
    nodes = json.loads(result.stdout.splitlines()[-1])["nodes"]
    assert {"draw", "boxes", "labels", "stage1", "stage2"} == set(nodes)
    assert all(node["same"] and node["state"] == "done" for node in nodes.values())


def test_a_run_leads_to_its_one_end(made: Path) -> None:
    result = call("lineage", "joint-1", "--store", str(made / "store"))
    assert result.stdout.startswith("evaluate ")
    assert result.stdout.splitlines()[-1].startswith("12 results, ")


def test_gc_of_a_real_run_lets_it_be_whole(made: Path) -> None:
    result = call("store", "gc", "--store", str(made / "store"), "--grace", "0", "--yes")
    assert result.exit_code == 0, result.output
    assert "12 results stay; 1 run is kept." in result.stdout
    assert call("store", "verify", "--deep", "--store", str(made / "store")).exit_code == 0
    found = plan(load(made / "tiny.yaml").graph, open_store(str(made / "store")))
    assert {entry.state for entry in found.nodes} == {"cached"}
    other = plan(
        load(made / "tiny.yaml", ["stage2.lr=5e-3"]).graph, open_store(str(made / "store"))
    )
    forecast = other.forecast(cpus=2)
    assert forecast.unknown == 0
    assert forecast.wall_s is not None
    assert 0 < forecast.wall_s <= forecast.seconds
    assert forecast.cpu_s > 0
