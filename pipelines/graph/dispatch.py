"""From a node to what the schedule sees, and to the payload a worker gets."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from cluster.failures import Failure
from cluster.storage import Store
from pipelines.graph.circumstances import git_state
from pipelines.graph.claims import Claimant
from pipelines.graph.commit import CHEAP_S
from pipelines.graph.estimate import estimate, of_units
from pipelines.graph.key import label, plain
from pipelines.graph.lookup import Identified, Lookup
from pipelines.graph.node import Node, upstream
from pipelines.graph.payload import Call
from pipelines.graph.reasons import past
from pipelines.graph.record import inputs_named
from pipelines.graph.room import need_of, room
from pipelines.graph.schedule_state import Job


def payload_of(
    known: Identified,
    *,
    lookup: Lookup,
    recipe: str,
    claimant: Claimant,
    forced: Literal["no", "yes"] = "no",
    unit: int | None = None,
    reporter: Callable[[dict[str, Any]], None] | None = None,
    asked: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Return the fields of a `Call`; all of them can be pickled.

    What nodes of one function share is one object, so that it is sent once in a call of several.
    """
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
        code=known.closure,
        code_digest=known.code,
        sources=lookup.sources(known),
        git=git_state(),
        keyed=lookup.keyed,
        forced=forced,
        unit=unit,
        reporter=reporter,
        asked=asked,
    )
    return {field.name: getattr(call, field.name) for field in dataclasses.fields(call)}


def job_of(node: Node, *, store: Store, recipe: str) -> Job:
    """Return a node as the schedule sees it: after whom, what it takes, how long it may take."""
    before = past(store, recipe=recipe, node=node.name)
    settings = plain(node.cfg, where=node.name)
    found = estimate(before, fn=label(node.fn), settings=settings)
    took = found.seconds if found else None
    after = tuple(above.name for above in upstream(node))
    return Job(node.name, after, need_of(node), weight=took or 1.0, group=_group(node, took))


def unit_jobs(
    names: Iterable[str], known: Identified, *, store: Store, recipe: str
) -> tuple[Job, ...]:
    """Return units of a map as the schedule sees them; the map comes after them."""
    node = known.node
    one = of_units(past(store, recipe=recipe, node=node.name), fn=label(node.fn), count=1)
    took = one.seconds if one else None
    need, group = need_of(node), _group(node, took)
    return tuple(Job(name, (), need, weight=took or 1.0, group=group) for name in names)


def _group(node: Node, took: float | None) -> str:
    """Return what cheap nodes have in common that may share a call; "" of one that is not cheap."""
    alone = node.run_on.workers > 0 or (took is not None and took >= CHEAP_S)
    return "" if alone else label(node.fn)


def too_large(node: Node, capacity: Mapping[str, float], *, waited_s: float) -> Failure:
    """Return the failure of a node that never got room, or that the cluster grew too small for."""
    text = "\n".join(str(problem) for problem in room(node, capacity))
    text = text or f"{node.name}: the cluster became too small for it."
    return Failure("no_room", node.name, f"{text} (waited {waited_s:g} s)")
