"""What there is to run on: looked at now and then, because machines come and go."""

import math
import time
from collections.abc import Callable, Iterable, Mapping

from pipelines.graph.node import Node
from pipelines.graph.problem import GraphError
from pipelines.graph.room import room, total_of
from pipelines.graph.schedule_state import Capacity

LOOK_S = 5.0  # seconds between two looks
LOST_S = 60.0  # a machine that is gone for less may come back: nothing is given up for it


class Machines:
    """The capacity of an executor as the schedule should see it."""

    def __init__(
        self,
        capacity: Callable[[], Mapping[str, float]],
        *,
        wait_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity, self._clock = capacity, clock
        self._wait_s = wait_s
        self._asked: float | None = None
        self.never: frozenset[str] = frozenset()  # nodes that no machine came for
        self._told = Capacity(0.0)
        self._next = math.inf
        self._less_since: float | None = None

    @property
    def watched(self) -> bool:
        """Say whether `first` was asked."""
        return self._next < math.inf

    def first(self, nodes: Iterable[Node], *, note: Callable[[str, str], None]) -> Capacity | None:
        """Return what there is now, and begin to watch it; None while nodes wait for machines.

        Args:
            nodes: what may have to run; those that never got room are in `never` afterwards.
            note: is told once what waits.

        Raises:
            GraphError: there is no room for a node, and nothing is waited for.
        """
        capacity = self._capacity()
        problems = {n.name: list(found) for n in nodes if (found := [*room(n, capacity)])}
        if problems and not self._wait_s:
            raise GraphError([problem for found in problems.values() for problem in found])
        if problems and self._asked is None:
            for name, found in problems.items():
                note(name, f"waits up to {self._wait_s:g} s for machines: {found[0]}")
        self._asked = self._clock() if self._asked is None else self._asked
        if problems and self._clock() - self._asked < self._wait_s:
            return None
        self.never = frozenset(problems)
        self._told = total_of(capacity)
        self._next = self._clock() + LOOK_S
        return self._told

    def news(self) -> Capacity | None:
        """Return what there is when it grew, or when it shrank and stayed so; else None."""
        now = self._clock()
        if now < self._next:
            return None
        self._next = now + LOOK_S
        have = total_of(self._capacity())
        if have == self._told:
            self._less_since = None
            return None
        told = self._told
        less = have.cpus < told.cpus or have.gpus < told.gpus or have.memory < told.memory
        if less:
            self._less_since = now if self._less_since is None else self._less_since
            if now - self._less_since < max(self._wait_s, LOST_S):
                return None
        self._less_since, self._told = None, have
        return have
