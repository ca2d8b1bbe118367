"""Walk one graph for a user: run directory, journal, tracking, model, report, and how it ended."""

import contextlib
import signal
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from cluster.call import EXECUTORS, Executor
from cluster.failures import EXIT
from cluster.session import open_session
from cluster.storage import LocalStore, open_store
from cluster.track import Sender, unsent
from pipelines.graph.cuts import Cuts
from pipelines.graph.outcome import Outcome
from pipelines.graph.plan import Plan, plan
from pipelines.graph.run import walk
from pipelines.runs.directory import RunDirectory, finished_before, take
from pipelines.runs.journaled import Journaled, Seen
from pipelines.runs.loading import Loaded
from pipelines.runs.result import keep_model, keep_numbers, metrics_of, write_report
from pipelines.runs.tracked import Tracked, tracked, unsent_before

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed


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
    **rules: Any,
) -> Finished:
    """Run what is not there yet, and tell `emit` of it as it happens; `rules` are those of `walk`.

    A graph that is found whole starts neither Ray nor a run; its last metrics are told again.

    Raises:
        StoreError, StorageError, DamagedError: the store cannot be used.
        CutError: a cut names no node.
        TrackingError: the place for tracking would never take this run.
        AddressError, SessionError: Ray cannot be had.
    """
    cuts = cuts or Cuts()
    found = open_store(store, mode="read")  # nothing is written before all is known to be right
    planned, root = plan(loaded.graph, found, cuts), found.root
    ready = all(entry.state in ("cached", "left out") for entry in planned.nodes)
    names = {"recipe": loaded.recipe, "config": loaded.digest}
    where = tracked(loaded, store=root)
    waiting = unsent_before(root, **names) if where else []
    before = finished_before(root, **names)
    if ready and before is not None:
        return _again(planned, before, emit, where=where, waiting=waiting)
    away = where.away() if where else None
    place = open_store(store)
    directory = take(root, **names)
    where = None if ready and not directory.events.is_file() else where  # nothing to track
    journal = Journaled(loaded, directory, tracked=where, emit=emit)
    if where is not None:
        _tell(journal, away)
        _send(where, waiting, emit)
    started = time.monotonic()
    with _stopping() as stop, _executor(executor, address, journal, ready=ready) as calls:
        outcome = walk(
            loaded.graph,
            store=place,
            executor=calls,
            emit=journal,
            cuts=cuts,
            run=directory.run,
            stop=stop.asked,
            **rules,
        )
    seconds = round(time.monotonic() - started, 1)
    finished = _finish(
        loaded, directory, planned, outcome, store=place, tracking=where, seconds=seconds
    )
    if finished.status == "interrupted" and stop.number == signal.SIGTERM:
        finished = replace(finished, code=EXIT["preempted"])
    if finished.status == "done" and all(e.state != "left out" for e in planned.nodes):
        directory.finish(_without_unsent(finished))
    journal({"event": "finished", **_without_unsent(finished)})
    return replace(finished, unsent=journal.close())


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
    where: Tracked | None,
    waiting: Sequence[RunDirectory],
) -> Finished:
    """Say what an earlier run of the same graph found; nothing is run.

    Only what that run has not sent yet is tracked.
    """
    how = before.finished() or {}
    nodes: dict[str, dict[str, Any]] = {}
    for entry in planned.nodes:
        if entry.state == "cached":
            nodes[entry.name] = {"state": "cached", "key": entry.key, "seconds": 0.0}
            emit({"event": "node", "node": entry.name, "state": "cached", "key": entry.key})
    kept = {name: how.get(name) for name in ("model", "report", "tracking")}
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


def _finish(
    loaded: Loaded,
    directory: RunDirectory,
    planned: Plan,
    outcome: Outcome,
    *,
    store: LocalStore,
    tracking: Tracked | None,
    seconds: float,
) -> Finished:
    """Keep the model and the numbers, write the page, and say how the run ended."""
    metrics = metrics_of(outcome.artifacts)
    if metrics:
        metrics["cost/wall_s"] = seconds
    texts = {n: o.error.text for n, o in outcome.nodes.items() if o.error is not None}
    errors = [text if text.startswith(f"{n}: ") else f"{n}: {text}" for n, text in texts.items()]
    reason = "\n".join(errors) or None
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
        model=keep_model(directory, outcome.artifacts),
        report=write_report(
            loaded, directory, planned, outcome, store=store, metrics=metrics, reason=reason
        ),
        tracking=None if tracking is None else tracking.uri,
        reason=reason,
    )


@contextlib.contextmanager
def _executor(
    kind: Literal["ray", "inline"], address: str, journal: Journaled, *, ready: bool
) -> Generator[Executor]:
    """Open what nodes run on; nothing is started for a graph that is found whole."""
    if kind == "inline" or ready:
        yield EXECUTORS["in_process"]()
        return

    def say(text: str) -> None:
        journal({"event": "note", "text": text})

    with open_session(address, say=say):
        yield EXECUTORS["ray"]()


class _Stop:
    """Whether and by which signal a run was asked to stop."""

    def __init__(self) -> None:
        self.number: int | None = None

    def asked(self) -> bool:
        """Return whether the first signal came."""
        return self.number is not None

    def note(self, number: int, frame: object) -> None:
        """Take a signal: the first asks, the second stops at once."""
        del frame
        if self.number is not None:
            raise KeyboardInterrupt(number)
        self.number = number


@contextlib.contextmanager
def _stopping() -> Generator[_Stop]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a stop that keeps what is done."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.signal(s, stop.note) for s in STOPS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _without_unsent(finished: Finished) -> dict[str, Any]:
    return {name: value for name, value in asdict(finished).items() if name != "unsent"}
