"""Walk one graph for a user: run directory, journal, tracking, model, report, and how it ended."""

import contextlib
import signal
import threading
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from cluster.call import EXECUTORS, Executor
from cluster.failures import EXIT
from cluster.session import open_session
from cluster.storage import LocalStore, open_store
from cluster.track import default_uri, unsent
from pipelines.graph.cuts import Cuts
from pipelines.graph.outcome import Outcome
from pipelines.graph.plan import Plan, plan
from pipelines.graph.run import walk
from pipelines.runs.directory import RunDirectory, finished_before, take
from pipelines.runs.journaled import Journaled, Seen
from pipelines.runs.loading import Loaded
from pipelines.runs.result import keep_model, keep_numbers, metrics_of, write_report

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
) -> Finished:
    """Run what is not there yet, and tell `emit` of it as it happens.

    A graph that is found whole starts neither Ray nor a run; its last metrics are told again.

    Raises:
        StoreError, StorageError, DamagedError: the store cannot be used.
        CutError: a cut names no node.
        AddressError, SessionError: Ray cannot be had.
    """
    cuts = cuts or Cuts()
    place = open_store(store)
    planned = plan(loaded.graph, place, cuts)
    ready = all(entry.state in ("cached", "left out") for entry in planned.nodes)
    before = finished_before(place.root, recipe=loaded.recipe, config=loaded.digest)
    if ready and before is not None:
        return _again(planned, before, emit)
    directory = take(place.root, recipe=loaded.recipe, config=loaded.digest)
    known = not ready or directory.events.is_file()  # all was found: nothing to track
    uri = _tracking(loaded, place) if known else None
    journal = Journaled(loaded, directory, uri=uri, emit=emit)
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
        )
    seconds = round(time.monotonic() - started, 1)
    finished = _finish(
        loaded, directory, planned, outcome, store=place, tracking=uri, seconds=seconds
    )
    if finished.status == "interrupted" and stop.number == signal.SIGTERM:
        finished = replace(finished, code=EXIT["preempted"])
    whole = all(entry.state != "left out" for entry in planned.nodes)
    if finished.status == "done" and whole:
        directory.finish(_without_unsent(finished))
    journal({"event": "finished", **_without_unsent(finished)})
    left, fault = journal.close()
    if left and fault:
        emit({"event": "note", "text": fault})
    return replace(finished, unsent=left)


def _again(planned: Plan, before: RunDirectory, emit: Seen) -> Finished:
    """Say what an earlier run of the same graph found; nothing is run and nothing is tracked."""
    how = before.finished() or {}
    nodes: dict[str, dict[str, Any]] = {}
    for entry in planned.nodes:
        if entry.state == "cached":
            nodes[entry.name] = {"state": "cached", "key": entry.key, "seconds": 0.0}
            emit({"event": "node", "node": entry.name, "state": "cached", "key": entry.key})
    kept = {name: how.get(name) for name in ("model", "report", "tracking")}
    return Finished(
        status="done",
        code=EXIT["done"],
        run=before.run,
        nodes=nodes,
        metrics=how.get("metrics", {}),
        unsent=unsent(before.path) if kept["tracking"] else 0,
        **kept,
    )


def _finish(
    loaded: Loaded,
    directory: RunDirectory,
    planned: Plan,
    outcome: Outcome,
    *,
    store: LocalStore,
    tracking: str | None,
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
        tracking=tracking,
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


def _tracking(loaded: Loaded, store: LocalStore) -> str | None:
    tracking = loaded.cfg.tracking
    if tracking.kind == "none":
        return None
    return tracking.uri or default_uri(store.root)


def _without_unsent(finished: Finished) -> dict[str, Any]:
    return {name: value for name, value in asdict(finished).items() if name != "unsent"}
