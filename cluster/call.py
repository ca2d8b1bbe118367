"""Run one function as a task with resources; hear how it is getting on; stop it.

An executor never raises what a function raised: it comes back as a Failure, once. Attempts are
counted by the graph, so Ray's own retries are off.
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from cluster.board import ANSWER_S, PACE_S, Board, BoardAsker, BoardReporter, Record
from cluster.executor import Executor, Finished, Fn, called
from cluster.failures import Failure, failure_of
from cluster.ray_faults import fault_of

GRACE_S = 8.0  # between asking a call to stop and killing its process
TASK_NAME = "vocabox"  # of ordinary tasks in Ray's lists: a name of its own is a class of its own


@final
class RayExecutor:
    """Each call is one Ray task on the open session. A call with no CPUs may start a group."""

    def __init__(self) -> None:
        import ray

        self._ray: Any = ray
        self._task = ray.remote(max_retries=0)(called)
        self._board: Any = self._ray.remote(num_cpus=0)(Board).remote()
        self._running: dict[Any, str] = {}
        self._cancelled: set[Any] = set()
        self._dropped: dict[Any, tuple[float, Failure]] = {}  # when asked to stop, and why
        self._had: dict[str, float] = {}
        self._shapes: dict[tuple[str, float, float, float], Any] = {}
        self._latest: dict[str, Record] = {}
        self._numbers: list[tuple[str, Record]] = []
        self._asked = 0.0

    @property
    def capacity(self) -> Mapping[str, float]:
        """Say what the machines have that are alive; the last answer when Ray gives none."""
        found: dict[str, float] = {}
        try:
            alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        except self._ray.exceptions.RayError:
            return self._had
        for name, theirs in (("cpus", "CPU"), ("gpus", "GPU"), ("memory", "memory")):
            have = [float(machine.get(theirs, 0.0)) for machine in alive]
            found |= {name: sum(have), f"most_{name}": max(have, default=0.0)}
        self._had = found
        return found

    def submit(
        self,
        name: str,
        fn: Fn,
        args: tuple[Any, ...],
        *,
        cpus: float,
        gpus: float,
        memory: float = 0.0,
    ) -> None:
        """Start a call as soon as its resources are free."""
        label = TASK_NAME if cpus else name  # who holds none is a gang's: few, and named
        shape = (label, cpus, gpus, memory)
        if shape not in self._shapes:  # each is a class of tasks to Ray, which wants few
            more = {"memory": memory} if memory else {}
            task = self._task.options(num_cpus=cpus, num_gpus=gpus, name=label, **more)
            self._shapes[shape] = task
        self._running[self._shapes[shape].remote(name, fn, args)] = name

    def drop(self, name: str, why: Failure) -> None:
        """Ask a call to stop; `wait` kills its process when it does not hear."""
        for ref in [ref for ref, running in self._running.items() if running == name]:
            if ref not in self._dropped:
                self._dropped[ref] = (time.monotonic(), why)
                self._cancel(ref, force=False)

    def wait(self, timeout: float) -> list[Finished]:
        """Return all calls that have ended, or an empty list after `timeout` seconds."""
        refs = list(self._running)
        if not refs:
            return []
        for ref, (asked, _) in self._dropped.items():
            if time.monotonic() - asked > GRACE_S:
                self._cancel(ref, force=True)
        ready, _ = self._ray.wait(refs, num_returns=1, timeout=timeout, fetch_local=False)
        if ready:
            ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        return [self._finish(ref) for ref in ready]

    def _finish(self, ref: Any) -> Finished:
        name = self._running.pop(ref)
        self._asked = 0.0  # what it said last is on the board by now
        try:
            value, failure = self._ray.get(ref)
        except Exception as error:
            value, failure = None, fault_of(error, where=name)
        if failure is not None and ref in self._cancelled:  # a process we killed is not lost
            failure = Failure("cancelled", name, f"{name}: cancelled.", failure.traceback)
        if failure is not None and ref in self._dropped:
            failure = self._dropped[ref][1]
        self._cancelled.discard(ref)
        self._dropped.pop(ref, None)
        return Finished(name, value, failure)

    def reporter(self, name: str) -> Callable[[Record], None]:
        """Make what a body calls with each record; it may be sent to any worker."""
        return BoardReporter(self._board, name)

    def listen(self, heard: Callable[[], None]) -> None:
        """Do nothing: calls run elsewhere, and whoever waits looks meanwhile."""

    def asker(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Make what a body asks; it may be sent to any worker, so it asks the board."""
        del stop
        return BoardAsker(self._board)

    def progress(self) -> Mapping[str, Record]:
        """Return the latest record of each call; an old answer if the board is busy or gone."""
        if time.monotonic() - self._asked < PACE_S:
            return self._latest
        with contextlib.suppress(self._ray.exceptions.RayError):
            latest, numbers = self._ray.get(self._board.take.remote(), timeout=ANSWER_S)
            self._latest |= latest
            self._numbers += numbers
        self._asked = time.monotonic()
        return self._latest

    def records(self) -> list[tuple[str, Record]]:
        """Return the records with metrics since the last time, in the order they came."""
        self.progress()
        numbers, self._numbers = self._numbers, []
        return numbers

    def cancel(self, *, patience_s: float = 0.0, grace_s: float = GRACE_S) -> None:
        """Stop all calls: ask, wait up to `grace_s` seconds, then kill their processes.

        With patience, those that ask hear of it before and may end by themselves; what ends does
        so with the kind `preempted` and what it kept, or with its value.
        """
        refs = list(self._running)
        if refs and patience_s:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.get(self._board.ask.remote(), timeout=ANSWER_S)
            _, refs = self._ray.wait(
                refs, num_returns=len(refs), timeout=patience_s, fetch_local=False
            )
        self._cancelled |= set(refs)
        for force, patience in ((False, grace_s), (True, 3.0)):
            for ref in refs:
                self._cancel(ref, force=force)
            if refs:
                _, refs = self._ray.wait(
                    refs, num_returns=len(refs), timeout=patience, fetch_local=False
                )

    def _cancel(self, ref: Any, *, force: bool) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.cancel(ref, force=force)

    def close(self) -> None:
        """Give the board's process back."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._board)


@final
class InProcessExecutor:
    """Each call runs in this process, one after the other, inside `wait`."""

    def __init__(self) -> None:
        self._queue: deque[tuple[str, Fn, tuple[Any, ...]]] = deque()
        self._board = Board()
        self._latest: dict[str, Record] = {}
        self._numbers: list[tuple[str, Record]] = []

    @property
    def capacity(self) -> Mapping[str, float]:
        """Say what this process may use."""
        gpus = Path("/proc/driver/nvidia/gpus")
        found = len(list(gpus.iterdir())) if gpus.is_dir() else 0
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return {
            "cpus": float(len(os.sched_getaffinity(0))),
            "gpus": float(found),
            "memory": float(memory),
        }

    def submit(
        self,
        name: str,
        fn: Fn,
        args: tuple[Any, ...],
        *,
        cpus: float,
        gpus: float,
        memory: float = 0.0,
    ) -> None:
        """Queue a call; the resources are this process's, whatever is asked for."""
        del cpus, gpus, memory
        self._queue.append((name, fn, args))

    def drop(self, name: str, why: Failure) -> None:
        """Do nothing: while a call runs here, nobody can ask."""

    def wait(self, timeout: float) -> list[Finished]:
        """Run the oldest call to its end; return an empty list if there is none."""
        del timeout
        if not self._queue:
            return []
        name, fn, args = self._queue.popleft()
        try:
            value, failure = called(name, fn, args)
        except KeyboardInterrupt as error:
            value, failure = None, failure_of(error, where=name)
        return [Finished(name, value, failure)]

    def reporter(self, name: str) -> Callable[[Record], None]:
        """Make what a body calls with each record."""
        return lambda record: self._board.put(name, record)

    def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard` at each record."""
        self._board.heard = heard

    def asker(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Return what the walk asks itself: it waits in this process while a body runs."""
        return stop

    def progress(self) -> Mapping[str, Record]:
        """Return the latest record of each call."""
        latest, numbers = self._board.take()
        self._latest |= latest
        self._numbers += numbers
        return self._latest

    def records(self) -> list[tuple[str, Record]]:
        """Return the records with metrics since the last time, in the order they came."""
        self.progress()
        numbers, self._numbers = self._numbers, []
        return numbers

    def cancel(self, *, patience_s: float = 0.0) -> None:
        """Forget the calls that have not begun."""
        del patience_s
        self._queue.clear()

    def close(self) -> None:
        """Forget everything."""
        self._queue.clear()


EXECUTORS: dict[str, Callable[[], Executor]] = {
    "ray": RayExecutor,
    "in_process": InProcessExecutor,
}
