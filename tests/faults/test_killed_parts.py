"""Short forms of `python -m tests.faults worker` and `actor`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import actor, notice, watched, worker
from tests.faults.command import ROOT


def _quiet(_: str) -> None:
    return


def test_a_training_goes_on_wherever_one_of_two_processes_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(watched.FOLDER, "")  # put back at the end
    found = worker.kill(tmp_path, times=8, seed=1, executor="inline", say=_quiet)
    assert [trial.wrong for trial in found] == [[]] * 8
    assert all(trial.killed for trial in found)


def test_a_restart_that_forgets_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the optimizer's state is lost; then, no checkpoint is looked for at all."""
    monkeypatch.setenv(watched.FOLDER, str(tmp_path))
    whole = worker.prepared(tmp_path)[2]
    for planted, wrong in (
        ("optimizer", "other weights than undisturbed"), ("checkpoint", "7 steps were done twice"),
    ):  # fmt: skip
        monkeypatch.setenv(watched.PLANTED, planted)
        found = worker.kill_once(tmp_path, (0, 7), world=2, executor="in_process", whole=whole)
        assert found.wrong == [wrong]


def test_ten_killed_actors_cost_no_item_and_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(watched.FOLDER, "")
    found = actor.kill(tmp_path, times=10, seed=1, executor="inline", say=_quiet)
    assert [trial.wrong for trial in found] == [[]] * 10
    assert all(trial.killed for trial in found)


@pytest.mark.ray
@pytest.mark.usefixtures("own_ray")
def test_actors_of_ray_and_their_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(watched.FOLDER, str(tmp_path))
    found = actor.kill(tmp_path, times=10, seed=2, executor="ray", say=_quiet)
    assert [trial.wrong for trial in found] == [[]] * 10
    assert sum(trial.killed for trial in found) >= 9


@pytest.mark.ray
@pytest.mark.long
def test_a_notice_keeps_the_step_and_the_training_moves(tmp_path: Path) -> None:
    """Three raylets; some 60 s on a quiet machine."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.faults.notice", str(tmp_path)],
        capture_output=True, text=True, timeout=500, check=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said = json.loads(found.stdout.splitlines()[-1])
    assert (said["code"], said["notices"]) == (0, [True]), said
    step = said["resumed_at"]
    assert step >= 10
    assert said["retries"] == [f"asked to stop after step {step} of {notice.STEPS}."]
    assert said["starts"] == [0, 0, step, step]


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.usefixtures("own_ray")
def test_a_train_job_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kills, of one of two workers and of the only one: some 100 s on a quiet machine."""
    monkeypatch.setenv(watched.FOLDER, "")
    found = worker.kill(tmp_path, times=2, seed=3, executor="ray", say=_quiet)
    assert [trial.wrong for trial in found] == [[], []]
    assert all(trial.killed for trial in found)
