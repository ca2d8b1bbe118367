"""One function on one worker, on two processes, and on two Train workers: the same weights."""

import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.call import RayExecutor
from cluster.failures import Failure
from cluster.ray_faults import GroupError
from cluster.session import Session
from cluster.workers import run_group
from tests.cluster import bodies
from tests.cluster.sockets import LOOPBACK, listening
from tests.cluster.test_call import outcomes


def by_hand() -> list[float]:
    """Gradient descent on least squares, all rows at once, written out."""
    import torch

    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 1, dtype=torch.float64)
    w, b = layer.weight[0].detach().clone(), float(layer.bias.detach())
    rows = torch.arange(24, dtype=torch.float64).reshape(8, 3) / 24
    for _ in range(4):
        wrong = rows @ w + b - rows.sum(1)
        w -= 0.1 * 2 * (wrong[:, None] * rows).mean(0)
        b -= 0.1 * 2 * float(wrong.mean())
    return [*w.tolist(), b]


def local(tmp_path: Path, arg: dict[str, Any], *, workers: int) -> tuple[Any, list[Any]]:
    said: list[Any] = []
    value = run_group(
        bodies.fit,
        arg,
        workers=workers,
        local=True,
        scratch=tmp_path / "scratch",
        name="stage2",
        say=lambda *values, **metrics: said.append((values, metrics)),
    )
    return value, said


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_local_groups_agree_with_the_equation(tmp_path: Path, workers: int) -> None:
    value, said = local(tmp_path, {}, workers=workers)
    assert value["weights"] == pytest.approx(by_hand(), abs=1e-12)
    assert (value["threads"], value["world"]) == (1, max(1, workers))
    assert [values[0] for values, _ in said] == [1, 2, 3, 4]
    assert set(said[0][1]) == {"loss"}
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_of_two_comes_once_with_its_own_trace(tmp_path: Path, rank: int) -> None:
    with pytest.raises(GroupError, match=f"ValueError: rank {rank} has had enough") as caught:
        local(tmp_path, {"raise_on": (rank, 2)}, workers=2)
    failure = caught.value.failure
    assert (failure.kind, failure.where) == ("user", f"stage2 rank {rank}")
    assert "has had enough" in failure.traceback
    assert "bodies.py" in failure.traceback


def test_a_killed_process_is_lost_not_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(GroupError, match="a worker process died; got signal 9") as caught:
        local(tmp_path, {"die_on": (1, 2)}, workers=2)
    assert caught.value.failure.kind == "lost"


def test_one_worker_here_raises_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rank 0 has had enough"):
        local(tmp_path, {"raise_on": (0, 1)}, workers=1)


def test_a_process_with_threads_starts_its_group_from_a_clean_one(tmp_path: Path) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        value, said = local(tmp_path, {}, workers=2)
    finally:
        stop.set()
        thread.join()
    assert value["weights"] == pytest.approx(by_hand(), abs=1e-12)
    assert value["parent"] != os.getpid(), "a fork of a process with threads may hang"
    assert len(said) == 4


def gang(session: Session, tmp_path: Path, arg: dict[str, Any]) -> tuple[RayExecutor, Any]:
    """Run the training node's body as the graph does: a task that holds no CPU."""
    assert session.cpus == 2
    executor = RayExecutor()
    args = (str(tmp_path), executor.reporter("stage2"), arg)
    executor.submit("stage2", bodies.gang, args, cpus=0, gpus=0)
    return executor, outcomes


@pytest.mark.ray
def test_two_train_workers_agree_and_hide(ray_session: Session, tmp_path: Path) -> None:
    executor, ended = gang(ray_session, tmp_path, {"sleep_s": 0.7})
    while not executor.progress():
        time.sleep(0.1)
    assert set(listening(os.getpid())) <= LOOPBACK, "in the middle of training"
    found = ended(executor, 1)["stage2"]
    assert found.error is None, found.error
    assert found.value["weights"] == pytest.approx(by_hand(), abs=1e-12)
    assert (found.value["threads"], found.value["world"]) == (1, 2)
    steps = [record["done"] for _, record in executor.records()]
    assert steps == [1, 2, 3, 4]
    executor.close()


@pytest.mark.ray
def test_an_elastic_job_takes_the_workers_there_is_room_for(
    ray_session: Session, tmp_path: Path
) -> None:
    executor, ended = gang(ray_session, tmp_path, {"workers": 3, "min_workers": 1})
    found = ended(executor, 1)["stage2"]
    assert found.error is None, found.error
    assert found.value["world"] == 2
    assert found.value["weights"] == pytest.approx(by_hand(), abs=1e-12)
    executor.close()


@pytest.mark.ray
def test_a_train_workers_error_comes_once_with_its_own_trace(
    ray_session: Session, tmp_path: Path
) -> None:
    executor, ended = gang(ray_session, tmp_path, {"raise_on": (1, 2), "retries": 2})
    failure: Failure = ended(executor, 1)["stage2"].error
    assert (failure.kind, failure.where) == ("user", "stage2 rank 1")
    assert failure.text == "ValueError: rank 1 has had enough"
    assert "bodies.py" in failure.traceback
    assert [record["done"] for _, record in executor.records()] == [1, 2], "one attempt"
    executor.close()


@pytest.mark.ray
def test_a_train_worker_killed_too_often_ends_the_job_and_its_cpus_come_back(
    ray_session: Session, tmp_path: Path
) -> None:
    import ray

    executor, ended = gang(ray_session, tmp_path, {"die_on": (1, 2)})
    failure: Failure = ended(executor, 1)["stage2"].error
    assert failure.kind == "used_up"
    assert re.match(r"stage2 rank [01]: (a worker process died|lost its group); got ", failure.text)
    assert failure.text.endswith("(lost 1 times)")
    until = time.monotonic() + 10
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < until:
        time.sleep(0.2)
    assert ray.available_resources().get("CPU") == 2
    executor.close()


@pytest.mark.ray
def test_cancel_in_the_middle_of_training(ray_session: Session, tmp_path: Path) -> None:
    executor, ended = gang(ray_session, tmp_path, {"sleep_s": 600})
    while not executor.progress():
        time.sleep(0.1)
    begun = time.monotonic()
    executor.cancel()
    assert time.monotonic() - begun < 10
    assert ended(executor, 1)["stage2"].error.kind == "cancelled"
    executor.close()
