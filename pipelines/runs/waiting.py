"""A graph that asks for more than there is: wait for machines to come, for a stated time."""

import time
from collections.abc import Callable, Mapping, Sequence

from cluster.call import Executor
from cluster.failures import EXIT, Failure
from pipelines.graph.checks import room
from pipelines.graph.node import Graph, Node
from pipelines.graph.outcome import NodeOutcome, Outcome
from pipelines.graph.plan import Plan
from pipelines.graph.telling import Telling

POLL_S = 1.0  # between two looks at a cluster that is to grow


def to_run(graph: Graph, planned: Plan) -> list[Node]:
    """Return the nodes of a graph that a plan would run, now or after others."""
    idle = {entry.name for entry in planned.nodes if entry.state in ("cached", "left out")}
    return [node for node in graph.every() if node.name not in idle]


def wait_for_room(
    nodes: Sequence[Node],
    executor: Executor,
    *,
    timeout_s: float,
    stop: Callable[[], bool],
    emit: Callable[[Mapping[str, object]], None],
) -> Outcome | None:
    """Return None when all nodes fit, each by itself; else how a run ends that waited in vain.

    A node that does not fit is told of once, with what it wants and what there is.
    """
    begun, told, tell = time.monotonic(), False, Telling(emit)
    while True:
        capacity = executor.capacity
        found = {node.name: list(room(node, capacity)) for node in nodes}
        lacking = {name: str(problems[0]) for name, problems in found.items() if problems}
        waited = time.monotonic() - begun
        if not lacking or stop():
            return None
        if waited >= timeout_s:
            break
        for name, text in lacking.items():
            if not told:
                tell.note(name, f"{text} Waits up to {timeout_s:.0f} s for machines.")
        told = True
        time.sleep(min(POLL_S, timeout_s - waited))
    ended: dict[str, NodeOutcome] = {}
    for node in nodes:
        ended[node.name] = NodeOutcome(state="skipped")
        if text := lacking.get(node.name):
            text = f"{text} (waited {waited:.0f} s)"
            failure, code = Failure("no_room", node.name, text), EXIT["infrastructure"]
            ended[node.name] = NodeOutcome(state="failed", error=failure, code=code)
            tell.failed(node.name, key=None, error=failure, code=code)
    return Outcome(status="failed", code=EXIT["infrastructure"], nodes=ended, artifacts={})
