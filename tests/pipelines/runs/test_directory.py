"""Run directories: ids count up, an unfinished run is taken up again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster.storage import LocalStore
from pipelines.runs.directory import finished_before, listed, take


def test_ids_count_up_and_configs_are_kept_apart(tmp_path: Path) -> None:
    first = take(_store(tmp_path), recipe="joint", config="a")
    second = take(_store(tmp_path), recipe="joint", config="b")
    assert (first.run, second.run) == ("joint-1", "joint-2")
    assert take(_store(tmp_path), recipe="joint", config="a").run == "joint-1"


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    first = take(_store(tmp_path), recipe="joint", config="a")
    assert finished_before(tmp_path, recipe="joint", config="a") is None
    first.finish(_store(tmp_path), {"status": "done"})
    assert take(_store(tmp_path), recipe="joint", config="a").run == "joint-2"
    before = finished_before(tmp_path, recipe="joint", config="a")
    assert before is not None
    assert before.run == "joint-1"
    assert finished_before(tmp_path, recipe="joint", config="b") is None


def test_runs_are_listed_by_number_and_strangers_left_out(tmp_path: Path) -> None:
    for name in ("joint-10", "joint-9", "joint-x", "other-1"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert [d.run for d in listed(tmp_path, recipe="joint")] == ["joint-9", "joint-10"]


def test_drivers_that_begin_at_once_meet_in_one_run(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = pool.map(lambda _: take(_store(tmp_path), recipe="joint", config="a").run, range(8))
        assert set(runs) == {"joint-1"}


def test_how_a_run_ended_is_said_once(tmp_path: Path) -> None:
    first = take(_store(tmp_path), recipe="joint", config="a")
    first.finish(_store(tmp_path), {"status": "done", "code": 0})
    first.finish(_store(tmp_path), {"status": "done", "code": 1})
    assert first.finished() == {"status": "done", "code": 0}


def _store(folder: Path) -> LocalStore:
    return LocalStore(folder)
