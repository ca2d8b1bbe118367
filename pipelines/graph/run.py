"""Walk a graph: skip what is there, run what is not, stop cleanly."""

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from cluster.call import Executor, Finished
from cluster.failures import EXIT, Fail, Failure, Retry, failure_of
from cluster.storage import Store
from pipelines.graph import schedule
from pipelines.graph.attempts import Attempts, code_of
from pipelines.graph.checks import GraphError, check, need_of, room
from pipelines.graph.circumstances import keyed
from pipelines.graph.claims import AGAIN_S, Claim, Claimant, Rivals
from pipelines.graph.closure import Code
from pipelines.graph.commit import execute
from pipelines.graph.cuts import Cuts, Scope, scope
from pipelines.graph.dispatch import job_of, payload_of, too_large
from pipelines.graph.lookup import Identified, Lookup
from pipelines.graph.node import Graph, upstream
from pipelines.graph.outcome import Artifacts, NodeOutcome, Outcome, Status
from pipelines.graph.plan import plan
from pipelines.graph.reasons import keep_texts
from pipelines.graph.record import Record, first_look, read_record, set_aside
from pipelines.graph.telling import Telling

Emit = Callable[[dict[str, Any]], None]
TICK_S = 0.2  # between two looks at `stop` and at progress
CANCEL_S = 15.0  # for running nodes to end after they were told to


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
    walker = _Walk(graph, limits, lookup, executor, emit)
    walker.run, walker.epoch, walker.drain_s = run, epoch, drain_s
    walker.stop, walker.patience = stop, patience
    walker.on_failure, walker.on_damage = on_failure, on_damage
    return walker.go()


class _Walk:
    """The state of one walk: the pure schedule, and what it needs to act on it."""

    run: str
    epoch: int
    drain_s: float
    on_failure: str
    on_damage: str
    stop: Callable[[], bool]
    patience: Callable[[], float]

    def __init__(
        self, graph: Graph, limits: Scope, lookup: Lookup, executor: Executor, emit: Emit
    ) -> None:
        self.graph, self.limits, self.lookup = graph, limits, lookup
        self.store, self.executor = lookup.store, executor
        self.nodes = {n.name: n for n in graph.every() if n.name in limits.wanted}
        self.tell = Telling(emit, {name: node.makes.stage for name, node in self.nodes.items()})
        self.records: dict[str, Record] = {}
        self.known: dict[str, Identified] = {}
        self.outcomes: dict[str, NodeOutcome] = {}
        self.attempts, self.texts, self.opened = Attempts(), set[str](), False
        self.rivals = Rivals(self.store)
        self.drain_until: float | None = None
        jobs = [job_of(n, store=self.store, recipe=graph.recipe) for n in self.nodes.values()]
        self.state, first = schedule.start(tuple(jobs))
        self.todo = deque(first)

    def go(self) -> Outcome:
        """Act and listen until the schedule ends or somebody says stop."""
        self._act()
        while not self.state.ended:
            if self.stop():
                return self._interrupt()
            if self.drain_until is not None and time.monotonic() > self.drain_until:
                self._cancel()
                break
            for name, alone in self.attempts.ready():
                self._tell(schedule.Wanted(name, alone=alone))
            self._listen(TICK_S)
            self._act()
        for name in [n for n in self.nodes if n not in self.outcomes]:
            self._skip(name, "something else failed")
        codes = [o.code for o in self.outcomes.values() if o.state == "failed"]
        if EXIT["interrupted"] in codes:
            return self._outcome("interrupted", EXIT["interrupted"])
        return self._outcome("failed", codes[0]) if codes else self._outcome("done", 0)

    def _tell(self, event: schedule.Event) -> None:
        self.state, actions = schedule.step(self.state, event)
        self.todo.extend(actions)

    def _act(self) -> None:
        while self.todo:
            action = self.todo.popleft()
            match action.kind:
                case "resolve":
                    self._resolve(action.name)
                case "submit":
                    self._submit(action.name)
                case "skip":
                    self._skip(action.name, "an input failed")
                case "impossible":
                    error = too_large(self.nodes[action.name], self.executor.capacity)
                    self._fail(action.name, error, EXIT["infrastructure"])
                case "end":
                    return

    def _resolve(self, name: str) -> None:
        """Find the key of a node whose inputs are there, and whether it must run."""
        node = self.nodes[name]
        above = {source.name: self.records[source.name] for source in upstream(node)}
        try:
            known = self.lookup.identify(node, above)
        except (ValueError, OSError) as error:
            self._fail(name, failure_of(error, where=name))
            return
        self.known[name] = known
        if known.record and known.damage and name not in self.limits.forced:
            error = set_aside(self.store, known.record, known.damage)
            if self.on_damage == "stop":
                self._fail(name, failure_of(error, where=name))
                return
            self.tell.note(name, str(error))
        elif known.record and name not in self.limits.forced:
            self._take(name, known.record, "cached")
            marker = f"names/{self.graph.recipe}/{name}/{known.key}"
            if not self.store.exists(marker):
                self.store.put_new(marker, b"", sync="fast")
            return
        self._open()
        self._tell(schedule.Wanted(name))

    def _open(self) -> None:
        """Ask what there is, once something must run; refuse what can never fit."""
        if self.opened:
            return
        capacity = self.executor.capacity
        rest = [node for name, node in self.nodes.items() if name not in self.records]
        if problems := [p for node in rest for p in room(node, capacity)]:
            raise GraphError(problems)
        self.opened = True
        self.executor.listen(lambda: self.tell.heard(self.executor))
        self._tell(schedule.Capacity(capacity.get("cpus", 0.0), capacity.get("gpus", 0.0)))

    def _submit(self, name: str) -> None:
        known, node = self.known[name], self.nodes[name]
        if known.code not in self.texts:
            keep_texts(self.store, known.closure, code=self.lookup.code)
            self.texts.add(known.code)
        payload = payload_of(
            known,
            lookup=self.lookup,
            recipe=self.graph.recipe,
            claimant=Claimant(run=self.run, epoch=self.epoch, over=self.rivals.taken(name)),
            forced="yes" if name in self.limits.forced else "no",
            reporter=self.executor.reporter(name),
            asked=self.executor.asker(self.stop),
        )
        held = node.run_on.local or not node.run_on.workers  # else its workers hold them
        cpus, gpus = need_of(node) if held else (0.0, 0.0)
        self.tell.node(name, "running", key=known.key)
        self.executor.submit(name, execute, (payload,), cpus=cpus, gpus=gpus)

    def _listen(self, timeout: float) -> None:
        """Hear what ended and how the others are getting on."""
        if not self.state.running:
            pause = self.attempts.pause()
            if pause is None:
                raise RuntimeError(f"schedule: nothing runs and nothing ends; got {self.state}.")
            time.sleep(min(timeout, pause))
            return
        ended = self.executor.wait(timeout)
        self.tell.heard(self.executor)
        for end in ended:
            self._ended(end)

    def _ended(self, end: Finished) -> None:
        if end.name not in self.state.running:
            return
        if end.error is not None:
            self._error(end.name, end.error)
            return
        if (met := (end.value or {}).get("claimed")) is not None:
            self._wait_for(end.name, Claim(**met))
            return
        record = read_record(self.store, self.known[end.name].key)
        if record is None or first_look(self.store, record, check="sizes"):
            text = f"{end.name}: said it was done, and its record is not there. Look at the store."
            self._error(end.name, Failure("storage", end.name, text))
            return
        if (end.value or {}).get("differs"):
            text = "not deterministic: it ran twice and gave other bytes; the first are kept"
            self.tell.note(end.name, text)
        self._take(end.name, record, "cached" if (end.value or {}).get("found") else "done")

    def _wait_for(self, name: str, met: Claim) -> None:
        """Try a node again soon: another run is making its result."""
        if text := self.rivals.meet(name, met):
            self.tell.note(name, text)
        self.attempts.later(name, after_s=AGAIN_S)
        self._tell(schedule.Freed(name))

    def _error(self, name: str, error: Failure) -> None:
        """Ask the table what to do about a failure, and do it."""
        if error.kind == "preempted" and self.stop():  # it ended because we asked it to
            self._stopped(name)
            return
        match self.attempts.judge(name, error, retries=self.nodes[name].run_on.retries):
            case Retry(after_s=after_s):
                attempt = self.attempts.count(name, error)
                self.tell.retry(name, why=error.text, after_s=after_s, attempt=attempt)
                self._tell(schedule.Freed(name))
            case Fail(why=why, code=code):
                self._fail(name, dataclasses.replace(error, text=why), code)

    def _fail(self, name: str, error: Failure, code: int | None = None) -> None:
        code = code_of(error) if code is None else code
        key = self.known[name].key if name in self.known else None
        self.outcomes[name] = NodeOutcome(state="failed", key=key, error=error, code=code)
        self.tell.failed(name, key=key, error=error, code=code)
        if self.on_failure == "stop" or code == EXIT["interrupted"]:
            self.drain_until = time.monotonic() + self.drain_s
            self._tell(schedule.Drain())
        self._tell(schedule.Failed(name))

    def _take(self, name: str, record: Record, state: Literal["cached", "done"]) -> None:
        self.records[name] = record
        self.outcomes[name] = NodeOutcome(
            state=state,
            key=record.key,
            digest=record.digest,
            seconds=record.seconds,
            notes=record.body["notes"],
        )
        self.tell.node(name, state, key=record.key, seconds=record.seconds, digest=record.digest)
        self._tell(schedule.Finished(name))

    def _skip(self, name: str, why: str) -> None:
        self.outcomes[name] = NodeOutcome(state="skipped")
        self.tell.node(name, "skipped", why=why)

    def _cancel(self) -> None:
        """Tell running nodes to end, and take what still got done."""
        if self.state.running:
            self._tell(schedule.Drain())
            self.executor.cancel(patience_s=self.patience() if self.stop() else 0.0)
            until = time.monotonic() + CANCEL_S
            while self.state.running and time.monotonic() < until:
                if not (ended := self.executor.wait(TICK_S)):
                    break
                for end in ended:
                    self._ended(end) if end.error is None else self._stopped(end.name)

    def _stopped(self, name: str) -> None:
        key = self.known[name].key if name in self.known else None
        self.outcomes[name] = NodeOutcome(state="stopped", key=key)
        self.tell.node(name, "skipped", why="stopped")
        self._tell(schedule.Freed(name))

    def _interrupt(self) -> Outcome:
        self._cancel()
        for name in list(self.state.running):
            self._stopped(name)
        for name in [n for n in self.nodes if n not in self.outcomes]:
            self._skip(name, "interrupted")
        return self._outcome("interrupted", EXIT["interrupted"])

    def _outcome(self, status: Status, code: int) -> Outcome:
        places = Artifacts(self.store, self.records)
        return Outcome(status=status, code=code, nodes=dict(self.outcomes), artifacts=places)
