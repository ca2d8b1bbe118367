"""What a run says and does when its store is full, read-only, damaged, or its clock is wrong."""

import errno
import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.call import InProcessExecutor
from cluster.local_store import LocalStore
from cluster.storage import StorageError, open_store
from pipelines.graph.artifact import FILES
from pipelines.graph.node import Graph, Node
from pipelines.graph.record import faults, home, read_record
from pipelines.graph.run import walk
from tests.faults.disks import ERRNOS, FaultDisk
from tests.pipelines.graph.bodies import LARGE, Number, chain, large

EXITS = {"damaged": 3, "storage": 4}


def _large(count: int) -> Graph:
    nodes = [
        Node(name=f"n{i}", fn=large, cfg=Number(value=float(i)), makes=FILES) for i in range(count)
    ]
    return Graph(nodes=tuple(nodes), recipe="large")


def _walk(graph: Graph, place: Path, **more: Any) -> Any:
    store = more.pop("store", None) or open_store(str(place))
    return walk(
        graph, store=store, executor=InProcessExecutor(), emit=lambda event: None, run="r", **more
    )


def _errors(outcome: Any) -> str:
    return "\n".join(n.error.text for n in outcome.nodes.values() if n.error)


def _states(outcome: Any) -> dict[str, str]:
    return {name: ended.state for name, ended in outcome.nodes.items()}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of 2 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("nobody may mount here; RLIMIT_FSIZE and planted ENOSPC show the same")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _whole(store: Any) -> int:
    count = 0
    for part in store.list("nodes"):
        for key in store.list(f"nodes/{part}"):
            record = read_record(store, key)
            kept = store.list(f"nodes/{part}/{key}")
            if record is None:
                assert kept == [], "something was left of a node that failed"
                continue
            assert kept == sorted(["manifest.json", record.body["attempt"]])
            assert faults(store, record, check="all") == []
            count += 1
    return count


def test_a_full_disk_ends_with_4_keeps_what_is_done_and_goes_on(small_disk: Path) -> None:
    outcome = _walk(_large(5), small_disk / "store")
    assert (outcome.status, outcome.code) == ("failed", EXITS["storage"])
    assert "No space left on device" in _errors(outcome)
    done = [name for name, state in _states(outcome).items() if state == "done"]
    store = open_store(str(small_disk / "store"))
    assert _whole(store) == len(done) == 3
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    again = _walk(_large(5), small_disk / "store")
    assert again.status == "done"
    assert [n for n, state in _states(again).items() if state == "cached"] == done
    assert _whole(store) == 5


def test_a_store_that_is_full_before_the_start_is_refused(small_disk: Path) -> None:
    open_store(str(small_disk / "store"))
    with pytest.raises(OSError, match="No space"):
        (small_disk / "fill").write_bytes(b"0" * (4 << 20))
    with pytest.raises(StorageError, match="got 'No space left on device, 0 bytes free'"):
        open_store(str(small_disk / "store"))


def test_a_file_that_may_not_grow_ends_with_4(tmp_path: Path) -> None:
    """RLIMIT_FSIZE needs no rights; it holds for this process, so a child is asked."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, LARGE // 2))
            outcome = _walk(_large(1), tmp_path / "store")
            said = "File too large" in _errors(outcome)
            code = outcome.code if said and _whole(open_store(str(tmp_path / "store"))) == 0 else 98
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == EXITS["storage"]
    assert _walk(_large(1), tmp_path / "store").status == "done"


@pytest.mark.parametrize("kind", ERRNOS)
def test_a_fault_in_the_middle_of_a_run_ends_with_4(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.graph import commit

    place = tmp_path / "store"
    open_store(str(place))
    turned = LocalStore(place, disk=FaultDisk(at=60, kind=kind))
    monkeypatch.setattr(commit, "open_store", lambda *_, **__: turned)
    outcome = _walk(chain(4), place)
    assert (outcome.status, outcome.code) == ("failed", EXITS["storage"])
    assert f"store: {place}" in _errors(outcome)
    assert os.strerror(getattr(errno, kind)) in _errors(outcome)
    monkeypatch.undo()
    assert _states(outcome)["n0"] == "done"
    again = _walk(chain(4), place)
    assert again.status == "done"
    assert _states(again)["n0"] == "cached"


def test_a_store_that_turned_read_only_ends_with_4(small_disk: Path) -> None:
    place = small_disk / "store"
    store = open_store(str(place))

    def turn(event: dict[str, Any]) -> None:
        if event.get("node") == "n1" and event.get("state") == "running":
            subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    outcome = walk(chain(4), store=store, executor=InProcessExecutor(), emit=turn, run="r")
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert (outcome.status, outcome.code) == ("failed", EXITS["storage"])
    assert "Read-only file system" in _errors(outcome)
    assert _walk(chain(4), place).status == "done"


@pytest.mark.parametrize("how", ["cut", "flipped", "gone", "the folder is gone"])
def test_a_damaged_artifact_ends_with_3_and_the_same_command_makes_it_anew(
    tmp_path: Path, how: str
) -> None:
    place = tmp_path / "store"
    first = _walk(chain(3), place)
    file = first.artifacts["n1"] / "value.json"
    before = file.read_bytes()
    if how == "cut":
        file.write_bytes(before[:-1])
    elif how == "flipped":
        file.write_bytes(bytes([before[0] ^ 1]) + before[1:])
    elif how == "gone":
        file.unlink()
    else:
        shutil.rmtree(file.parent)
    shutil.rmtree(place / home(first.nodes["n2"].key))  # so that n1 is read again
    # another process: what was found whole once is not looked at again in one
    outcome = _in_child(place)
    assert outcome["code"] == EXITS["damaged"], outcome
    assert "n1: its artifact is damaged; got " in outcome["text"]
    assert "value.json" in outcome["text"]
    aside = sorted(p.name for p in (place / "quarantine").iterdir())
    assert len(aside) == (1 if how == "the folder is gone" else 2)
    again = _walk(chain(3), place)
    assert again.status == "done"
    assert (again.artifacts["n1"] / "value.json").read_bytes() == before


def _in_child(place: Path) -> dict[str, Any]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            from pipelines.graph import record

            record._whole.clear()
            outcome = _walk(chain(3), place)
            said = {"code": outcome.code, "text": _errors(outcome)}
            os.write(write, json.dumps(said).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return json.loads(os.read(read, 1 << 16))


def test_a_torn_record_is_none_and_is_kept_aside(tmp_path: Path) -> None:
    place = tmp_path / "store"
    first = _walk(chain(2), place)
    manifest = place / home(first.nodes["n1"].key) / "manifest.json"
    data = manifest.read_bytes()
    manifest.write_bytes(data[: len(data) // 2])
    again = _walk(chain(2), place)
    assert again.status == "done"
    assert _states(again) == {"n0": "cached", "n1": "done"}
    [aside] = (place / "quarantine").iterdir()
    assert aside.read_bytes() == data[: len(data) // 2]


def test_a_clock_an_hour_back_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "store"
    first = _walk(chain(2), place)
    real, real_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() - 3600 * 10**9)
    again = _walk(chain(2), place)
    assert set(_states(again).values()) == {"cached"}
    longer = _walk(chain(4), place)
    assert _states(longer) == {"n0": "cached", "n1": "cached", "n2": "done", "n3": "done"}
    monkeypatch.undo()
    forward = _walk(chain(4), place)
    assert set(_states(forward).values()) == {"cached"}
    assert forward.nodes["n1"].digest == first.nodes["n1"].digest
