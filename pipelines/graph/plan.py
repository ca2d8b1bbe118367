"""What a run would do: which results are there, what runs and why, how long it may take."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from cluster.storage import Store
from pipelines.graph.circumstances import keyed
from pipelines.graph.closure import Code
from pipelines.graph.cuts import CutError, Cuts, scope
from pipelines.graph.estimate import Estimate, How, estimate, of_units
from pipelines.graph.forecast import Forecast, Task, wall_seconds
from pipelines.graph.key import label, plain
from pipelines.graph.lookup import Identified, Lookup
from pipelines.graph.node import Graph, Node, mapped, upstream
from pipelines.graph.provenance import aged
from pipelines.graph.reasons import Past, Reason, own_changes, past, why
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
    how: How = "last time"  # the seconds are meant
    expected: Estimate | None = None  # of a node that runs, with its cost
    record: Record | None = None  # where cached
    units: tuple[int, int] | None = None  # of a map: how many will run, and how many it has
    note: str = ""  # what is worth knowing and reruns nothing: made with torch 2.14; now 2.15

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

    def forecast(self, *, cpus: float, gpus: float = 0.0) -> Forecast:
        """Return what the nodes that run may cost on so many CPUs and GPUs."""
        runs = [p for p in self.nodes if p.state in ("will run", "waits")]
        known = [p.expected for p in runs if p.expected]
        tasks = [
            Task(node=p.node, seconds=p.seconds, calls=p.expected.calls if p.expected else 1)
            for p in runs
        ]
        return Forecast(
            seconds=self.seconds,
            wall_s=wall_seconds(tasks, cpus=cpus, gpus=gpus),
            cpus=cpus,
            cpu_s=sum(e.cpu_s for e in known),
            gpu_s=sum(e.gpu_s for e in known),
            size=sum(e.size for e in known),
            runs=len(runs),
            unknown=self.unknown,
        )


def plan(
    graph: Graph,
    store: Store,
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
    versions = keyed(graph.keyed_versions)
    lookup = Lookup(store, code=code, memory=memory, keyed=versions)
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
            forcing = (Reason("forced"),) if forced else ()
            settings = plain(node.cfg, where=node.name)
            own = own_changes(node, before, settings=settings, lookup=lookup)
            reasons = (Reason(f"waits for {', '.join(waits)}"), *forcing, *own)
            runs = _to_run(node, before, why=reasons, settings=settings, waits_for=waits)
            out.append(
                _expecting(runs, of_units(before, fn=label(node.fn))) if mapped(node) else runs
            )
            continue
        known = lookup.identify(node, {n.name: records[n.name] for n in upstream(node)})
        if known.record and not known.damage and not forced:
            records[node.name] = known.record
            out.append(_cached(known, known.record))
            continue
        reasons = why(known, before, lookup=lookup)
        if forced and known.record and not known.damage:
            reasons = (Reason("forced"),)
        runs = _to_run(node, before, why=reasons, settings=known.settings, key=known.key)
        out.append(_of_units(runs, known, before, lookup=lookup) if mapped(node) else runs)
    _check_only(out, limits.cached)
    return Plan(graph=graph, nodes=tuple(out))


def as_event(planned: Planned) -> dict[str, Any]:
    """Return one node of a plan as a line for programs."""
    event: dict[str, Any] = {
        "v": 1,
        "event": "node",
        "node": planned.node.name,
        "state": planned.state,
        "key": planned.key,
        "why": [reason.text for reason in planned.why],
        "diff": {r.text: list(r.diff) for r in planned.why if r.diff},
        "estimate": {"seconds": planned.seconds, "how": planned.how, **_cost(planned)},
    }
    if planned.waits_for:
        event["waits_for"] = list(planned.waits_for)
    if planned.units:
        event["units"] = list(planned.units)
    if planned.note:
        event["note"] = planned.note
    if planned.record:
        event["digest"] = planned.record.digest
        event["bytes"] = planned.record.size
    return event


def _of_units(runs: Planned, known: Identified, before: Past, *, lookup: Lookup) -> Planned:
    """Return a map that runs, with how many of its units will."""
    spread = Spread(known, lookup.units_of(known))
    missing = len(spread.missing(forced=any(r.text == "forced" for r in runs.why)))
    expected = of_units(before, fn=label(known.node.fn), count=missing)
    return replace(_expecting(runs, expected), units=(missing, len(spread.order)))


def _expecting(runs: Planned, expected: Estimate | None) -> Planned:
    """Return a map that runs, with what its units may cost."""
    seconds = expected.seconds if expected else None
    return replace(runs, seconds=seconds, how="about", expected=expected)


def _cost(planned: Planned) -> dict[str, float | None]:
    """Return what a node may cost, or has cost where it is cached; None is unknown."""
    if planned.record:
        body = planned.record.body
        spent = {name: body.get(name) for name in ("cpu_s", "gpu_s")}
        return {**spent, "bytes": planned.record.size}
    cost = planned.expected
    if cost is None:
        return {"cpu_s": None, "gpu_s": None, "bytes": None}
    return {"cpu_s": cost.cpu_s, "gpu_s": cost.gpu_s, "bytes": cost.size}


def _cached(known: Identified, record: Record) -> Planned:
    return Planned(
        node=known.node,
        state="cached",
        key=known.key,
        seconds=record.seconds,
        record=record,
        note=aged(record.body),
    )


def _to_run(
    node: Node,
    before: Past,
    *,
    why: tuple[Reason, ...],
    settings: Any,
    key: str | None = None,
    waits_for: tuple[str, ...] = (),
) -> Planned:
    expected = estimate(before, fn=label(node.fn), settings=settings)
    return Planned(
        node=node,
        state="waits" if waits_for else "will run",
        key=key,
        why=why,
        waits_for=waits_for,
        seconds=expected.seconds if expected else None,
        how=expected.how if expected else "last time",
        expected=expected,
    )


def _check_only(out: list[Planned], cached: frozenset[str]) -> None:
    lost = [p.node.name for p in out if p.node.name in cached and p.state != "cached"]
    if lost:
        raise CutError(
            f"--only: needs results that are not there; got none of {', '.join(lost)}. "
            "Run without --only, or with --until."
        )
