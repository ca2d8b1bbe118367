"""A store that fails under the driver itself: the walk ends with code 4, and goes on afterwards."""

from pathlib import Path
from typing import Any

import pytest

from cluster.call import InProcessExecutor
from cluster.local_store import LocalStore
from cluster.storage import DamagedError, StorageError, open_store
from pipelines.graph.plan import plan
from pipelines.graph.record import read_record
from pipelines.graph.run import walk
from tests.faults.disks import FaultDisk
from tests.pipelines.graph.bodies import Bench, chain
from tests.pipelines.graph.map_bodies import graph


def _walk(store: Any, events: list[Any]) -> Any:
    return walk(chain(2), store=store, executor=InProcessExecutor(), emit=events.append)


def test_a_full_disk_at_each_operation_of_the_driver_is_an_end_with_4(tmp_path: Path) -> None:
    open_store(str(tmp_path / "alone"))
    whole = _walk(LocalStore(tmp_path / "alone"), []).nodes["n1"].digest
    ended, at = 0, 0
    while at == ended:
        at += 1
        place = tmp_path / str(at)
        open_store(str(place))
        disk = FaultDisk(at=at, kind="ENOSPC")
        events: list[Any] = []
        try:
            outcome = _walk(LocalStore(place, disk=disk), events)
        except StorageError:
            assert events == [], "what was begun is ended in order"
            ended += 1
            continue
        if disk.met is not None:
            ended += 1
            assert outcome.code in (0, 4), disk.met  # 0: it was only cleaning up
        again = _walk(LocalStore(place), [])
        assert (again.status, again.nodes["n1"].digest) == ("done", whole)
    assert ended > 10


def test_who_only_looks_moves_no_damaged_list(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOCABOX_TEST_LOG", str(tmp_path / "log"))
    done = bench.walk(graph("[1, 2]"))
    record = read_record(bench.store, done.nodes["list"].key)
    assert record is not None
    place = record.place(bench.store) / "list.json"
    place.write_text("[1, 3]")
    bench.store.delete(f"nodes/{done.nodes['square'].key[:2]}/{done.nodes['square'].key}")
    with pytest.raises(DamagedError, match=r"list: its artifact is damaged; got list\.json has"):
        plan(graph("[1, 2]"), bench.store)
    assert place.is_file()
    ended = bench.walk(graph("[1, 2]"))
    assert ended.code == 3
    assert not place.exists()
    assert bench.walk(graph("[1, 2]")).status == "done"
