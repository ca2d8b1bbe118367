"""Every wrapper that an error can come in, without Ray: names decide."""

import multiprocessing

from cluster.failures import POLICIES, Failure
from cluster.ray_faults import RAY_KINDS, TEXTS, GroupError, fault_of, worker_error


class RayActorError(Exception):
    preempted = False


class ActorDiedError(RayActorError):
    pass


class WorkerGroupError(Exception):
    def __init__(self, worker_failures: dict[int, Exception]) -> None:
        super().__init__("Training failed")
        self.worker_failures = worker_failures


class UserExceptionWithTraceback(Exception):
    def __init__(self, error: BaseException) -> None:
        super().__init__("wrapped")
        self._base_exc = error


class ControllerError(Exception):
    def __init__(self, error: BaseException) -> None:
        super().__init__("wrapped")
        self.controller_failure = error


def raised(text: str, *, where: str, at: float) -> UserExceptionWithTraceback:
    try:
        raise ValueError(text)
    except ValueError as error:
        told = worker_error(error, where=where)
        told.at = at
        return UserExceptionWithTraceback(told)


def test_every_kind_has_a_policy_and_words() -> None:
    assert set(RAY_KINDS.values()) <= set(POLICIES)
    assert {*RAY_KINDS.values(), "machine_full"} == set(TEXTS)


def test_the_first_of_two_errors_is_the_cause() -> None:
    late = raised("connection closed by peer", where="s rank 0", at=2.0)
    early = raised("a bug", where="s rank 1", at=1.0)
    found = fault_of(WorkerGroupError({0: late, 1: early}), where="s")
    assert (found.kind, found.where, found.text) == ("user", "s rank 1", "ValueError: a bug")
    assert "raise ValueError(text)" in found.traceback


def test_a_worker_that_is_gone_is_the_cause_of_what_its_neighbour_says() -> None:
    said = raised("connection closed by peer", where="s rank 0", at=1.0)
    group = WorkerGroupError({0: said, 1: ActorDiedError("it died\nmore")})
    found = fault_of(ControllerError(group), where="s")
    assert (found.kind, found.where) == ("lost", "s rank 1")
    assert found.text == "s rank 1: a worker process died; got ActorDiedError: it died"


def test_preemption_is_told_apart() -> None:
    gone = ActorDiedError("drained")
    gone.preempted = True
    assert fault_of(gone, where="s").kind == "preempted"


def test_other_errors_stay_what_they_are() -> None:
    assert fault_of(KeyError("x"), where="s").kind == "user"
    assert fault_of(OSError(28, "full"), where="s").kind == "storage"


def test_a_group_error_crosses_processes() -> None:
    failure = Failure("user", "s rank 1", "ValueError: x", "trace")
    mine, theirs = multiprocessing.Pipe()
    mine.send(GroupError(failure, 3.0))
    other = theirs.recv()
    assert (other.failure, other.at, str(other)) == (failure, 3.0, "ValueError: x")


class OutOfMemoryError(Exception):
    pass


def _killed(used: float) -> OutOfMemoryError:
    """What Ray 2.60 says; two of our workers."""
    return OutOfMemoryError(
        "1 worker(s) were killed due to the node running low on memory. Memory on the node "
        "(IP: 192.0.2.2, ID: 3f7c) was 22.90GB used / 23.54GB limit (0.97)\n"
        "OOM kill reason: Memory usage 5056188416B exceeded threshold of 505530208B\n"
        "Considered workers: [\nSelected to kill: (Task: job ID=01000000, task name=f, pid=14939, "
        f"actual memory used={used}GB, worker ID=8e)\n(Task: pid=1, actual memory used=1.00GB)]\n"
        "Total non-selected idle workers: 0\nTotal non-selected idle workers USS bytes: 0.00GB\n"
        "Top 10 memory users: PID\tMEM(GB)\tCOMMAND\n15268\t19.59\tray::train\n"
        "14729\t0.50\t/usr/bin/python3 -m pytest\n13840\t0.40\tray::a\n12\t0.11\tsshd\n"
        "Refer to the documentation on how to address the out of memory issue"
    )


def test_our_own_memory_is_told_with_the_largest_processes() -> None:
    found = fault_of(_killed(19.6), where="s")
    assert found.kind == "memory"
    assert found.text == (
        "s: a worker was stopped because the machine ran out of memory; got 192.0.2.2 used 22.9 of "
        "23.54 GB, our workers 21 GB; the largest are ray::train 19.59 GB, "
        "/usr/bin/python3 -m pytest 0.5 GB, ray::a 0.4 GB."
    )


def test_a_neighbours_memory_is_waited_for() -> None:
    found = fault_of(_killed(0.1), where="s")
    assert (found.kind, "others filled" in found.text) == ("machine_full", True)


def test_a_message_of_another_form_counts_as_ours() -> None:
    assert fault_of(OutOfMemoryError("worker killed"), where="s").kind == "memory"
