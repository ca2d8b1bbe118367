"""A graph over a store in a bucket: found, run, damaged and mended as over a folder."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.call import InProcessExecutor
from cluster.object_store import ObjectStore
from cluster.storage import open_store
from pipelines.graph.claims import Claimant
from pipelines.graph.commit import _opened
from pipelines.graph.dispatch import payload_of
from pipelines.graph.lookup import Lookup
from pipelines.graph.node import Graph
from pipelines.graph.plan import plan
from pipelines.graph.record import _whole, read_record
from pipelines.graph.run import walk
from tests.pipelines.graph.bodies import chain, node

ROOT = Path(__file__).parents[3]


def _walk(graph: Graph, uri: str, **more: object) -> dict[str, str]:
    outcome = walk(
        graph, store=open_store(uri), executor=InProcessExecutor(), emit=lambda event: None,
        run="r", **more,
    )  # fmt: skip
    assert {p for p in outcome.artifacts} == set(outcome.nodes)
    return {name: ended.state for name, ended in outcome.nodes.items()} | {"": outcome.status}


def test_a_graph_runs_is_found_and_is_planned(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{s3}/p"
    assert _walk(chain(3), uri) == {"n0": "done", "n1": "done", "n2": "done", "": "done"}
    assert _walk(chain(3), uri)["n2"] == "cached"
    monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "another machine"))
    _whole.clear()
    _opened.cache_clear()
    store = open_store(uri, mode="read")
    states = [(p.name, p.state) for p in plan(chain(4), store).nodes]
    assert states == [("n0", "cached"), ("n1", "cached"), ("n2", "cached"), ("n3", "will run")]
    assert not list(store.home.rglob("*.json")), "a plan brings nothing"
    assert _walk(chain(4), uri) == {
        "n0": "cached", "n1": "cached", "n2": "cached", "n3": "done", "": "done",
    }  # fmt: skip
    brought = {p.parent.name for p in store.home.glob("nodes/*/*/*/")}
    assert len(brought) == 2, "the input of the node that ran, and what it made"


def test_a_worker_in_another_process_and_on_another_machine_commits(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"{s3}/p")
    _walk(chain(1), store.uri)
    lookup = Lookup(store)
    known = lookup.identify(chain(1).nodes[0], {})
    assert known.record is not None
    below = node("below", chain(1).nodes[0])
    known = lookup.identify(below, {"n0": known.record})
    payload = payload_of(
        known, lookup=lookup, recipe="r", claimant=Claimant(run=""), forced="no", reporter=None
    )
    (tmp_path / "payload").write_bytes(pickle.dumps(payload))
    monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "worker"))
    program = (
        "import pickle, sys; from pipelines.graph.commit import execute; "
        "print(execute(pickle.load(open(sys.argv[1], 'rb')))['digest'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "payload")],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    record = read_record(store, known.key)
    assert record is not None
    assert record.digest == said.stdout.strip()
    assert list((tmp_path / "worker").glob("*/nodes/*/*/*/value.json"))
    assert (record.place(store) / "value.json").read_text() == "2.0"


def test_what_is_damaged_in_the_bucket_is_set_aside_and_made_anew(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{s3}/p"
    _walk(chain(2), uri)
    store = open_store(uri)
    assert isinstance(store, ObjectStore)
    [n0] = [p.key for p in plan(chain(1), store).nodes]
    record = read_record(store, n0 or "")
    assert record is not None
    store._bucket.put(f"{record.name}/value.json", b"9.0")  # the same size
    monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "another machine"))
    _whole.clear()
    _opened.cache_clear()
    graph = Graph(nodes=(node("other", chain(1).nodes[0], value=5.0),), recipe="chain")
    outcome = walk(
        graph, store=open_store(uri), executor=InProcessExecutor(), emit=lambda event: None
    )
    assert outcome.code == 3
    error = outcome.nodes["other"].error
    assert error is not None
    assert "n0: its artifact is damaged; got value.json has other bytes" in error.text
    assert f"It was moved to {uri}/quarantine/nodes." in error.text
    assert len(store.list("quarantine")) == 2
    assert _walk(graph, uri) == {"n0": "done", "other": "done", "": "done"}
