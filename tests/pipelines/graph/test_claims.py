"""Two runs in one store that want the same result."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cluster import lease
from cluster.call import InProcessExecutor
from cluster.storage import LocalStore, open_store
from pipelines.graph import walker
from pipelines.graph.artifact import FILES
from pipelines.graph.claims import Claim, Claimant, Rivals, claim, let_go
from pipelines.graph.node import Graph, Node
from pipelines.graph.run import walk
from tests.pipelines.graph import bodies
from tests.pipelines.graph.bodies import Number

KEY = "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return open_store(str(tmp_path / "store"))


def test_the_first_claim_stands_until_it_is_let_go(store: LocalStore) -> None:
    first = claim(store, KEY, Claimant(run="joint-1"))
    assert claim(store, KEY, Claimant(run="joint-2")) == first
    let_go(store, first, KEY)
    second = claim(store, KEY, Claimant(run="joint-2"))
    assert second.run == "joint-2"
    let_go(store, first, KEY)  # of one who comes late: it takes nothing away
    assert claim(store, KEY, Claimant(run="joint-3")) == second


def test_a_run_takes_its_own_older_claim(store: LocalStore) -> None:
    old = claim(store, KEY, Claimant(run="joint-1", epoch=1))
    new = claim(store, KEY, Claimant(run="joint-1", epoch=5))
    assert (new.epoch, new.mark != old.mark) == (5, True)


def test_a_claim_cut_short_is_taken(store: LocalStore) -> None:
    store.put_new(f"nodes/aa/{KEY}/claim", b'{"run": "jo')
    assert claim(store, KEY, Claimant(run="joint-2", over="")).run == "joint-2"


def test_the_claim_of_a_run_that_lives_is_not_taken_and_of_a_silent_one_is(
    store: LocalStore,
) -> None:
    rivals = Rivals(store, ttl_s=1.0)
    with lease.take(store, "runs/joint-1"):
        met = claim(store, KEY, Claimant(run="joint-1"))
        assert rivals.meet("one", met) == "waits for joint-1, which is making the same result"
        assert rivals.meet("one", met) is None
        assert rivals.taken("one") is None
        assert rivals.taken("another") is None
    assert rivals.taken("one") == met.mark
    assert claim(store, KEY, Claimant(run="joint-2", over=met.mark)).run == "joint-2"


def slow(task: Any) -> None:
    """Count outside of the store, and take a while."""
    with Path(os.environ["CLAIMS_TEST_COUNT"]).open("a") as file:
        file.write(f"{task.cfg.value}\n")
    time.sleep(0.3)
    (task.out / "value.json").write_text(json.dumps(task.cfg.value))


def test_two_runs_in_one_store_make_shared_nodes_once(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    monkeypatch.setenv("CLAIMS_TEST_COUNT", str(count))
    shared = [Number(value=float(i)) for i in range(4)]

    def graph(own: float) -> Graph:
        cfgs = [*shared, Number(value=own)]
        return Graph(recipe="r", nodes=tuple(
            Node(name=f"n{i}", fn=slow, cfg=cfg, makes=FILES) for i, cfg in enumerate(cfgs)
        ))  # fmt: skip

    events: list[dict[str, Any]] = []
    ended: dict[str, str] = {}

    def one(run: str, own: float) -> None:
        with lease.take(store, f"runs/{run}") as held:
            outcome = walk(graph(own), store=store, executor=InProcessExecutor(),
                           emit=events.append, run=run, epoch=held.epoch)  # fmt: skip
        ended[run] = outcome.status

    threads = [threading.Thread(target=one, args=a) for a in (("r-1", 10.0), ("r-2", 20.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == {"r-1": "done", "r-2": "done"}
    made = sorted(float(line) for line in count.read_text().split())
    assert made == [0.0, 1.0, 2.0, 3.0, 10.0, 20.0]
    assert any("is making the same result" in e.get("text", "") for e in events)


def test_a_node_that_waits_for_another_run_says_so_once(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMS_TEST_COUNT", str(tmp_path / "count"))
    monkeypatch.setattr(walker, "AGAIN_S", 0.02)
    events, tries = list[dict[str, Any]](), list[str]()
    graph = Graph(recipe="r", nodes=(Node(name="n", fn=slow, cfg=Number(), makes=FILES),))
    meet = Rivals.meet

    def counted(rivals: Rivals, node: str, met: Claim) -> str | None:
        tries.append(node)
        if len(tries) == 4:
            let_go(store, met, node_key)
        return meet(rivals, node, met)

    monkeypatch.setattr(Rivals, "meet", counted)
    walk(graph, store=open_store(str(tmp_path / "other")), executor=InProcessExecutor(),
         emit=events.append)  # fmt: skip
    node_key = events[0]["key"]
    events.clear()
    with lease.take(store, "runs/r-1"):
        claim(store, node_key, Claimant(run="r-1"))
        outcome = walk(graph, store=store, executor=InProcessExecutor(), emit=events.append,
                       run="r-2")  # fmt: skip
    assert (outcome.status, tries) == ("done", ["n"] * 4)
    said = [e.get("state") or e.get("text") for e in events if e.get("node") == "n"]
    assert said == ["running", "waits for r-1, which is making the same result", "done"]


def test_a_claim_does_not_outlive_its_node(bench: bodies.Bench) -> None:
    bench.walk(bodies.chain())
    assert not list(bench.store.root.rglob("claim"))
