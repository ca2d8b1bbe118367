"""Both executors do the same; Ray's also survives what happens to processes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.board import Board, BoardReporter
from cluster.call import EXECUTORS, RayExecutor
from cluster.executor import Executor, Finished
from cluster.session import Session
from tests.cluster import bodies


@pytest.fixture(params=["in_process", pytest.param("ray", marks=pytest.mark.ray)])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "ray":
        request.getfixturevalue("ray_session")
    made = EXECUTORS[request.param]()
    yield made
    made.close()


def outcomes(executor: Executor, count: int) -> dict[str, Finished]:
    found: dict[str, Finished] = {}
    until = time.monotonic() + 240  # a Train job on a busy machine
    while len(found) < count and time.monotonic() < until:
        found |= {ended.name: ended for ended in executor.wait(0.5)}
    return found


def test_a_value_and_an_error_come_back_once(executor: Executor) -> None:
    assert executor.wait(0.0) == []
    executor.submit("good", bodies.double, (21,), cpus=1, gpus=0)
    executor.submit("bad", bodies.fail, ("no boxes",), cpus=0.5, gpus=0)
    found = outcomes(executor, 2)
    value, error = found["good"].value, found["bad"].error
    assert value is not None
    assert value["double"] == 42
    assert found["good"].error is None
    assert error is not None
    assert (error.kind, error.where, error.text) == ("user", "bad", "ValueError: no boxes")
    assert "raise ValueError(text)" in error.traceback
    assert "bodies.py" in error.traceback
    assert executor.wait(0.0) == []


def test_what_a_body_says_is_heard(executor: Executor) -> None:
    executor.submit("train", bodies.tell, (executor.reporter("train"), 5), cpus=1, gpus=0)
    assert outcomes(executor, 1)["train"].error is None
    seen = executor.records()  # all of them, at once: the call has ended
    assert [record["metrics"]["train/loss"] for _, record in seen] == [0, 1, 2, 3, 4]
    assert executor.progress()["train"]["done"] == 5
    assert executor.records() == []


def test_what_a_body_says_in_this_process_is_heard_while_it_goes_on() -> None:
    executor, heard = EXECUTORS["in_process"](), list[float]()
    said = executor.reporter("train")
    executor.listen(lambda: heard.extend(r["done"] for _, r in executor.records()))

    def body() -> dict[str, Any]:
        for step in (1, 2):
            said({"done": step, "total": 2, "text": "", "metrics": {"train/loss": 0.5}})
            assert heard[-1] == step
        return {}

    executor.submit("train", body, (), cpus=1, gpus=0)
    assert outcomes(executor, 1)["train"].error is None
    assert heard == [1, 2]


def test_capacity(executor: Executor) -> None:
    assert executor.capacity["cpus"] >= 1
    assert executor.capacity["gpus"] >= 0


def test_progress_without_numbers_is_sent_at_a_pace() -> None:
    class Slot:
        def __init__(self) -> None:
            self.calls: list[dict] = []

        def remote(self, name: str, record: dict) -> None:
            self.calls.append(record)

    class Handle:
        put = Slot()

    reporter = BoardReporter(Handle(), "n")
    for done in range(50):
        reporter({"done": done, "total": 50})
    reporter({"done": 7, "total": 50, "metrics": {"train/loss": 1.0}})
    reporter({"done": 50, "total": 50})
    kept = Handle.put.calls
    assert len(kept) < 10
    assert [r["done"] for r in kept[-2:]] == [7, 50]


def test_a_board_gives_numbers_once() -> None:
    board = Board()
    board.put("a", {"done": 1, "metrics": {"x": 1.0}})
    board.put("a", {"done": 2})
    latest, numbers = board.take()
    assert latest == {"a": {"done": 2}}
    assert [record["done"] for _, record in numbers] == [1]
    assert board.take() == ({}, [])
    board.put("a", {"done": 3})
    assert board.take() == ({"a": {"done": 3}}, [])


def test_cancelling_here_forgets_what_has_not_begun() -> None:
    executor = EXECUTORS["in_process"]()
    executor.submit("a", bodies.double, (1,), cpus=1, gpus=0)
    executor.cancel()
    assert executor.wait(0.0) == []


@pytest.mark.ray
def test_a_dead_worker_is_a_lost_one_and_is_not_retried(ray_session: Session) -> None:
    executor = RayExecutor()
    executor.submit("doomed", bodies.die, (), cpus=1, gpus=0)
    error = outcomes(executor, 1)["doomed"].error
    assert error is not None
    assert error.kind == "lost"
    assert error.text.startswith("doomed: a worker process died; got WorkerCrashedError")
    executor.submit("next", bodies.double, (1,), cpus=1, gpus=0)
    assert outcomes(executor, 1)["next"].error is None
    executor.close()


@pytest.mark.ray
def test_cancel_ends_running_and_waiting_calls(ray_session: Session, tmp_path: Path) -> None:
    executor = RayExecutor()
    for name in ("a", "b", "c"):  # 2 CPUs: one of them waits
        executor.submit(name, bodies.sleep, (600, str(tmp_path / name)), cpus=1, gpus=0)
    until = time.monotonic() + 240  # a Train job on a busy machine
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    begun = time.monotonic()
    executor.cancel(grace_s=1.0)  # sleep does not hear it: the processes are killed
    assert time.monotonic() - begun < 6
    found = outcomes(executor, 3)
    assert {name: e.error and e.error.kind for name, e in found.items()} == dict.fromkeys(
        "abc", "cancelled"
    )
    executor.close()
