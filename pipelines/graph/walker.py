"""One walk over a graph: acts on what the pure schedule says, and tells it what happened."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from cluster.executor import Executor
from cluster.failures import EXIT, Fail, Failure, Retry, failure_of
from cluster.storage import StorageError
from pipelines.graph import schedule
from pipelines.graph import schedule_state as told
from pipelines.graph.attempts import Attempts, code_of
from pipelines.graph.calls import Calls
from pipelines.graph.claims import AGAIN_S, Claimant
from pipelines.graph.cuts import Scope
from pipelines.graph.damage import aside, put_aside
from pipelines.graph.dispatch import job_of, too_large, unit_jobs
from pipelines.graph.ledger import Ledger
from pipelines.graph.lookup import Identified, Lookup
from pipelines.graph.machines import LOST_S, Machines
from pipelines.graph.maps import Maps
from pipelines.graph.node import Graph, mapped, upstream
from pipelines.graph.outcome import Outcome
from pipelines.graph.record import Record, first_look, read_record
from pipelines.graph.rules import Rules
from pipelines.graph.spread import Spread
from pipelines.graph.telling import Emit, Telling

OTHER_BYTES = "not deterministic: it ran twice and gave other bytes; the first are kept"
TICK_S = 0.2  # between two looks at `stop` and at progress
CANCEL_S = 15.0  # for running nodes to end after they were told to


class Walker:
    """The state of one walk: the pure schedule, and what it needs to act on it."""

    def __init__(
        self,
        graph: Graph,
        limits: Scope,
        lookup: Lookup,
        executor: Executor,
        *,
        emit: Emit,
        rules: Rules,
        claimant: Claimant,
        stop: Callable[[], bool],
    ) -> None:
        self.graph, self.limits, self.lookup = graph, limits, lookup
        self.store, self.executor = lookup.store, executor
        self.rules, self.stop = rules, stop
        self.nodes = {n.name: n for n in graph.every() if n.name in limits.wanted}
        self.tell = Telling(emit, {name: node.makes.stage for name, node in self.nodes.items()})
        self.ledger, self.maps, self.attempts = Ledger(self.tell), Maps(self.tell), Attempts()
        self.calls = Calls(
            executor, self.tell, lookup, recipe=graph.recipe, claimant=claimant,
            forced=limits.forced, stop=stop,
        )  # fmt: skip
        self.machines = Machines(lambda: executor.capacity, wait_s=rules.wait_for_nodes_s)
        self.wanted: list[str] = []  # must run, and not told to the schedule yet
        self.drain_until: float | None = None
        jobs = [job_of(n, store=self.store, recipe=graph.recipe) for n in self.nodes.values()]
        self.state, first = schedule.start(tuple(jobs))
        self.todo = deque(first)

    def go(self) -> Outcome:
        """Act and listen until the schedule ends, somebody says stop, or the store fails."""
        try:
            return self._go()
        except StorageError as error:
            self.executor.cancel()
            return self._broken(failure_of(error, where="the store"))

    def _go(self) -> Outcome:
        self._act()
        while not self.state.ended:
            if self.stop():
                return self._interrupt()
            if self.drain_until is not None and time.monotonic() > self.drain_until:
                self._cancel()
                break
            for name, alone in self.attempts.ready():
                self._tell(told.Wanted(name, alone=alone))
            if news := self.machines.news():
                self._tell(news)
            self._listen(TICK_S)
            self._act()
        return self.ledger.ended(self.store, self.nodes)

    def _tell(self, event: told.Event) -> None:
        self.state, actions = schedule.step(self.state, event)
        self.todo.extend(actions)

    def _act(self) -> None:
        """Do what the schedule says; nodes found wanting are told to it together."""
        while self.todo or (self.wanted and self._open()):
            if not self.todo:
                names, self.wanted = tuple(self.wanted), []
                self._tell(told.Ready(names))
                continue
            action = self.todo.popleft()
            match action.kind:
                case "resolve":
                    self._resolve(action.name)
                case "submit":
                    self._submit((action.name, *action.along))
                case "skip":
                    self.ledger.skipped(action.name, "an input failed")
                case "impossible":
                    self._failed(action.name, self._too_large(action.name))
                case "end":
                    return

    def _resolve(self, name: str) -> None:
        """Find the key of a node whose inputs are there, and whether it must run."""
        if name in self.maps:
            self._join(name)
            return
        node = self.nodes[name]
        above = {source.name: self.ledger.records[source.name] for source in upstream(node)}
        try:
            known = self.lookup.identify(node, above)
            cached = None if known.damage or name in self.limits.forced else known.record
            units = () if cached else self.lookup.units_of(known)
        except (ValueError, OSError) as error:
            self._give_up(name, error)
            return
        self.ledger.known[name] = known
        if cached:
            self._take(name, cached, "cached")
            self.lookup.mark(self.graph.recipe, name, known.key)
        elif self._usable(name, (known, *units)):
            if mapped(node):
                self._spread(name, Spread(known, units))
            else:
                self.wanted.append(name)

    def _usable(self, name: str, found: tuple[Identified, ...]) -> bool:
        """Set damaged results aside; say whether the node may be run again now."""
        if name in self.limits.forced:
            return True
        repair = self.rules.on_damage == "repair"
        error = put_aside(self.store, found, repair=repair, note=partial(self.tell.note, name))
        if error is not None:
            self._give_up(name, error)
        return error is None

    def _spread(self, name: str, spread: Spread) -> None:
        """Put the units of a map that are not there before it."""
        missing = self.maps.begin(name, spread, forced=name in self.limits.forced)
        if not missing:
            self._join(name)
            return
        self.ledger.known |= missing
        jobs = unit_jobs(missing, spread.known, store=self.store, recipe=self.graph.recipe)
        self._tell(told.Spread(name, jobs))
        self.wanted += missing

    def _join(self, name: str) -> None:
        """Commit a map whose units are all there."""
        try:
            call = self.calls.payload(name, self.ledger.known[name])
            record = self.maps.commit(name, self.store, call)
        except (ValueError, OSError) as error:
            self._give_up(name, error)
            return
        self.lookup.mark(self.graph.recipe, name, record.key)
        self._take(name, record, "done")

    def _open(self) -> bool:
        """Ask what there is, once something must run; refuse or wait for what is not."""
        rest = [node for name, node in self.nodes.items() if name not in self.ledger.records]
        if not self.machines.watched and (have := self.machines.first(rest, note=self.tell.note)):
            self.executor.listen(lambda: self.tell.heard(self.executor))
            self._tell(have)
        return self.machines.watched

    def _submit(self, names: tuple[str, ...]) -> None:
        """Send nodes to be run in one call, one after the other."""
        if self.ledger.known[names[0]].node.name in self.machines.never:
            for name in names:
                self._fail(name, self._too_large(name))
            return
        nodes = {name: self.ledger.known[name] for name in names}
        if any(self.calls.makes(known.key) for known in nodes.values()):
            for name in names:  # another node of this walk is making the same: look again then
                self.attempts.later(name, after_s=TICK_S)
                self._tell(told.Freed(name))
            return
        self.calls.submit(nodes, {name: self.maps.number(name) for name in names})

    def _listen(self, timeout: float) -> None:
        """Hear what ended and how the others are getting on."""
        if not self.state.running:
            pause = timeout if self.wanted else self.attempts.pause()
            if pause is None:
                raise RuntimeError(f"schedule: nothing runs and nothing ends; got {self.state}.")
            time.sleep(min(timeout, pause))
            return
        heard = self.calls.hear(timeout)
        for group, most in self.calls.sizes().items():
            self._tell(told.Sized(group, most))
        if all(ended.well for ended in heard):
            for ended in heard:
                self._tell(told.Back(next(iter(ended.nodes))))
            self._act()  # the next calls go out before these are looked at
        for ended in heard:
            for name, (value, failure) in ended.nodes.items():
                self._error(name, failure) if failure else self._made(name, value or {})
            self.maps.told(ended.nodes)

    def _made(self, name: str, value: dict[str, Any]) -> None:
        """Take a result; or wait a while, when another run is making it."""
        if (claimed := value.get("claimed")) is not None:
            self.calls.meet(name, claimed)
            self.attempts.later(name, after_s=AGAIN_S)
            self._tell(told.Freed(name))
            return
        record = read_record(self.store, self.ledger.known[name].key)
        if record is None or first_look(self.store, record, check="sizes"):
            text = f"{name}: said it was done, and its record is not there. Look at the store."
            self._error(name, Failure("storage", name, text))
            return
        if value["differs"]:
            self.tell.note(name, OTHER_BYTES)
        self._take(name, record, "cached" if value["found"] else "done")

    def _take(self, name: str, record: Record, state: Literal["cached", "done"]) -> None:
        if not self.maps.took(name, record, state):
            self.ledger.took(name, record, state)
        self._tell(told.Finished(name))

    def _error(self, name: str, error: Failure) -> None:
        """Ask the table what to do about a failure, and do it."""
        if error.kind == "preempted" and self.stop():  # it ended because we asked it to
            self._stopped(name)
            return
        retries = self.ledger.known[name].node.run_on.retries
        match self.attempts.judge(name, error, retries=retries):
            case Retry(after_s=after_s):
                attempt = self.attempts.count(name, error)
                self.tell.retry(name, why=error.text, after_s=after_s, attempt=attempt)
                self._tell(told.Freed(name))
            case Fail(why=why, code=code):
                self.calls.give_up(self.ledger.known[name])
                self._fail(name, (replace(error, text=why), code))

    def _give_up(self, name: str, error: Exception) -> None:
        failure = failure_of(aside(self.store, error), where=name)
        self._fail(name, (failure, code_of(failure)))

    def _too_large(self, name: str) -> tuple[Failure, int]:
        node = self.ledger.known[name].node
        waited_s = self.rules.wait_for_nodes_s if node.name in self.machines.never else LOST_S
        failure = too_large(node, self.executor.capacity, waited_s=waited_s)
        return failure, EXIT["infrastructure"]

    def _fail(self, name: str, how: tuple[Failure, int]) -> None:
        self._failed(name, how)
        self._tell(told.Failed(name))

    def _failed(self, name: str, how: tuple[Failure, int]) -> None:
        """Write down a failure for good; a unit's is that of its map."""
        error, code = how
        self.ledger.failed(self.maps.of(name), self.maps.failed(name, error), code)
        if self.rules.on_failure == "stop" or code == EXIT["interrupted"]:
            self.drain_until = time.monotonic() + self.rules.drain_s
            self._tell(told.Drain())

    def _cancel(self) -> None:
        """Tell running nodes to end, and take what still got done."""
        if not self.state.running:
            return
        self._tell(told.Drain())
        self.executor.cancel(patience_s=self.rules.patience() if self.stop() else 0.0)
        until = time.monotonic() + CANCEL_S
        while (
            self.state.running and time.monotonic() < until and (heard := self.calls.hear(TICK_S))
        ):
            for name, (value, failure) in (e for ended in heard for e in ended.nodes.items()):
                self._stopped(name) if failure else self._made(name, value or {})

    def _stopped(self, name: str) -> None:
        self.ledger.stopped(self.maps.of(name))
        self._tell(told.Freed(name))

    def _broken(self, failure: Failure) -> Outcome:
        """End a walk whose store failed: what ran then did not fail, and is not heard any more."""
        left = (*self.state.running, *(n for n in self.nodes if n not in self.ledger.outcomes))
        self.ledger.failed(self.maps.of(left[0]), failure, code_of(failure))
        return self.ledger.ended(self.store, self.nodes)

    def _interrupt(self) -> Outcome:
        self._cancel()
        for name in self.state.running:
            self._stopped(name)
        return self.ledger.interrupted(self.store, self.nodes)
