"""Short forms of `python -m tests.faults worker` and `actor`."""

from pathlib import Path

import pytest

from tests.faults import actor, watched, worker


def _quiet(_: str) -> None:
    return


def test_a_training_goes_on_wherever_one_of_two_processes_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(watched.FOLDER, "")  # put back at the end
    found = worker.kill(tmp_path, times=4, seed=1, executor="inline", say=_quiet)
    assert [trial.wrong for trial in found] == [[]] * 4
    assert all(trial.killed for trial in found)


def test_a_restart_that_forgets_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the optimizer's state is lost; then, no checkpoint is looked for at all."""
    from components.train.snapshot import Loaded
    from pipelines.nodes import train

    monkeypatch.setenv(watched.FOLDER, str(tmp_path))
    whole = worker.prepared(tmp_path)[2]
    with monkeypatch.context() as patch:
        patch.setattr(Loaded, "fill", lambda *_: None)
        found = worker.kill_once(tmp_path, (0, 7), world=2, executor="in_process", whole=whole)
    assert found.wrong == ["other weights than undisturbed"]
    with monkeypatch.context() as patch:
        patch.setattr(train, "newest", lambda *_, **__: None)
        found = worker.kill_once(tmp_path, (0, 7), world=2, executor="in_process", whole=whole)
    assert found.wrong == ["7 steps were done twice"]


def test_ten_killed_actors_cost_no_item_and_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(watched.FOLDER, "")
    found = actor.kill(tmp_path, times=10, seed=1, executor="inline", say=_quiet)
    assert [trial.wrong for trial in found] == [[]] * 10
    assert all(trial.killed for trial in found)


@pytest.mark.ray
def test_actors_of_ray_and_their_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(watched.FOLDER, str(tmp_path))
    found = actor.kill(tmp_path, times=10, seed=2, executor="ray", say=_quiet)
    assert [trial.wrong for trial in found] == [[]] * 10
    assert sum(trial.killed for trial in found) >= 9


@pytest.mark.ray
def test_a_train_job_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kills, of one of two workers and of the only one: some 100 s on a quiet machine."""
    monkeypatch.setenv(watched.FOLDER, "")
    found = worker.kill(tmp_path, times=2, seed=3, executor="ray", say=_quiet)
    assert [trial.wrong for trial in found] == [[], []]
    assert all(trial.killed for trial in found)
