"""Who owns a run: one driver at a time, whatever is killed, stopped or slow."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster import lease, owner
from cluster.lease import DeposedError, OwnedError, Watch, holder, journal, take
from cluster.storage import LocalStore, StorageError, open_store

RUN = "runs/joint-1"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return open_store(str(tmp_path / "store"))


def test_records_carry_the_epoch_and_have_no_gap(store: LocalStore) -> None:
    with take(store, RUN) as first:
        first.record("done", nodes={"a": "1"})
        first.record("done", nodes={"b": "2"})
    with take(store, RUN) as second:
        assert [r["kind"] for r in second.past] == ["take", "done", "done", "release"]
        second.record("done", nodes={"c": "3"})
    said = list(journal(store, RUN).since(1))
    assert [r["n"] for r in said] == list(range(1, len(said) + 1))
    assert [r["epoch"] for r in said] == [1, 1, 1, 1, 5, 5, 5]
    assert holder(said) is None


def test_a_living_owner_is_named_and_kept(store: LocalStore) -> None:
    with take(store, RUN) as mine:
        with pytest.raises(OwnedError, match=f"owned by pid {os.getpid()} on .* since 20"):
            take(store, RUN)
        mine.check()
        assert mine.deposed is None


def test_an_owner_that_was_killed_is_followed_at_once(store: LocalStore) -> None:
    child = _child(lambda: take(store, RUN) and os._exit(0))
    assert os.waitpid(child, 0)[1] == 0
    before = time.monotonic()
    with take(store, RUN) as mine:
        assert time.monotonic() - before < 1.0
        assert mine.epoch == 2


def test_a_killed_owner_that_nobody_reaped_is_gone(store: LocalStore) -> None:
    child = _child(lambda: take(store, RUN) and os.kill(os.getpid(), signal.SIGKILL))
    held = _until(lambda: (h := holder(list(journal(store, RUN).since(1)))) and h.owner.is_gone())
    assert held
    os.waitpid(child, 0)


def test_an_owner_elsewhere_is_followed_after_a_silence_that_is_said(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _elsewhere(store)
    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    said: list[str] = []
    before = time.monotonic()
    with take(store, RUN, ttl_s=1.0, say=said.append) as mine:
        assert time.monotonic() - before > 0.9
        assert mine.epoch == 2
    assert len(said) == 1
    assert "silent" in said[0]
    assert "pid 7 on far" in said[0]


def test_the_time_a_watcher_slept_is_no_silence(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _elsewhere(store)
    now = 0.0
    monkeypatch.setattr(lease, "steady_s", lambda: now)
    watch = Watch(store, RUN, ttl_s=30)
    assert watch.look()
    now = 3600.0
    assert watch.look(), "an hour in which nobody looked says nothing of the owner"
    for _ in range(8):
        now += 2 * lease.BEAT_S
        watch.look()
    assert watch.look() is None


def test_a_clock_set_back_an_hour_changes_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    with take(store, RUN) as mine:
        monkeypatch.setattr(time, "time", lambda: real() - 3600)
        mine.record("done", nodes={})
        mine.check()
        with pytest.raises(OwnedError):
            take(store, RUN)


def test_a_stopped_owner_is_followed_and_writes_nothing_when_it_goes_on(
    store: LocalStore, tmp_path: Path
) -> None:
    told = tmp_path / "told"

    def old() -> None:
        mine = take(store, RUN, ttl_s=1.0)
        mine.record("done", nodes={"a": "1"})
        os.kill(os.getpid(), signal.SIGSTOP)
        for act in (mine.check, lambda: mine.record("done", nodes={"b": "2"})):
            try:
                act()
            except DeposedError as error:
                told.write_text(str(error))
        mine.close()
        os._exit(0)

    child = _child(old)
    os.waitpid(child, os.WUNTRACED)
    new = take(store, RUN, ttl_s=1.0)
    new.record("done", nodes={"b": "3"})
    before = _tree(store)
    os.kill(child, signal.SIGCONT)
    assert os.waitpid(child, 0)[1] == 0
    assert f"taken over by pid {os.getpid()}" in told.read_text()
    assert _without_beats(_tree(store)) == _without_beats(before)
    new.check()
    new.close()


def test_of_many_that_take_at_once_one_holds(store: LocalStore, tmp_path: Path) -> None:
    _elsewhere(store)

    def one() -> None:
        try:
            mine = take(store, RUN, ttl_s=0.0)
            mine.record("mine", who=os.getpid())
            mine.check()
        except (OwnedError, StorageError):
            os._exit(1)
        os._exit(0)

    children = [_child(one) for _ in range(8)]
    for child in children:
        os.waitpid(child, 0)
    said = list(journal(store, RUN).since(1))
    epoch = 1
    for record in said:  # never a record of an epoch that is over
        epoch = record["n"] if record["kind"] == "take" else epoch
        assert record["epoch"] == epoch


def test_whoever_takes_over_at_any_operation_is_the_only_one_to_write(tmp_path: Path) -> None:
    points = 0
    for at in range(1, 100):
        store = open_store(str(tmp_path / f"{at}"))
        other = _Other(store, at=at, then=lambda s=store: _work(take(s, RUN, ttl_s=0.0), "b"))
        try:
            _work(take(other, RUN, ttl_s=0.0), "a")
            ended = "whole"
        except (DeposedError, OwnedError):
            ended = "deposed"
        assert _stale(store) == []
        if not other.came:
            assert ended == "whole"
            break
        points += 1
    assert points >= 8, "every operation on the store is a point"


def test_a_racy_lock_is_found_by_the_same_harness(tmp_path: Path) -> None:
    """Negative control: who looks first and writes then, over what is there."""
    wrong: list[str] = []
    for at in range(1, 100):
        store = open_store(str(tmp_path / f"{at}"))
        other = _Other(store, at=at, then=lambda s=store: _racy(s, "b"))
        _racy(other, "a")
        wrong += _stale(store)
        if not other.came:
            break
    assert wrong


class _Other:
    """A store in which another driver takes over before the n-th operation."""

    def __init__(self, store: LocalStore, *, at: int, then: Callable[[], object]) -> None:
        self._store, self._at, self._then = store, at, then
        self.came = False

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)

        def call(*args: Any, **more: Any) -> Any:
            self._at -= 1
            if self._at == 0:
                self.came = True
                self._then()
            return verb(*args, **more)

        return call if callable(verb) else verb


def _work(mine: lease.Lease, who: str) -> None:
    mine._ends.set()
    for node in ("x", "y", "z"):
        mine.record("done", who=who, node=node)
    mine.close()


def _racy(store: Any, who: str) -> None:
    for node in ("x", "y", "z"):
        said = list(journal(store, RUN).since(1))
        epoch = (said[-1]["epoch"] + 1) if said and said[-1]["who"] != who else 1
        name = f"{RUN}/journal/{len(said) + 1:08d}"
        store.delete(name)
        line = {"kind": "done", "epoch": epoch, "who": who, "node": node, "mark": who}
        store.put_new(name, json.dumps(line).encode())


def _stale(store: LocalStore) -> list[str]:
    """Say which records were written by a driver after another one had taken over."""
    epoch, wrong = 0, []
    for record in journal(store, RUN).since(1):
        if record["epoch"] < epoch:
            wrong.append(f"record {record['n']} is of epoch {record['epoch']} after {epoch}")
        epoch = max(epoch, record["epoch"])
    return wrong


def _elsewhere(store: LocalStore) -> None:
    far = owner.Owner(host="far", pid=7, machine="other", born="1", since="2026-01-01 00:00:00")
    body = {name: getattr(far, name) for name in far.__dataclass_fields__}
    assert journal(store, RUN).create(1, {"kind": "take", "epoch": 1, "owner": body})


def _child(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # the child must not go on as a second pytest
            print(repr(error), file=sys.stderr)
        os._exit(9)
    return child


def _until(true: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := true()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


def _tree(store: LocalStore) -> dict[str, bytes]:
    files = (p for p in store.root.rglob("*") if p.is_file())
    return {str(p.relative_to(store.root)): p.read_bytes() for p in files}


def _without_beats(tree: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in tree.items() if "/beats/" not in name}
