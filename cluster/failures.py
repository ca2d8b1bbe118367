"""What went wrong, and what to do about it: values only; one place acts on them."""

import errno
import os
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from cluster.storage import StorageError, fault

EXIT = {
    "done": 0,
    "failed": 1,
    "bad_input": 2,
    "damaged": 3,
    "storage": 4,
    "owned": 5,
    "numerical": 6,
    "infrastructure": 7,
    "preempted": 75,
    "interrupted": 130,
}
PAUSE_S = 10.0  # between two tries while others fill the machine


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it crosses processes: a key of POLICIES, where, what, and the full trace."""

    kind: str
    where: str  # node, or node and rank
    text: str  # one sentence for people
    traceback: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How often a node may be tried again, a kind of failure."""

    retries: int = 2
    preemptions: int = 20
    store: int = 5
    wait_s: float = 600.0  # seconds to wait for a full machine that is not our doing


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again."""

    after_s: float
    alone: bool = False  # with nothing else on the machine
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Fail:
    """Give up."""

    why: str
    code: int


Policy = Callable[[Failure, int, Budget], Retry | Fail]


def _lost(failure: Failure, attempt: int, budget: Budget) -> Retry | Fail:
    if attempt <= budget.retries:
        return Retry(float(4 ** min(attempt - 1, 4)))
    return Fail(f"{failure.text} (lost {attempt} times)", EXIT["infrastructure"])


def _preempted(failure: Failure, attempt: int, budget: Budget) -> Retry | Fail:
    if attempt <= budget.preemptions:
        return Retry(0.0)
    return Fail(f"{failure.text} (preempted {attempt} times)", EXIT["infrastructure"])


def _memory(failure: Failure, attempt: int, budget: Budget) -> Retry | Fail:
    del budget
    if attempt <= 1:
        return Retry(1.0, alone=True)
    return Fail(f"{failure.text} Lower the batch size.", EXIT["infrastructure"])


def _machine_full(failure: Failure, attempt: int, budget: Budget) -> Retry | Fail:
    if attempt * PAUSE_S <= budget.wait_s:
        return Retry(PAUSE_S, counted=False)
    return Fail(f"{failure.text} (waited {budget.wait_s:.0f} s)", EXIT["infrastructure"])


def _slow_store(failure: Failure, attempt: int, budget: Budget) -> Retry | Fail:
    if attempt <= budget.store:
        return Retry(float(2**attempt))
    return Fail(failure.text, EXIT["storage"])


def _once(failure: Failure, attempt: int, budget: Budget) -> Retry | Fail:
    del budget
    return Retry(1.0) if attempt <= 1 else Fail(failure.text, EXIT["infrastructure"])


def _never(reason: str) -> Policy:
    def give_up(failure: Failure, attempt: int, budget: Budget) -> Retry | Fail:
        del attempt, budget
        return Fail(failure.text, EXIT[reason])

    return give_up


POLICIES: dict[str, Policy] = {
    "lost": _lost,  # a worker, an actor or a machine died
    "cut_off": _lost,  # a worker lost its neighbours, and nobody says why
    "preempted": _preempted,
    "memory": _memory,  # ours
    "machine_full": _machine_full,  # a neighbour's
    "slow_store": _slow_store,  # slow, 5xx, timeout
    "storage": _never("storage"),  # full, read-only, broken
    "damaged": _never("damaged"),
    "user": _never("failed"),  # anything raised by our or the user's code
    "bad_input": _never("bad_input"),
    "numerical": _never("numerical"),
    "owned": _never("owned"),  # another driver works on the run
    "other_code": _never("infrastructure"),  # the worker's source is not the driver's
    "no_room": _never("infrastructure"),  # wanted resources never came
    "used_up": _never("infrastructure"),  # lost too often inside one job, which counted itself
    "session": _never("infrastructure"),  # Ray did not start, or a cluster fell silent
    "cancelled": _never("interrupted"),
    "unknown": _once,  # an error of the runtime that this table does not know
}

# Class names, looked up along a raised error's bases: cluster does not import what raises them.
NAMED = {
    "DamagedError": "damaged",
    "StorageError": "storage",
    "OwnedError": "owned",
    "OtherCodeError": "other_code",
    "SessionError": "session",
    "NotFinite": "numerical",
    "NotFiniteError": "numerical",
    "DataError": "bad_input",
    "HierarchyError": "bad_input",
    "ModelError": "bad_input",
    "NoTrunkFeatureError": "bad_input",
    "OutsideError": "bad_input",
    "SourceError": "bad_input",
    "VocabularyError": "bad_input",
    "WeightsError": "bad_input",
    "CancelledError": "cancelled",
    "KeyboardInterrupt": "cancelled",
    "PreemptedError": "preempted",
    "MemoryError": "memory",
}
STORAGE_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
OF_RUST = re.compile(r"\(os error (\d+)\)")  # safetensors says so what is no OSError


def failure_of(error: BaseException, *, where: str) -> Failure:
    """Turn an error of a body into a plain value; kind `user` unless the tables know better."""
    kind = next((NAMED[c.__name__] for c in type(error).__mro__ if c.__name__ in NAMED), "user")
    said = str(error).strip() or type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (told := OF_RUST.search(said)):
        number = int(told[1])
    if number is not None and number in STORAGE_ERRNO and not isinstance(error, StorageError):
        place = error.filename if isinstance(error, OSError) else None
        full = fault(OSError(number, os.strerror(number)), place or f"a file of {where}")
        kind, said = "storage", str(full.strerror)
    elif isinstance(error, StorageError):
        said = error.strerror or said  # without its number
    trace = "".join(traceback.format_exception(error))
    text = said if kind != "user" else f"{type(error).__name__}: {said}"
    return Failure(kind, where, text, trace)


def decide(failure: Failure, *, attempt: int, policy: Budget) -> Retry | Fail:
    """Say what to do about a failure; `attempt` counts failures of this kind, from 1."""
    return POLICIES.get(failure.kind, _once)(failure, attempt, policy)
