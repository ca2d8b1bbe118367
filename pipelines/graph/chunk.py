"""Several cheap nodes in one call, one after the other; each commits on its own."""

import math
import statistics
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from cluster.failures import Failure
from cluster.ray_faults import fault_of
from pipelines.graph.commit import CHEAP_S, execute

MOST = 64  # nodes in one call
LATEST = 32  # bodies that an estimate is the median of

How = tuple[dict[str, Any] | None, Failure | None]  # what `execute` returns, or how it failed


def execute_all(payloads: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Run and commit these nodes; what one of them raises does not stop the next.

    Args:
        payloads: of each node, what `execute` takes.

    Returns:
        `ended`: of each node in order, what `execute` returns or how it failed.
    """
    ended: list[How] = []
    for payload in payloads:
        value: dict[str, Any] | None = None
        failure: Failure | None = None
        try:
            value = execute(payload)
        except Exception as error:
            failure = fault_of(error, where=payload["node"])
        ended.append((value, failure))
    return {"ended": ended}


class Pace:
    """How long the bodies of each group of nodes take, and so how many go in one call."""

    def __init__(self) -> None:
        self._took: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=LATEST))
        self._told: dict[str, int] = {}

    def learn(self, group: str, seconds: float) -> None:
        """Take the time of one body of a group."""
        self._took[group].append(seconds)

    def news(self) -> dict[str, int]:
        """Return the groups whose number changed since the last time, and that number."""
        sizes = {group: together(took) for group, took in self._took.items()}
        fresh = {group: n for group, n in sizes.items() if self._told.get(group, 1) != n}
        self._told.update(fresh)
        return fresh


def together(took: Sequence[float]) -> int:
    """Return how many nodes whose bodies took these seconds make one call of CHEAP_S."""
    estimate = statistics.median(took)
    if estimate >= CHEAP_S:
        return 1
    return min(MOST, math.ceil(CHEAP_S / max(estimate, CHEAP_S / MOST)))
