"""What of a store stays while somebody works in it."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cluster.call import InProcessExecutor
from cluster.lease import journal, take
from cluster.owner import Owner
from pipelines.graph.record import home
from pipelines.runs.fenced import recorded
from pipelines.runs.keeping import Collected, collect
from tests.pipelines.graph import map_bodies
from tests.pipelines.graph.bodies import node
from tests.pipelines.runs.kept import Kept, pair, wait_for_a_tick


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def _collect(kept: Kept, *, keep_runs: int = 1, hours: float = 24) -> Collected:
    return collect(kept.where, delete="yes", keep_runs=keep_runs, grace_s=hours * 3600)


def test_a_driver_that_died_elsewhere_is_not_waited_for_for_ever(kept: Kept) -> None:
    owner = {**asdict(Owner.here()), "machine": "another", "host": "gone"}
    journal(kept.store, "runs/far-1").create(1, {"kind": "take", "epoch": 1, "owner": owner})
    wait_for_a_tick()
    made = kept.run("toy-1", pair())  # younger than what seems to live
    assert _collect(kept, keep_runs=0, hours=0).live == ("far-1",)
    place = kept.store.path("runs/far-1/journal/00000001")
    for path in (place, *kept.store.path(f"nodes/{made['last'].key[:2]}").rglob("*")):
        os.utime(path, (0, 0))
    assert not _collect(kept, keep_runs=0).live
    assert made["last"].key not in kept.manifests()


def test_scratch_of_a_result_that_is_made_again_by_force_stays(kept: Kept) -> None:
    key = kept.run("toy-1", pair())["last"].key
    with take(kept.store, "runs/toy-1"):
        kept.store.put_new(f"{home(key)}/claim", json.dumps({"run": "toy-1"}).encode())
        (kept.store.scratch(key) / "checkpoint").write_text("x")
        assert not _collect(kept).doomed
    assert [one.name for one in _collect(kept).doomed] == [f"work/{key}"]


class Collects(InProcessExecutor):  # type: ignore[misc]
    """Collects a store just before the first call."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept: Kept | None = kept

    def submit(self, *args: Any, **more: Any) -> None:
        if self.kept:
            _collect(self.kept)
        self.kept = None
        super().submit(*args, **more)


@pytest.mark.parametrize("form", ["node", "units"])
def test_what_a_run_found_stays_while_it_works(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str
) -> None:
    monkeypatch.setenv("VOCABOX_TEST_LOG", str(tmp_path / "log"))
    maps = [map_bodies.graph(text).nodes[0] for text in ("[1, 2, 3]", "[1, 2, 3, 4]")]
    old, new = (node("first"), pair()) if form == "node" else maps
    kept.run("toy-1", old)  # long ago, and not kept any more
    kept.age(days=9)
    with kept.lease("toy-2") as held:
        made = kept.walk(held, "toy-2", new, executor=Collects(kept))
        records = list(journal(kept.store, "runs/toy-2").since(1))
    units = {f"square[{i}]" for i in range(4)} if form == "units" else set[str]()
    assert set(recorded(records)) == {*made, *units}
    assert recorded(records).items() >= {(name, ended.key) for name, ended in made.items()}
    assert {ended.state for ended in made.values()} <= {"cached", "done"}
