"""Walk a graph: skip what is there, run what is not, stop cleanly."""

from collections.abc import Callable
from typing import Any, Literal

from cluster.executor import Executor
from cluster.storage import Store
from pipelines.graph.checks import check
from pipelines.graph.circumstances import keyed
from pipelines.graph.claims import Claimant
from pipelines.graph.closure import Code
from pipelines.graph.cuts import Cuts, scope
from pipelines.graph.lookup import Lookup
from pipelines.graph.node import Graph
from pipelines.graph.outcome import Outcome
from pipelines.graph.plan import plan
from pipelines.graph.problem import GraphError
from pipelines.graph.rules import Rules
from pipelines.graph.telling import Emit
from pipelines.graph.walker import Walker


def walk(
    graph: Graph,
    *,
    store: Store,
    executor: Executor,
    emit: Emit,
    cuts: Cuts | None = None,
    run: str = "",
    epoch: int = 0,
    stop: Callable[[], bool] = lambda: False,
    on_failure: Literal["stop", "continue"] = "stop",
    on_damage: Literal["stop", "repair"] = "stop",
    memory: Literal["use", "ignore"] = "use",
    drain_s: float = 600.0,
    patience: Callable[[], float] = lambda: 0.0,
    wait_for_nodes_s: float = 0.0,
) -> Outcome:
    """Run a graph to its end; what is there already is not run.

    The executor is not touched before the first node that must run.

    Args:
        graph: what to run.
        store: where results are, opened for writing.
        executor: where calls run.
        emit: gets each event as it happens (node, progress, metrics, retry, note).
        cuts: what part of the graph, and what to run again.
        run: the name of this run, written into records; it claims what it makes.
        epoch: of this run's owner.
        stop: asked several times a second; true ends the walk as interrupted.
        on_failure: stop submitting after the first failure, or run all that does not need it.
        on_damage: what to do when a result is there and not whole.
        memory: of digests of a user's files; ignore reads them all again.
        drain_s: how long running nodes may go on after a failure, in seconds.
        patience: seconds that running nodes get, when it is to stop, to keep what they have done.
        wait_for_nodes_s: how long machines may be missing that a node needs, in seconds; 0 refuses
            at once what there is no room for.

    Raises:
        GraphError, CutError, OutsideError: bad input; nothing was started (exit 2).
    """
    cuts = cuts or Cuts()
    limits = scope(graph, cuts)
    lookup = Lookup(store, code=Code(), memory=memory, keyed=keyed(graph.keyed_versions))
    if problems := check(graph, code=lookup.code):
        raise GraphError(problems)
    lookup.look_at([node for node in graph.every() if node.name in limits.wanted])
    if limits.cached:
        plan(graph, store, cuts, code=lookup.code)  # says which results are not there
    rules = Rules(
        on_failure=on_failure,
        on_damage=on_damage,
        drain_s=drain_s,
        patience=patience,
        wait_for_nodes_s=wait_for_nodes_s,
    )
    claimant = Claimant(run=run, epoch=epoch)
    how: dict[str, Any] = {"rules": rules, "claimant": claimant, "stop": stop}
    return Walker(graph, limits, lookup, executor, emit=emit, **how).go()
