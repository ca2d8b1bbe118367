"""What goes and what stays when a store is collected."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.lease import take
from cluster.local_store import LocalStore
from pipelines.graph.garbage import Roots, find_garbage, marked, sweep
from pipelines.graph.key import SCHEMA
from pipelines.graph.node import Graph
from pipelines.graph.plan import plan
from pipelines.graph.record import home, read_record, sealed
from pipelines.graph.stored import stored
from pipelines.runs import kept_runs
from pipelines.runs.keeping import Collected, collect
from tests.pipelines.runs.kept import Kept, pair, wait_for_a_tick


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def _collect(
    kept: Kept, *, keep_runs: int = 1, delete: Any = "yes", hours: float = 24
) -> Collected:
    return collect(kept.where, delete=delete, keep_runs=keep_runs, grace_s=hours * 3600)


def _three(kept: Kept) -> dict[int, dict[str, Any]]:
    """Make three runs: each its own last node, all the same first one."""
    made: dict[int, dict[str, Any]] = {}
    for number in (1, 2, 3):
        made[number] = kept.run(f"toy-{number}", pair(number))
        wait_for_a_tick()
    return made


def test_a_dry_run_deletes_nothing_and_names_what_would_go(kept: Kept) -> None:
    made = _three(kept)
    kept.age()
    before = kept.names()
    found = _collect(kept, delete="no")
    assert kept.names() == before
    keys = {one.record.key for one in found.doomed if one.record}
    assert keys == {made[1]["last"].key, made[2]["last"].key}
    gone = _collect(kept)
    assert {one.name for one in gone.doomed} == {one.name for one in found.doomed}
    assert kept.manifests() == {made[3]["last"].key, made[3]["first"].key}
    assert not _collect(kept).doomed


def test_what_a_kept_run_used_and_what_that_was_made_from_stays(kept: Kept) -> None:
    made = _three(kept)
    again = kept.run("toy-4", pair(1))  # found, and made by the oldest run
    assert again["last"].state == "cached"
    kept.age()
    _collect(kept)
    assert kept.manifests() == {made[1]["last"].key, made[1]["first"].key}
    assert plan(Graph(nodes=(pair(1),), recipe="toy"), kept.store).nodes[1].state == "cached"
    for key in kept.manifests():
        record = read_record(kept.store, key)
        assert record
        for digest in record.body["code"].values():
            assert len(digest) < 64 or kept.store.exists(f"code/{digest[:2]}/{digest}")


def test_what_is_young_stays(kept: Kept) -> None:
    _three(kept)
    assert not _collect(kept, keep_runs=0).doomed
    kept.age(days=0.9)
    assert not _collect(kept, keep_runs=0).doomed
    assert len(_collect(kept, keep_runs=0, hours=20).of("result")) == 4


def test_pinned_runs_stay_and_unknown_ones_are_named(kept: Kept) -> None:
    made = _three(kept)
    kept_runs.pin(kept.store, "toy-1")
    kept.age()
    _collect(kept)
    first = made[3]["first"].key
    assert kept.manifests() == {made[1]["last"].key, made[3]["last"].key, first}
    kept_runs.unpin(kept.store, "toy-1")
    _collect(kept)
    assert kept.manifests() == {made[3]["last"].key, first}
    with pytest.raises(
        kept_runs.UnknownRunError, match=r"RUN: no such run; got 'toy-9'\. The runs"
    ):
        kept_runs.pin(kept.store, "toy-9")


def test_a_run_that_somebody_works_on_stays_and_what_is_younger_than_it(kept: Kept) -> None:
    made = _three(kept)
    kept.age(days=9)
    with kept.lease("old-1") as held:
        mine = kept.walk(held, "old-1", pair(8))
        kept.age(days=2)  # begun two days ago
        litter = kept.store.new_folder(f"{home(made[1]['last'].key)}/{'b' * 32}")
        (litter / "half").write_text("x")  # of a worker of now
        stray = kept.run("toy-9", pair(9, name="other"))
        os.utime(kept.store.path("runs/toy-9/journal/00000001"), (0, 0))
        found = _collect(kept, keep_runs=0)
        assert found.live == ("old-1",)
        assert kept.manifests() >= {mine["last"].key, mine["first"].key, stray["other"].key}
        assert made[3]["last"].key not in kept.manifests()
        assert litter.is_dir()
    assert not _collect(kept, keep_runs=1).live


def test_a_claim_of_a_live_run_guards_a_key(kept: Kept) -> None:
    made = _three(kept)
    key = made[1]["last"].key
    with take(kept.store, "runs/now-1"):
        kept.age()
        kept.store.put_new(f"{home(key)}/claim", json.dumps({"run": "now-1"}).encode())
        half = kept.store.new_folder(f"{home(key)}/{'c' * 32}")
        kept.age(days=1)
        _collect(kept, keep_runs=1)
        assert key in kept.manifests()
        assert half.is_dir()
    _collect(kept, keep_runs=1)
    assert key not in kept.manifests()


def test_halves_go_and_torn_records_and_what_is_beside_them_stay(kept: Kept) -> None:
    made = _three(kept)
    kept.age()
    key = made[3]["last"].key
    half = kept.store.new_folder(f"{home(key)}/{'d' * 32}")
    (half / "half.bin").write_bytes(b"x" * 1000)
    alone = kept.store.new_folder(f"nodes/ab/{'ab' * 32}/{'e' * 32}")
    torn = kept.store.path(f"{home(made[1]['last'].key)}/manifest.json")
    torn.write_bytes(torn.read_bytes()[:50])
    foreign = kept.store.path(f"{home(made[2]['last'].key)}/manifest.json")
    record = read_record(kept.store, made[2]["last"].key)
    assert record
    foreign.write_bytes(sealed({**record.body, "format": SCHEMA + 1}))
    kept.store.put_new("quarantine/old", b"damaged")
    kept.age()
    found = _collect(kept)
    assert {one.kind for one in found.doomed} == {"attempt"}
    assert sum(one.size for one in found.doomed) == 1000
    assert not half.exists()
    assert not alone.exists()
    for path in (torn, foreign):
        assert path.is_file()
        assert len(list(path.parent.iterdir())) == 2
    assert kept.store.exists("quarantine/old")


def test_scratch_goes_at_once_when_the_result_is_there(kept: Kept) -> None:
    made = _three(kept)
    for name in (made[1]["last"].key, "a" * 64, "b" * 64, "c" * 64):
        (kept.store.root / "work" / name).mkdir(parents=True)
        (kept.store.root / "work" / name / "checkpoint").write_text("x")
    kept.store.put_new(f"{home('a' * 64)}/claim", json.dumps({"run": "toy-3"}).encode())
    kept.store.put_new(f"work/{'c' * 64}/begun/toy-3", b"")  # stopped: its claim was given back
    assert [one.name for one in _collect(kept).doomed] == [f"work/{made[1]['last'].key}"]
    kept.age()
    work = {one.name for one in _collect(kept).doomed if one.kind == "work"}
    assert work == {f"work/{'b' * 64}"}  # the others were begun by a run that is kept


def test_texts_and_names_of_what_is_gone_go_too(kept: Kept) -> None:
    made = _three(kept)
    kept.store.put_new(f"code/aa/{'a' * 64}", b"old text")
    kept.age()
    found = _collect(kept)
    kinds = {kind: len(found.of(kind)) for kind in ("result", "code", "name")}
    assert kinds == {"result": 2, "code": 1, "name": 2}
    assert kept.store.list("names/toy/last") == [made[3]["last"].key]
    assert kept.store.list("runs") == ["toy-1", "toy-2", "toy-3"]  # folders of runs stay


def test_what_a_run_came_to_need_meanwhile_is_spared(kept: Kept) -> None:
    made = _three(kept)
    kept.age()
    roots = kept_runs.roots(kept.store, keep_runs=1)
    garbage = find_garbage(kept.store, roots, grace_s=3600)
    kept.run("toy-4", pair(1))
    sweep(kept.store, garbage, keep=kept_runs.roots(kept.store, keep_runs=2))
    assert made[1]["last"].key in kept.manifests()
    assert made[1]["last"].key in kept.store.list("names/toy/last")
    assert made[2]["last"].key not in kept.manifests()


def test_a_sweep_that_was_killed_is_ended_by_the_next(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _three(kept)
    kept.age()

    real = LocalStore.drop

    def killed(store: LocalStore, name: str) -> None:
        if name.startswith("nodes/") and not name.endswith("manifest.json"):
            raise KeyboardInterrupt
        real(store, name)

    with monkeypatch.context() as patch:
        patch.setattr("cluster.local_store.LocalStore.drop", killed)
        with pytest.raises(KeyboardInterrupt):
            _collect(kept)
    assert kept.manifests() < {node.key for nodes in made.values() for node in nodes.values()}
    kept.age()
    _collect(kept)
    stay = {made[3]["last"].key, made[3]["first"].key}
    assert kept.manifests() == stay
    assert {one.key for one in stored(kept.store) if one.attempts} == stay


def test_units_of_a_map_are_needed_by_it(kept: Kept) -> None:
    made = _three(kept)
    every = list(stored(kept.store))
    at = next(i for i, one in enumerate(every) if one.key == made[3]["last"].key)
    record = every[at].record
    assert record
    units = [[made[1]["last"].key, "digest"]]
    every[at] = replace(every[at], record=replace(record, body={**record.body, "units": units}))
    need = marked(every, Roots(keys=frozenset([every[at].key]), runs=frozenset()))
    assert need == {every[at].key, made[3]["first"].key, made[1]["last"].key}


def test_a_clock_of_this_machine_that_is_wrong_changes_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    _three(kept)
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert not _collect(kept, keep_runs=0).doomed


def test_what_a_run_of_days_has_begun_is_no_litter(kept: Kept) -> None:
    with take(kept.store, "runs/long-1"):
        kept.age(days=5)
        half = kept.store.new_folder(f"nodes/ab/{'ab' * 32}/{'e' * 32}")
        three_days_ago = half.stat().st_mtime - 3 * 86400
        os.utime(half, (three_days_ago, three_days_ago))
        assert not _collect(kept, keep_runs=0).doomed
    assert [one.name for one in _collect(kept, keep_runs=0).doomed] == [
        f"nodes/ab/{'ab' * 32}/{'e' * 32}"
    ]
