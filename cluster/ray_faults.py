"""Errors of Ray, Ray Train and our groups -> Failure. No import of Ray: names decide.

What a worker raised stands in several wrappers; the Failure holds the worker's own traceback.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

from cluster.failures import Failure, failure_of
from cluster.memory_fault import memory_of

RAY_KINDS = {  # class names, looked up along the error's bases
    "PreemptionError": "preempted",
    "OutOfMemoryError": "memory",
    "TaskCancelledError": "cancelled",
    "WorkerCrashedError": "lost",
    "RayActorError": "lost",
    "NodeDiedError": "lost",
    "LocalRayletDiedError": "lost",
    "ObjectLostError": "lost",
    "WorkerHealthCheckFailedError": "lost",
    "WorkerHealthCheckTimeoutError": "lost",
    "OutOfDiskError": "storage",
    "RayTrainError": "unknown",
    "RayError": "unknown",
}
TEXTS = {
    "lost": "a worker process died",
    "memory": "a worker was stopped because the machine ran out of memory",
    "machine_full": "a worker was stopped because others filled the machine's memory",
    "preempted": "the machine was taken away",
    "cancelled": "cancelled",
    "storage": "Ray's disk is full",
    "unknown": "Ray failed",
}
# A worker whose neighbour died finds out in the middle of a collective operation.
OF_A_GROUP = {"DistBackendError", "DistNetworkError"}
CUT_OFF = re.compile(r"gloo[/\\]transport|ncclRemoteError|ncclSystemError")
CONSEQUENCES = {"user", "unknown"}  # what the others say when one of a group is gone


class GroupError(RuntimeError):
    """A group of workers failed; says why once, with the traceback of the first to fail."""

    def __init__(self, failure: Failure, at: float = 0.0) -> None:
        super().__init__(failure.text)
        self.failure = failure
        self.at = at or time.time()

    def __reduce__(self) -> tuple[type["GroupError"], tuple[Failure, float]]:
        return type(self), (self.failure, self.at)


def worker_error(error: BaseException, *, where: str) -> GroupError:
    """Wrap what a worker's function raised, so that it crosses processes whatever it holds."""
    failure = failure_of(error, where=where)
    names = {cls.__name__ for cls in type(error).__mro__}
    if failure.kind == "user" and (names & OF_A_GROUP or CUT_OFF.search(failure.text)):
        text = f"{where}: lost its group; got {failure.text.splitlines()[0][:200]}"
        failure = Failure("cut_off", where, text, failure.traceback)
    return GroupError(failure, time.time())


def fault_of(error: BaseException, *, where: str) -> Failure:
    """Find what went wrong first under Ray's wrappers, and say it as a plain value."""
    if isinstance(error, GroupError):
        return error.failure
    inside = vars(error)
    ranks: Mapping[int, BaseException] = inside.get("worker_failures", {})
    if ranks:
        return group_fault(ranks, where=where)
    for name in ("_base_exc", "controller_failure", "health_check_failure", "cause"):
        deeper: Any = inside.get(name)
        if isinstance(deeper, BaseException):
            return fault_of(deeper, where=where)
    kind = next((RAY_KINDS[c.__name__] for c in type(error).__mro__ if c.__name__ in RAY_KINDS), "")
    if not kind:
        return failure_of(error, where=where)
    if inside.get("preempted") or inside.get("_preempted"):
        kind = "preempted"
    plain = failure_of(error, where=where)
    said = (str(error).strip() or "no words").splitlines()[0][:200]
    text = f"{where}: {TEXTS[kind]}; got {type(error).__name__}: {said}"
    if kind == "memory" and (memory := memory_of(str(error))):
        kind = kind if memory.is_ours else "machine_full"
        text = f"{where}: {TEXTS[kind]}; got {memory}."
    return Failure(kind, where, text, plain.traceback)


def group_fault(ranks: Mapping[int, BaseException], *, where: str) -> Failure:
    """Return the cause among what the ranks of a group ended with."""
    return first([fault_at(e, where=f"{where} rank {r}") for r, e in sorted(ranks.items())])


def fault_at(error: BaseException, *, where: str) -> tuple[float, Failure]:
    """Return when a worker failed (0: not known, it is gone) and how."""
    inner: Any = vars(error).get("_base_exc", error)
    return (inner.at if isinstance(inner, GroupError) else 0.0), fault_of(error, where=where)


def first(faults: list[tuple[float, Failure]]) -> Failure:
    """Choose the cause: a worker that is gone, else the error that came first."""
    gone = [fault for fault in faults if fault[1].kind not in {*CONSEQUENCES, "cut_off"}]
    said = [fault for fault in faults if fault[1].kind != "cut_off"]
    return min(gone or said or faults, key=lambda fault: fault[0])[1]
