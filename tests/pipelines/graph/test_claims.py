"""Two runs in one store that want the same result."""

import json
import os
import threading
import time
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cluster import lease
from cluster.call import InProcessExecutor
from cluster.executor import Finished
from cluster.failures import Failure
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


@pytest.mark.parametrize("left", [b"", b'{"run": "jo', bytes(80), b"[]"])
def test_a_claim_cut_short_is_taken(bench: bodies.Bench, left: bytes) -> None:
    outcome = bench.walk(bodies.chain(1))
    place = bench.store.path(f"nodes/{outcome.nodes['n0'].key[:2]}/{outcome.nodes['n0'].key}")
    (place / "manifest.json").unlink()
    (place / "claim").write_bytes(left)  # what a power cut leaves of it
    assert bench.states(bench.walk(bodies.chain(1))) == {"n0": "done"}
    assert not (place / "claim").exists()


def test_the_claim_of_a_run_that_lives_is_not_taken_and_of_a_silent_one_is(
    store: LocalStore,
) -> None:
    rivals = Rivals(store, ttl_s=1.0)
    with lease.take(store, "runs/joint-1") as held:
        met = claim(store, KEY, Claimant(run="joint-1", epoch=held.epoch))
        assert rivals.meet("one", met) == "waits for joint-1, which is making the same result"
        assert rivals.meet("one", met) is None
        assert rivals.taken("one") is None
        assert rivals.taken("another") is None
    assert rivals.taken("one") == met.mark
    assert claim(store, KEY, Claimant(run="joint-2", over=met.mark)).run == "joint-2"


def test_the_claim_of_a_driver_that_was_followed_is_taken(store: LocalStore) -> None:
    rivals = Rivals(store)
    with lease.take(store, "runs/joint-1") as held:
        left = claim(store, KEY, Claimant(run="joint-1", epoch=held.epoch))  # and killed
    with lease.take(store, "runs/joint-1"):  # its follower may make other things, for days
        rivals.meet("one", left)
        assert rivals.taken("one") == left.mark


class Kills(InProcessExecutor):  # type: ignore[misc]
    """Kills the worker of every call when it has claimed its node."""

    def __init__(self, store: LocalStore) -> None:
        super().__init__()
        self.store = store

    def wait(self, timeout: float) -> list[Finished]:
        name, _, (payloads,) = self._queue.popleft()
        claim(self.store, payloads[0]["key"], payloads[0]["claimant"])
        return [Finished(name, None, Failure("lost", name, f"{name}: a worker process died"))]


def test_a_run_that_tries_no_more_claims_no_more(bench: bodies.Bench) -> None:
    outcome = bench.walk(bodies.chain(1), executor=Kills(bench.store), on_failure="continue")
    assert bench.states(outcome) == {"n0": "failed"}
    assert not list(bench.store.root.rglob("claim"))


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


class AtOnce(InProcessExecutor):  # type: ignore[misc]
    """Runs each call in a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ThreadPoolExecutor(4)
        self.out: dict[Future[Any], str] = {}

    def submit(self, name: str, fn: Any, args: tuple[Any, ...], **_: Any) -> None:
        self.out[self.pool.submit(fn, *args)] = name

    def wait(self, timeout: float) -> list[Finished]:
        ended, _ = futures.wait(self.out, timeout, futures.FIRST_COMPLETED)
        return [Finished(self.out.pop(one), one.result(), None) for one in ended]


def test_two_nodes_of_one_run_that_are_the_same_are_made_once(
    bench: bodies.Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMS_TEST_COUNT", str(tmp_path / "count"))
    same = [Node(name=f"n{i}", fn=slow, cfg=Number(value=7), makes=FILES) for i in range(2)]
    outcome = bench.walk(Graph(nodes=tuple(same), recipe="r"), executor=AtOnce())
    assert sorted(bench.states(outcome).values()) == ["cached", "done"]
    assert (tmp_path / "count").read_text().split() == ["7"]


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
        claim(store, node_key, Claimant(run="r-1", epoch=1))
        outcome = walk(graph, store=store, executor=InProcessExecutor(), emit=events.append,
                       run="r-2")  # fmt: skip
    assert (outcome.status, tries) == ("done", ["n"] * 4)
    said = [e.get("state") or e.get("text") for e in events if e.get("node") == "n"]
    assert said == ["running", "waits for r-1, which is making the same result", "done"]


def test_a_claim_does_not_outlive_its_node(bench: bodies.Bench) -> None:
    bench.walk(bodies.chain())
    assert not list(bench.store.root.rglob("claim"))
