"""Pools: each shard once in the result, whoever dies; the same in processes and with Ray."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.actors import Done, Pool, Shard, over_shards
from cluster.call import RayExecutor
from cluster.failures import Budget
from cluster.ray_faults import GroupError
from cluster.session import Session
from cluster.shard_folders import ShardFolders
from tests.cluster import shards as items
from tests.cluster.test_call import outcomes

FEW = items.Items(count=12, sleep_ms=5)


def run(
    folder: Path,
    cfg: items.Items = FEW,
    *,
    each: Callable[[Done], None] = lambda _: None,
    say: Any = lambda *_: None,
    asked: Callable[[], bool] = lambda: False,
    **pool: Any,
) -> dict[str, Any]:
    """Run a pool over items and return what came back by shard; every shard only once."""
    found: dict[str, Any] = {}
    with over_shards(
        items.square, items.shards(folder, cfg), start=items.load, arg=str(folder),
        pool=Pool(**pool), name="teacher", say=say, asked=asked,
    ) as done:  # fmt: skip
        for one in done:
            assert one.shard.name not in found, "twice"
            found[one.shard.name] = one.value
            each(one)
    return found


def whole(found: dict[str, Any], cfg: items.Items = FEW) -> bool:
    return {n: v["square"] for n, v in found.items()} == {
        f"{i:03d}": i * i for i in range(cfg.count)
    }


@pytest.fixture(params=["here", "children", pytest.param("ray", marks=pytest.mark.ray)])
def form(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "ray":
        request.getfixturevalue("ray_session")
    return {"here": {"actors": 1, "local": True}, "children": {"actors": 2, "local": True},
            "ray": {"actors": 2}}[request.param]  # fmt: skip


@pytest.fixture(params=["children", pytest.param("ray", marks=pytest.mark.ray)])
def many(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "ray":
        request.getfixturevalue("ray_session")
    return {"actors": 2, "local": request.param == "children"}


def test_each_shard_once_and_each_actor_loads_once(form: dict[str, Any], tmp_path: Path) -> None:
    said: list[tuple[Any, ...]] = []
    cfg = replace(FEW, loads=form["actors"])  # else a quick one leaves nothing to a slow one
    found = run(tmp_path, cfg, say=lambda *values: said.append(values), **form)
    assert whole(found)
    assert items.times(tmp_path, "begin") == dict.fromkeys(range(12), 1)
    assert [*items.times(tmp_path, "load").values()] == [1] * form["actors"]
    assert {v["pid"] for v in found.values()} <= set(items.times(tmp_path, "load"))
    assert said[-1][:2] == (12, 12)
    assert "shards, " in said[-1][2]
    assert "/s, 0 s left" in said[-1][2]


def test_a_users_error_comes_once_with_the_actors_trace(
    form: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "fail-3").touch()
    with pytest.raises(GroupError, match="ValueError: item 3 is a bug") as caught:
        run(tmp_path, **form)
    assert caught.value.failure.kind == "user"
    assert "in square" in caught.value.failure.traceback
    assert items.times(tmp_path, "begin")[3] == 1


def test_an_error_of_start_comes_once(form: dict[str, Any], tmp_path: Path) -> None:
    pool = Pool(**form)
    with pytest.raises(GroupError, match="FileNotFoundError") as caught, over_shards(
        items.square, items.shards(tmp_path, FEW), start=items.load,
        arg=str(tmp_path / "not" / "there"), pool=pool, name="teacher",
    ) as done:  # fmt: skip
        list(done)
    assert "in load" in caught.value.failure.traceback


def test_killed_actors_are_replaced_and_their_shards_done(
    many: dict[str, Any], tmp_path: Path
) -> None:
    cfg = items.Items(count=30, sleep_ms=20)
    killed: list[int] = []

    def kill(one: Done) -> None:
        if one.value["item"] in (3, 11, 20):
            killed.append(one.value["pid"])
            os.kill(one.value["pid"], signal.SIGKILL)

    assert whole(run(tmp_path, cfg, each=kill, **many), cfg)
    assert len(killed) == 3
    begun = items.times(tmp_path, "begin")
    assert set(begun) == set(range(30))
    assert sum(begun.values()) - 30 <= 3, "only what was at work is begun again"
    assert sum(items.times(tmp_path, "end").values()) <= 33
    assert 4 <= len(items.times(tmp_path, "load")) <= 5, "the last may come too late"


def test_a_shard_that_kills_its_actor_stops_the_pool(many: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "poison-4").touch()
    with pytest.raises(GroupError, match=r"It was at shard 004, 2 times\.$") as caught:
        run(tmp_path, budget=Budget(retries=1), **many)
    assert caught.value.failure.kind == "used_up"
    assert items.times(tmp_path, "begin")[4] == 2


def test_a_pool_that_loses_too_many_stops(tmp_path: Path) -> None:
    for i in (1, 4, 7):
        (tmp_path / f"poison-{i}").touch()
    with pytest.raises(GroupError, match=r"The pool lost 3 actors; 2 may go\.") as caught:
        run(tmp_path, actors=2, local=True, losses=2, budget=Budget(retries=9))
    assert caught.value.failure.kind == "used_up"


def test_a_slow_taker_holds_the_actors_back(many: dict[str, Any], tmp_path: Path) -> None:
    ahead: list[int] = []

    def slow(one: Done) -> None:
        del one
        time.sleep(0.1)
        ahead.append(len(items.times(tmp_path, "begin")) - len(ahead))

    run(tmp_path, items.Items(count=24, sleep_ms=0), each=slow, in_flight=2, **many)
    assert max(ahead) <= 2 * 2 + 1


def test_asked_to_stop_it_ends_after_what_is_at_work(form: dict[str, Any], tmp_path: Path) -> None:
    found: list[Done] = []
    with pytest.raises(GroupError, match=r"asked to stop; .* shards are not done") as caught:
        run(tmp_path, each=found.append, asked=lambda: len(found) >= 4, **form)
    assert caught.value.failure.kind == "preempted"
    assert 4 <= len(found) <= 8
    assert len(items.times(tmp_path, "end")) == len(found), "nothing that was begun is lost"


def test_leaving_early_ends_the_children(tmp_path: Path) -> None:
    pids: set[int] = set()
    with pytest.raises(KeyError):  # noqa: PT012

        def stop(one: Done) -> None:
            pids.update(items.times(tmp_path, "load"))
            raise KeyError(one.shard.name)

        run(tmp_path, actors=2, local=True, each=stop)
    assert pids
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_names_of_shards_differ_and_no_shard_is_fine() -> None:
    twice = [Shard(name="a"), Shard(name="a")]
    said = pytest.raises(ValueError, match="teacher: shards have names of their own; got 'a' twice")
    with said, over_shards(items.square, twice, pool=Pool(), name="teacher"):
        pass
    with over_shards(items.square, [], pool=Pool(), name="teacher") as done:
        assert list(done) == []


def test_a_folder_takes_its_name_whole_or_not(tmp_path: Path) -> None:
    kept = ShardFolders(tmp_path / "shards")
    with pytest.raises(KeyError), kept.filling("a") as draft:  # noqa: PT012
        (draft / "half").write_text("1")
        raise KeyError
    assert list(kept.root.iterdir()) == []
    with kept.filling("a") as first, kept.filling("a") as second:
        (first / "x").write_text("first to begin")
        (second / "x").write_text("first to end")
    shards = [Shard(name="a"), Shard(name="b")]
    assert kept.missing(shards) == [shards[1]]
    kept.gather(shards[:1], out=tmp_path / "out")
    assert (tmp_path / "out" / "a" / "x").read_text() == "first to end"


@pytest.mark.ray
def test_no_room_is_said_in_time_with_wanted_and_available(
    ray_session: Session, tmp_path: Path
) -> None:
    del ray_session
    begun = time.monotonic()
    with pytest.raises(GroupError) as caught:
        run(tmp_path, actors=3, cpus=2, memory=2**30, room_s=2)
    assert time.monotonic() - begun < 10
    failure = caught.value.failure
    assert failure.kind == "no_room"
    assert failure.text.startswith(
        "teacher: no place for 3 actors of 2 CPUs, 1.0 GiB each within 2 s; got 2 CPUs, "
    )
    _free()


def pool_as_a_node(executor: RayExecutor, folder: Path, cfg: items.Items) -> None:
    """Run a pool as the graph does: in a task that holds no CPU."""
    executor.submit("pooled", items.alone, (str(folder), cfg), cpus=0, gpus=0)
    until = time.monotonic() + 60
    while len(items.times(folder, "begin")) < 4 and time.monotonic() < until:
        executor.wait(0.05)
    assert items.times(folder, "begin")


@pytest.mark.ray
def test_cancel_frees_actors_and_place(ray_session: Session, tmp_path: Path) -> None:
    del ray_session
    executor = RayExecutor()
    pool_as_a_node(executor, tmp_path, items.Items(count=60, sleep_ms=200))
    begun = time.monotonic()
    executor.cancel()
    assert outcomes(executor, 1)["pooled"].error.kind == "cancelled"
    assert time.monotonic() - begun < 10
    _free()
    executor.close()


@pytest.mark.ray
def test_a_killed_pool_leaves_nothing_to_the_next(ray_session: Session, tmp_path: Path) -> None:
    """The node's own process dies; its place would be held for as long as the session."""
    del ray_session
    executor = RayExecutor()
    cfg = items.Items(count=40, sleep_ms=50)
    pool_as_a_node(executor, tmp_path, cfg)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert outcomes(executor, 1)["pooled"].error.kind == "lost"
    done = items.made(tmp_path)
    assert 0 < done < 40
    again = items.times(tmp_path, "end")
    executor.submit("pooled", items.alone, (str(tmp_path), cfg), cpus=0, gpus=0)
    value = outcomes(executor, 1)["pooled"].value
    assert value["made"] <= 40 - done, "what was done is not done again"
    assert items.made(tmp_path) == 40
    assert sum(items.times(tmp_path, "end").values()) - sum(again.values()) <= 40 - done + 2
    _free()
    executor.close()


def _free() -> None:
    import ray

    until = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert ray.available_resources().get("CPU") == 2
    assert {p["state"] for p in ray.util.placement_group_table().values()} <= {"REMOVED"}
