"""Walk one graph for a user: run directory, journal, tracking, model, report, and how it ended."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from cluster.failures import EXIT
from cluster.lease import TTL_S, DeposedError, Lease
from cluster.lease import take as own
from cluster.session import reach
from cluster.storage import Store, open_store
from cluster.track import Sender, unsent
from pipelines.graph.cuts import Cuts
from pipelines.graph.forecast import machine_cpus
from pipelines.graph.frozen import check_frozen
from pipelines.graph.outcome import Outcome
from pipelines.graph.plan import Plan, plan
from pipelines.graph.run import walk
from pipelines.graph.show import spoken_forecast
from pipelines.runs.carried import bring_results, bring_runs, keep_run
from pipelines.runs.directory import RunDirectory, finished_before, take
from pipelines.runs.fenced import Fenced
from pipelines.runs.journaled import Journaled, Seen
from pipelines.runs.loading import Loaded
from pipelines.runs.on_cluster import check_nodes
from pipelines.runs.result import keep_model, keep_numbers, metrics_of, write_report
from pipelines.runs.spot import Spot, executor_at
from pipelines.runs.stopping import StopFile, stopping
from pipelines.runs.tracked import Tracked, tracked, unsent_before

GOES_ON = "The run goes on: its events are kept in its directory, and sent when the server is back."


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """How a run ended, in the words of `vocabox run --json`."""

    status: Literal["done", "failed", "interrupted"]
    code: int
    run: str
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    metrics: dict[str, float | None] = field(default_factory=dict[str, float | None])
    model: str | None = None
    report: str | None = None
    tracking: str | None = None
    unsent: int = 0
    reason: str | None = None


def drive(
    loaded: Loaded,
    *,
    store: str,
    emit: Seen,
    cuts: Cuts | None = None,
    address: str = "local",
    executor: Literal["ray", "inline"] = "ray",
    frozen: Literal["no", "yes"] = "no",
    take_over_after: float = TTL_S,
    insecure: bool = False,
    **rules: Any,
) -> Finished:
    """Run what is not there yet, and tell `emit` of it as it happens; `rules` are those of `walk`.

    A graph that is found whole starts no Ray; nor a run, where this config has ended well before:
    its last metrics are told again. Else it is a new run, tracked as any other.
    A run has one driver: another one is refused while it lives, and goes on after
    `take_over_after` seconds without a sign of life. Fields of `Spot` say where it runs.

    Raises:
        OwnedError: another driver works on the run.
        StoreError, StorageError, DamagedError: the store cannot be used.
        CutError: a cut names no node.
        FrozenError: code or versions are not those of earlier results, and that was asked for.
        TrackingError: the place for tracking would never take this run.
        AddressError, ClusterError, SessionError: Ray cannot be had.
    """
    cuts = cuts or Cuts()
    spot = Spot(executor, address, insecure)
    found = open_store(store, mode="read")  # nothing is written before all is known to be right
    planned, root = plan(loaded.graph, found, cuts), found.home
    if frozen == "yes":
        check_frozen(planned)
    bring_runs(found, recipe=loaded.recipe)
    names = {"recipe": loaded.recipe, "config": loaded.digest}
    where = tracked(loaded, store=root)
    waiting = unsent_before(root, **names) if where else []
    before, away = finished_before(root, **names), where.away() if where else None
    if _is_ready(planned) and before is not None and loaded.trial is None:
        _tell(emit, None if waiting else away and f"{away} Nothing waits to be sent there.")
        return _again(planned, before, emit, store=found, where=where, waiting=waiting)
    if spot.is_cluster and not _is_ready(planned):
        reach(address, insecure=insecure)
    place = open_store(store)
    where = where and tracked(loaded, store=place.home)  # a new store has a home from now on
    directory = take(place, **names)
    wish = StopFile(place, directory.run)  # what is asked while we wait is for us
    with own(place, f"runs/{directory.run}", ttl_s=take_over_after, say=_noting(emit)) as lease:
        if (how := directory.finished()) and how["status"] == "done":  # by whom we waited for
            return _again(planned, directory, emit, store=place, where=where, waiting=waiting)
        journal = Journaled(loaded, directory, tracked=where, emit=emit, epoch=lease.epoch)
        _tell(journal, _outlook(planned, address))
        if where is not None:
            _tell(journal, away and f"{away} {GOES_ON}")
            _send(where, waiting, emit)
        run = _Run(loaded, directory, planned, place, cuts, lease, wish, journal, where, rules)
        finished = replace(run.go(spot), unsent=journal.close())
        keep_run(place, directory, say=_noting(emit))
        return finished


def _outlook(planned: Plan, address: str) -> str | None:
    """Say what is to run and what it may cost; of a cluster elsewhere the CPUs are not known."""
    if _is_ready(planned) or address != "local":
        return None
    found = planned.forecast(cpus=machine_cpus())
    return f"{found.runs} of {len(planned.nodes)} nodes to run; {spoken_forecast(found)}."


def _is_ready(planned: Plan) -> bool:
    return all(entry.state in ("cached", "left out") for entry in planned.nodes)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run that this driver owns."""

    loaded: Loaded
    directory: RunDirectory
    planned: Plan
    store: Store
    cuts: Cuts
    lease: Lease
    wish: StopFile
    journal: Journaled
    tracking: Tracked | None
    rules: Mapping[str, Any]

    def go(self, spot: Spot) -> Finished:
        """Walk the graph, and write how that ended unless another driver owns the run by then."""
        fenced = Fenced(self.lease, self.journal)
        ready, started = _is_ready(self.planned), time.monotonic()
        self.wish.clear()

        def asked() -> bool:
            return stop.asked() or fenced.lost is not None

        with stopping(self.wish) as stop, executor_at(spot, fenced, ready=ready) as calls:
            if spot.is_cluster and not ready:
                uri, run = self.store.uri, self.directory.run
                check_nodes(self.loaded.graph, store=self.store, uri=uri, run=run)
            outcome = walk(
                self.loaded.graph,
                store=self.store,
                executor=calls,
                emit=fenced,
                cuts=self.cuts,
                run=self.directory.run,
                epoch=self.lease.epoch,
                stop=asked,
                patience=stop.patience,
                **self.rules,
            )
        try:
            fenced.flush()
            self.lease.record("ended", status=outcome.status)
        except DeposedError as error:
            return Finished(
                status="failed", code=EXIT["owned"], run=self.directory.run, reason=str(error)
            )
        finished = self._finish(outcome, seconds=round(time.monotonic() - started, 1))
        if finished.status == "interrupted" and stop.number == signal.SIGTERM:
            finished = replace(finished, code=EXIT["preempted"])
        whole = all(entry.state != "left out" for entry in self.planned.nodes)
        if finished.status == "done" and whole:
            self.directory.finish(self.store, _without_unsent(finished))
        fenced({"event": "finished", **_without_unsent(finished)})
        return finished

    def _finish(self, outcome: Outcome, *, seconds: float) -> Finished:
        """Keep the model and the numbers, write the page, and say how the run ended."""
        directory, tracking = self.directory, self.tracking
        metrics = metrics_of(outcome.artifacts)
        if metrics:
            metrics["cost/wall_s"] = seconds
        texts = {n: o.error.text for n, o in outcome.nodes.items() if o.error is not None}
        told = [text if text.startswith(f"{n}: ") else f"{n}: {text}" for n, text in texts.items()]
        reason = "\n".join(told) or None
        keep_numbers(directory, outcome.artifacts, metrics)
        return Finished(
            status=outcome.status,
            code=outcome.code,
            run=directory.run,
            nodes={
                name: {"state": n.state, "key": n.key, "seconds": round(n.seconds, 3)}
                for name, n in outcome.nodes.items()
            },
            metrics=metrics,
            model=keep_model(directory, outcome.artifacts, of=self.loaded.graph.model),
            report=write_report(
                self.loaded,
                directory,
                self.planned,
                outcome,
                store=self.store,
                metrics=metrics,
                reason=reason,
            ),
            tracking=None if tracking is None else tracking.uri,
            reason=reason,
        )


def _noting(emit: Seen) -> Callable[[str], None]:
    return lambda text: emit({"event": "note", "text": text})


def _tell(emit: Seen, text: str | None) -> None:
    if text:
        emit({"event": "note", "text": text})


def _send(where: Tracked, waiting: Sequence[RunDirectory], emit: Seen) -> list[Sender]:
    """Send what earlier runs of this config could not."""
    for directory in waiting:
        left = unsent(directory.path)
        _tell(emit, f"tracking: {directory.run} has {left} unsent events; they are sent now.")
    return [where.send(directory) for directory in waiting]


def _again(
    planned: Plan,
    before: RunDirectory,
    emit: Seen,
    *,
    store: Store,
    where: Tracked | None,
    waiting: Sequence[RunDirectory],
) -> Finished:
    """Say what an earlier run of the same graph found; nothing is run.

    Only what that run has not sent yet is tracked.
    """
    bring_results(store, before.run)
    how = before.finished() or {}
    nodes: dict[str, dict[str, Any]] = {}
    for entry in planned.nodes:
        if entry.state == "cached":
            nodes[entry.name] = {"state": "cached", "key": entry.key, "seconds": 0.0}
            emit({"event": "node", "node": entry.name, "state": "cached", "key": entry.key})
    kept = {name: how.get(name) for name in ("model", "report", "tracking")}
    for name, place in (("model", before.model), ("report", before.report)):
        kept[name] = kept[name] and str(place)  # on this machine, whichever made it
    left = 0
    for sender in _send(where, waiting, emit) if where else []:
        left += sender.close()
        _tell(emit, sender.fault)
    return Finished(
        status="done",
        code=EXIT["done"],
        run=before.run,
        nodes=nodes,
        metrics=how.get("metrics", {}),
        unsent=left,
        **kept,
    )


def _without_unsent(finished: Finished) -> dict[str, Any]:
    return {name: value for name, value in asdict(finished).items() if name != "unsent"}
