"""What a run would do: which results are there, what runs and why, how long it may take."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cluster.storage import LocalStore
from pipelines.graph.closure import Code
from pipelines.graph.cuts import CutError, Cuts, scope
from pipelines.graph.key import label
from pipelines.graph.lookup import Identified, Lookup
from pipelines.graph.node import Graph, Node, mapped, upstream
from pipelines.graph.reasons import Past, Reason, past, why
from pipelines.graph.record import Record
from pipelines.graph.spread import Spread

State = Literal["cached", "will run", "waits", "left out"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One node of a plan."""

    node: Node
    state: State
    key: str | None  # None while an input is not known
    why: tuple[Reason, ...] = ()
    waits_for: tuple[str, ...] = ()
    seconds: float | None = None  # expected; of the earlier run where cached; None is unknown
    record: Record | None = None  # where cached
    units: tuple[int, int] | None = None  # of a map: how many will run, and how many it has

    @property
    def name(self) -> str:
        """Return the name of the node."""
        return self.node.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All nodes, inputs first."""

    graph: Graph
    nodes: tuple[Planned, ...]

    @property
    def seconds(self) -> float:
        """Return the sum of what is expected of the nodes that run."""
        return sum(p.seconds or 0.0 for p in self.nodes if p.state in ("will run", "waits"))

    @property
    def unknown(self) -> int:
        """Return how many nodes that run have no estimate."""
        return sum(p.seconds is None for p in self.nodes if p.state in ("will run", "waits"))


def plan(
    graph: Graph,
    store: LocalStore,
    cuts: Cuts | None = None,
    *,
    code: Code | None = None,
    memory: Literal["use", "ignore"] = "use",
) -> Plan:
    """Say what a run would do; nothing is run and nothing but a memory of digests is written.

    Raises:
        CutError, OutsideError, KeyTextError, CodeError: with where and what to do.
    """
    limits = scope(graph, cuts or Cuts())
    lookup = Lookup(store, code=code, memory=memory)
    records: dict[str, Record] = {}
    out: list[Planned] = []
    for node in graph.every():
        if node.name not in limits.wanted:
            out.append(Planned(node=node, state="left out", key=None))
            continue
        before = past(store, recipe=graph.recipe, node=node.name)
        waits = tuple(n.name for n in upstream(node) if n.name not in records)
        forced = node.name in limits.forced
        if waits:
            out.append(_waiting(node, before, waits, forced=forced))
            continue
        known = lookup.identify(node, {n.name: records[n.name] for n in upstream(node)})
        if known.record and not known.damage and not forced:
            records[node.name] = known.record
            out.append(_cached(known, known.record))
            continue
        reasons = why(known, before, store=store, code=lookup.code)
        if forced and known.record and not known.damage:
            reasons = (Reason("forced"),)
        out.append(_running(known, before, reasons, lookup=lookup, forced=forced))
    _check_only(out, limits.cached)
    return Plan(graph=graph, nodes=tuple(out))


def as_event(planned: Planned) -> dict[str, Any]:
    """Return one node of a plan as a line for programs."""
    estimate: Mapping[str, float | None] = {"seconds": planned.seconds}
    event: dict[str, Any] = {
        "v": 1,
        "event": "node",
        "node": planned.node.name,
        "state": planned.state,
        "key": planned.key,
        "why": [reason.text for reason in planned.why],
        "diff": {r.text: list(r.diff) for r in planned.why if r.diff},
        "estimate": estimate,
    }
    if planned.waits_for:
        event["waits_for"] = list(planned.waits_for)
    if planned.units:
        event["units"] = list(planned.units)
    if planned.record:
        event["digest"] = planned.record.digest
        event["bytes"] = planned.record.size
    return event


def _running(
    known: Identified,
    before: Past,
    reasons: tuple[Reason, ...],
    *,
    lookup: Lookup,
    forced: bool,
) -> Planned:
    fn = label(known.node.fn)
    count, took = None, before.seconds(fn)
    if mapped(known.node):
        spread = Spread(known, lookup.units_of(known))
        missing = spread.missing(forced=forced)
        count = len(missing), len(spread.order)
        each = before.unit_seconds(fn)
        took = None if each is None else each * len(missing)
    return Planned(
        node=known.node, state="will run", key=known.key, why=reasons, seconds=took, units=count
    )


def _cached(known: Identified, record: Record) -> Planned:
    return Planned(
        node=known.node, state="cached", key=known.key, seconds=record.seconds, record=record
    )


def _waiting(node: Node, before: Past, waits: tuple[str, ...], *, forced: bool) -> Planned:
    reasons = (Reason(f"waits for {', '.join(waits)}"), *((Reason("forced"),) if forced else ()))
    return Planned(
        node=node,
        state="waits",
        key=None,
        why=reasons,
        waits_for=waits,
        seconds=before.seconds(label(node.fn)),
    )


def _check_only(out: list[Planned], cached: frozenset[str]) -> None:
    lost = [p.node.name for p in out if p.node.name in cached and p.state != "cached"]
    if lost:
        raise CutError(
            f"--only: needs results that are not there; got none of {', '.join(lost)}. "
            "Run without --only, or with --until."
        )
