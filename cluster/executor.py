"""Where calls run: what an executor must do, and how a call ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cluster.board import Record
from cluster.failures import Failure
from cluster.ray_faults import fault_of

Fn = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Finished:
    """A call that ended: with a value or an error."""

    name: str
    value: dict[str, Any] | None
    error: Failure | None


class Executor(Protocol):
    """Where calls run. Submitting never blocks; waiting does, up to a timeout in seconds."""

    @property
    def capacity(self) -> Mapping[str, float]:
        """Say how many `cpus` and `gpus` and bytes of `memory` there are, all machines together.

        `most_cpus`, `most_gpus` and `most_memory` are of the machine that has most.
        """
        ...

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
        """Take a call; it starts when its resources are free."""

    def drop(self, name: str, why: Failure) -> None:
        """Stop one call within seconds; it ends with this failure."""

    def wait(self, timeout: float) -> list[Finished]:
        """Return calls that have ended, each once."""
        ...

    def reporter(self, name: str) -> Callable[[Record], None]:
        """Make what a body calls with each record."""
        ...

    def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard` at each record of a call that `wait` itself runs; the others need none."""
        ...

    def asker(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Make what a body asks now and then: whether to keep what is done, and end.

        `stop` is what the walk asks itself; it counts where both are in one process.
        """
        ...

    def progress(self) -> Mapping[str, Record]:
        """Return the latest record of each call."""
        ...

    def records(self) -> list[tuple[str, Record]]:
        """Return the records with metrics since the last time."""
        ...

    def cancel(self, *, patience_s: float = 0.0) -> None:
        """Stop all calls within seconds; first, give those that ask `patience_s` to keep theirs."""

    def close(self) -> None:
        """Give back what the executor holds."""


def called(name: str, fn: Fn, args: tuple[Any, ...]) -> tuple[dict[str, Any] | None, Any]:
    """Return (value, None) of a function, or (None, its fault); nothing is raised."""
    try:
        return fn(*args), None
    except Exception as error:
        return None, fault_of(error, where=name)
