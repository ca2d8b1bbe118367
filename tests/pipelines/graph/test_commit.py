"""An artifact is absent or whole, and the first writer of a key wins."""

import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from cluster.storage import DamagedError, LocalStore, open_store
from pipelines.graph import commit, same_code
from pipelines.graph.artifact import FILES
from pipelines.graph.claims import Claimant
from pipelines.graph.commit import execute, seal
from pipelines.graph.dispatch import payload_of
from pipelines.graph.lookup import Lookup
from pipelines.graph.node import Graph, Node, Outside, Task
from pipelines.graph.outside import OutsideError
from pipelines.graph.record import faults, read_record
from tests.pipelines.graph import bodies
from tests.pipelines.graph.bodies import Bench, Number, node


def _payload(store: LocalStore, one: Node, **change: Any) -> dict[str, Any]:
    lookup = Lookup(store)
    known = lookup.identify(one, {})
    fields = payload_of(
        known, lookup=lookup, recipe="r", claimant=Claimant(run="run-1"), forced="no", reporter=None
    )
    return {**fields, **change}


def _litter(store: LocalStore, key: str) -> list[str]:
    return [n for n in store.list(f"nodes/{key[:2]}/{key}") if n != "manifest.json"]


def test_a_payload_crosses_processes(bench: Bench) -> None:
    payload = _payload(bench.store, node("one", value=3))
    said = execute(pickle.loads(pickle.dumps(payload)))  # noqa: TID251
    assert (said["found"], said["differs"], said["notes"]) == (False, False, {"total": 3.0})
    record = read_record(bench.store, payload["key"])
    assert record is not None
    assert record.digest == said["digest"]
    assert not faults(bench.store, record, check="all")


def test_the_record_says_what_where_when_and_of_what(bench: Bench) -> None:
    payload = _payload(bench.store, node("one", value=3, parts={"rule": bodies.nothing}))
    execute(payload)
    record = read_record(bench.store, payload["key"])
    assert record is not None
    body = record.body
    assert body["fn"] == "tests.pipelines.graph.bodies:add"
    assert body["settings"] == {"kind": "Number", "value": 3.0, "fail": "", "sleep": 0.0}
    assert body["parts"] == {"rule": "tests.pipelines.graph.bodies:nothing"}
    assert body["files"]["value.json"][0] == 3
    assert list(body["files"]) == ["more/fixed.json", "value.json"]
    assert {"tests.pipelines.graph.bodies:add", "pipelines.graph:<contract>"} <= set(body["code"])
    assert body["versions"]["python"]
    assert body["run"] == "run-1"
    assert body["rss_max"] > 1e6


@pytest.mark.parametrize("moment", ["body", "seal", "before", "after"])
def test_a_fault_leaves_an_artifact_absent_or_whole(
    bench: Bench, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = _payload(bench.store, node("one"))
    real = LocalStore.put_new

    def put_new(self: LocalStore, name: str, data: Any, **more: Any) -> bool:
        if name.endswith("manifest.json"):
            if moment == "after":
                real(self, name, data, **more)
            raise KeyboardInterrupt
        return real(self, name, data, **more)

    def broken(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    if moment == "body":
        monkeypatch.setattr(Path, "write_text", broken)
    elif moment == "seal":
        monkeypatch.setattr(commit, "seal", broken)
    else:
        monkeypatch.setattr(LocalStore, "put_new", put_new)
    with pytest.raises(KeyboardInterrupt):
        execute(payload)
    monkeypatch.undo()
    record = read_record(bench.store, payload["key"])
    if moment == "after":
        # The record was there before the fault, so what it names must be there too.
        assert record is not None
        assert not faults(bench.store, record, check="all")
    else:
        assert record is None
        assert not _litter(bench.store, payload["key"])
    assert execute(payload)["found"] == (moment == "after")


def test_two_committers_make_one_record(bench: Bench) -> None:
    payload = _payload(bench.store, node("one"))
    gate = threading.Barrier(4)
    said: list[dict[str, Any]] = []

    def meet(task: Any) -> None:
        gate.wait()
        bodies.add(task)

    meet.__module__, meet.__qualname__ = bodies.add.__module__, "add"

    def go() -> None:
        said.append(execute({**payload, "fn": meet}))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one["attempt"] for one in said}) == 1
    assert not any(one["differs"] for one in said)
    assert _litter(bench.store, payload["key"]) == [said[0]["attempt"]]


def test_the_second_writer_of_other_bytes_loses_and_says_so(bench: Bench) -> None:
    payload = _payload(bench.store, node("one"))

    def late(task: Any) -> None:
        execute(payload)  # somebody else was quicker
        (task.out / "value.json").write_text("other")

    late.__module__, late.__qualname__ = bodies.add.__module__, "add"
    said = execute({**payload, "fn": late})
    assert said["differs"]
    record = read_record(bench.store, payload["key"])
    assert record is not None
    assert (record.place(bench.store) / "value.json").read_text() == "1.0"


def test_forced_replaces_only_other_bytes(bench: Bench) -> None:
    payload = _payload(bench.store, node("one"))
    first = execute(payload)
    again = execute({**payload, "forced": "yes"})
    assert again["attempt"] == first["attempt"]

    def other(task: Any) -> None:
        (task.out / "value.json").write_text("other")

    other.__module__, other.__qualname__ = bodies.add.__module__, "add"
    replaced = execute({**payload, "forced": "yes", "fn": other})
    assert replaced["attempt"] != first["attempt"]
    record = read_record(bench.store, payload["key"])
    assert record is not None
    assert record.digest == replaced["digest"]


def test_scratch_stays_after_a_failure_and_goes_after_the_commit(bench: Bench) -> None:
    payload = _payload(bench.store, Node(name="one", fn=bodies.flaky, cfg=Number(), makes=FILES))
    with pytest.raises(OSError, match="No space left"):
        execute(payload)
    assert bench.store.list(f"work/{payload['key']}") == ["begun", "seen"]
    assert bench.store.list(f"work/{payload['key']}/begun") == ["run-1"]
    assert not bench.store.list(f"nodes/{payload['key'][:2]}/{payload['key']}")
    execute(payload)
    assert not bench.store.exists(f"work/{payload['key']}")


def test_a_damaged_input_is_found_by_its_bytes_and_set_aside(bench: Bench) -> None:
    above = bench.walk(Graph(nodes=(node("above"),), recipe="r"))
    key = above.nodes["above"].key
    below = node("below", node("above"))
    lookup = Lookup(bench.store)
    record = read_record(bench.store, key)
    assert record is not None
    known = lookup.identify(below, {"above": record})
    payload = payload_of(
        known, lookup=lookup, recipe="r", claimant=Claimant(run=""), forced="no", reporter=None
    )
    (record.place(bench.store) / "value.json").write_text("9.0")  # the same size
    with pytest.raises(DamagedError, match=r"above: its artifact is damaged; got value\.json has"):
        execute(payload)
    assert read_record(bench.store, key) is None
    assert len(bench.store.list("quarantine")) == 2


def _reads_large(task: Task) -> None:
    raise DamagedError("large.bin: changed since it was written")


def test_a_large_input_that_the_body_finds_damaged_is_set_aside(bench: Bench) -> None:
    key = bench.walk(Graph(nodes=(node("above"),), recipe="r")).nodes["above"].key
    below = Node(
        name="below", fn=_reads_large, cfg=Number(), inputs={"x": node("above")}, makes=FILES
    )
    record = read_record(bench.store, key)
    assert record is not None
    known = Lookup(bench.store).identify(below, {"above": record})
    payload = payload_of(known, lookup=Lookup(bench.store), recipe="r", forced="no", reporter=None,
                         claimant=Claimant(run=""))  # fmt: skip
    with pytest.raises(DamagedError, match=r"^large\.bin"):
        execute(payload)  # the input is whole: the body's own words
    assert read_record(bench.store, key) is not None
    (record.place(bench.store) / "value.json").write_text("9.0")  # after the first look
    with pytest.raises(DamagedError, match=r"above: its artifact is damaged; got value\.json has"):
        execute(payload)
    assert read_record(bench.store, key) is None


def test_a_users_file_that_changes_meanwhile_is_refused(bench: Bench, tmp_path: Path) -> None:
    place = tmp_path / "mine.json"
    place.write_text("1")
    outside = Outside(name="mine", files={"file": str(place)})
    payload = _payload(bench.store, node("one", outside))

    def slow(task: Any) -> None:
        bodies.add(task)
        place.write_text("22")

    slow.__module__, slow.__qualname__ = bodies.add.__module__, "add"
    with pytest.raises(OutsideError, match=r"i0\.file: was changed while it was read"):
        execute({**payload, "fn": slow})
    assert read_record(bench.store, payload["key"]) is None


def test_other_code_on_the_worker_is_refused(bench: Bench) -> None:
    payload = _payload(bench.store, node("one"))
    comment = {**payload, "sources": {"tests.pipelines.graph.bodies": "0" * 64}}
    execute(comment)  # other bytes of the file, the same code
    other = {**comment, "code_digest": "0" * 64}
    with pytest.raises(same_code.OtherCodeError, match="the worker has other code than the driver"):
        execute(other)


def test_links_are_no_part_of_an_artifact(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    assert list(seal(tmp_path)) == ["real"]
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ValueError, match="link: an artifact holds files and folders; got a link"):
        seal(tmp_path)


def test_many_files_are_sealed_alike(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"{i:02}").write_bytes(bytes([i]))
    entries = seal(tmp_path)
    assert list(entries) == [f"{i:02}" for i in range(40)]
    assert len(set(entries.values())) == 40


def test_notes_never_cost_a_result() -> None:
    import numpy as np

    notes = commit.plain_notes(
        {"a": float("nan"), "b": np.float32(0.5), "c": {"d": [float("inf")]}, "e": Path("x")}
    )
    assert notes == {"a": None, "b": 0.5, "c": {"d": [None]}, "e": "x"}


def test_the_store_can_be_elsewhere(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/deep/store")
    assert execute(_payload(store, node("one")))["digest"]
