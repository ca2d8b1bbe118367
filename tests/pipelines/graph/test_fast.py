"""Cheap nodes are not flushed to disk: what a power cut takes of them is made again."""

import os
from pathlib import Path

import pytest

from cluster import storage
from pipelines.graph import commit, record
from pipelines.graph.artifact import FILES
from pipelines.graph.node import Graph, Node
from pipelines.graph.record import read_record
from tests.pipelines.graph import bodies
from tests.pipelines.graph.bodies import Bench, Number, chain, node


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call every body here cheap, however busy this machine is."""
    monkeypatch.setattr(commit, "CHEAP_S", 600.0)


class Flushes:
    """Which files and folders were flushed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places: list[Path] = []
        real = os.fsync

        def fsync(handle: int) -> None:
            self.places.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)


def test_a_cheap_node_flushes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = Flushes(monkeypatch)
    outcome = bench.walk(chain(1))
    assert flushed.places == []
    found = read_record(bench.store, outcome.nodes["n0"].key)
    assert found is not None
    assert found.fast


def test_a_node_that_took_long_flushes_all_and_the_way_to_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "CHEAP_S", 0.0)
    flushed = Flushes(monkeypatch)
    outcome = bench.walk(chain(1))
    found = read_record(bench.store, outcome.nodes["n0"].key)
    assert found is not None
    assert not found.fast
    place = found.place(bench.store)
    wanted = {place / "value.json", place / "more/fixed.json", place, place / "more"}
    above = {place.parent, place.parent.parent, bench.store.root / "nodes", bench.store.root}
    assert wanted | above <= set(flushed.places)
    drafts = [p for p in flushed.places if p.name.endswith(".tmp") and p.parent == place.parent]
    assert len(drafts) == 1  # the record


def test_a_folder_that_is_made_anew_is_flushed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = storage.open_store(str(tmp_path / "store"))
    store.put_new("a/b/one", b"1")
    store.delete("a/b/one")
    (store.root / "a" / "b").rmdir()
    (store.root / "a").rmdir()
    flushed = Flushes(monkeypatch)
    store.put_new("a/b/one", b"1")
    assert {store.root, store.root / "a", store.root / "a" / "b"} <= set(flushed.places)


def test_what_a_power_cut_took_is_made_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    place = bench.walk(chain(2)).artifacts["n0"] / "value.json"
    place.write_bytes(b"\0" * place.stat().st_size)  # the size is there, the bytes are not
    assert bench.states(bench.walk(chain(1))) == {"n0": "cached"}  # sizes only, as always
    monkeypatch.setattr(record, "boot", lambda: "after the power cut")
    outcome = bench.walk(chain(2))
    assert bench.states(outcome) == {"n0": "done", "n1": "cached"}
    notes = [e["text"] for e in bench.events if e["event"] == "note"]
    assert notes[0].startswith("n0: its artifact is damaged; got value.json has other bytes than")


def test_all_bytes_of_a_cheap_node_are_read_by_who_uses_them(bench: Bench) -> None:
    large = Node(name="large", fn=bodies.write_large, cfg=Number(), makes=FILES)
    user = node("user", large, value=3)
    whole = bench.walk(Graph(nodes=(large,), recipe="r")).artifacts["large"] / "value.json"
    data = bytearray(whole.read_bytes())
    data[-1] ^= 1
    whole.write_bytes(data)
    record._whole.clear()  # as in another process
    outcome = bench.walk(Graph(nodes=(user,), recipe="r"))
    assert (outcome.status, outcome.code) == ("failed", 3)
    assert "large: its artifact is damaged" in outcome.nodes["user"].error.text
