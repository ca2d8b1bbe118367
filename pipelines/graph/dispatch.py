"""From a node to what the schedule sees, and to the payload a worker gets."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

from cluster.failures import Failure
from cluster.storage import Store
from pipelines.graph.checks import need_of, room
from pipelines.graph.circumstances import git_state
from pipelines.graph.claims import Claimant
from pipelines.graph.commit import Call
from pipelines.graph.estimate import estimate
from pipelines.graph.key import label, plain
from pipelines.graph.lookup import Identified, Lookup
from pipelines.graph.node import Node, upstream
from pipelines.graph.reasons import past
from pipelines.graph.record import inputs_named
from pipelines.graph.schedule import Job, Need


def payload_of(
    known: Identified,
    *,
    lookup: Lookup,
    recipe: str,
    claimant: Claimant,
    forced: Literal["no", "yes"],
    reporter: Callable[[dict[str, Any]], None] | None,
    asked: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Return the fields of a `Call`; all of them can be pickled."""
    node = known.node
    call = Call(
        store=lookup.store.uri,
        key=known.key,
        node=node.name,
        recipe=recipe,
        claimant=claimant,
        fn=node.fn,
        cfg=node.cfg,
        parts=dict(node.parts),
        makes=node.makes,
        run_on=node.run_on,
        inputs=dict(known.places),
        identities=inputs_named(known.inputs),
        settings=known.settings,
        code=dict(known.closure),
        code_digest=known.code,
        sources=lookup.sources(known),
        git=git_state(),
        keyed=lookup.keyed,
        forced=forced,
        reporter=reporter,
        asked=asked,
    )
    return {field.name: getattr(call, field.name) for field in dataclasses.fields(call)}


def job_of(node: Node, *, store: Store, recipe: str) -> Job:
    """Return a node as the schedule sees it: after whom, what it takes, how long it may take."""
    cpus, gpus = need_of(node)
    before = past(store, recipe=recipe, node=node.name)
    settings = plain(node.cfg, where=node.name)
    took = estimate(before, fn=label(node.fn), settings=settings)
    return Job(
        name=node.name,
        after=tuple(above.name for above in upstream(node)),
        need=Need(cpus, gpus, gang=node.run_on.workers > 0),
        weight=took.seconds if took else 1.0,
    )


def too_large(node: Node, capacity: Mapping[str, float]) -> Failure:
    """Return the failure of a node that the cluster, grown small, can never run."""
    text = "\n".join(str(problem) for problem in room(node, capacity))
    return Failure("lost", node.name, text or f"{node.name}: the cluster became too small for it.")
