"""The calls of a walk that are out: which nodes go in each, and what comes back of each node."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cluster.executor import Executor, Finished
from cluster.failures import Failure
from pipelines.graph.chunk import Pace, execute_all
from pipelines.graph.claims import Claim, Claimant, Rivals, give_up
from pipelines.graph.dispatch import payload_of
from pipelines.graph.key import label
from pipelines.graph.lookup import Identified, Lookup
from pipelines.graph.reasons import keep_texts
from pipelines.graph.room import need_of
from pipelines.graph.schedule_state import Need
from pipelines.graph.telling import Telling


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """One call that came back."""

    nodes: Mapping[str, tuple[dict[str, Any] | None, Failure | None]]  # name -> how it ended

    @property
    def well(self) -> bool:
        """Say whether no node of it failed."""
        return all(failure is None for _, failure in self.nodes.values())


class Calls:
    """Sends nodes to an executor, several in one call, and hears of each by name."""

    def __init__(
        self,
        executor: Executor,
        tell: Telling,
        lookup: Lookup,
        *,
        recipe: str,
        claimant: Claimant,
        forced: Container[str],
        stop: Callable[[], bool],
    ) -> None:
        self._executor, self._tell, self._lookup, self._stop = executor, tell, lookup, stop
        self._recipe, self._claimant, self._forced = recipe, claimant, forced
        self._out: dict[str, Mapping[str, Identified]] = {}  # by the first node's name
        self._keys = set[str]()  # of all that is out
        self._texts = set[str]()  # codes whose texts the store has
        self._rivals = Rivals(lookup.store)
        self._waits = set[str]()  # nodes that another run makes: it was said that they run
        self._pace = Pace()

    def submit(self, nodes: Mapping[str, Identified], numbers: Mapping[str, int | None]) -> None:
        """Send nodes that need the same, in order; numbers are those of units in their maps."""
        first = next(iter(nodes))
        node = nodes[first].node
        payloads = [self.payload(name, known, unit=numbers[name]) for name, known in nodes.items()]
        self._out[first] = nodes
        self._keys |= {known.key for known in nodes.values()}
        held = node.run_on.local or not node.run_on.workers  # else its workers hold them
        need = need_of(node) if held else Need(0.0)
        for name, known in nodes.items():
            if name in self._waits:  # it only looks whether the other run is through
                self._waits.remove(name)
                self._tell.silence.heard(name)
            else:
                self._tell.begun(name, key=known.key)
        self._executor.submit(
            first,
            execute_all,
            (payloads,),
            cpus=need.cpus,
            gpus=need.gpus,
            memory=need.memory,
        )

    def payload(self, name: str, known: Identified, *, unit: int | None = None) -> dict[str, Any]:
        """Return what a worker gets for one node; the texts of its code are kept before."""
        if known.code not in self._texts:
            keep_texts(self._lookup.store, known.closure, code=self._lookup.code)
            self._texts.add(known.code)
        return payload_of(
            known,
            lookup=self._lookup,
            recipe=self._recipe,
            claimant=replace(self._claimant, over=self._rivals.taken(name)),
            forced="yes" if known.node.name in self._forced else "no",
            unit=unit,
            reporter=self._executor.reporter(name),
            asked=self._executor.asker(self._stop),
        )

    def hear(self, timeout: float) -> list[Ended]:
        """Return the calls that came back, after `timeout` seconds if none did."""
        finished = self._executor.wait(timeout)
        self._tell.heard(self._executor)
        self._drop_silent()
        return [self._ended(end) for end in finished if end.name in self._out]

    def sizes(self) -> dict[str, int]:
        """Return how many nodes of a group go in a call from now on, where that changed."""
        return self._pace.news()

    def meet(self, name: str, claimed: Mapping[str, Any]) -> None:
        """Remember that another run is making what a node makes, and say so once."""
        self._waits.add(name)
        if text := self._rivals.meet(name, Claim(**claimed)):
            self._tell.note(name, text)

    def makes(self, key: str) -> bool:
        """Say whether a call that is out makes this key: no two may, as they share scratch."""
        return key in self._keys

    def give_up(self, known: Identified) -> None:
        """Let others make what this run will not: its worker may have died with a claim."""
        if self._claimant.run:
            give_up(self._lookup.store, self._claimant.run, known.key)

    def _ended(self, end: Finished) -> Ended:
        nodes = self._out.pop(end.name)
        self._keys -= {known.key for known in nodes.values()}
        for name in nodes:
            self._tell.silence.ended(name)
        if end.error is not None:
            errors = {name: _named(end.error, end.name, name) for name in nodes}
            return Ended(nodes={name: (None, error) for name, error in errors.items()})
        ended = (end.value or {})["ended"]
        out = {name: how for name, how in zip(nodes, ended, strict=True)}
        for name, (value, _) in out.items():
            if value and not value.get("found", True):
                self._pace.learn(label(nodes[name].node.fn), value["seconds"])
        return Ended(nodes=out)

    def _drop_silent(self) -> None:
        """Stop the calls whose nodes have all said nothing for longer than theirs may."""
        for first, nodes in self._out.items():
            limit = nodes[first].node.run_on.silent_after_s
            if limit and min(self._tell.silence.since(name) for name in nodes) > limit:
                text = f"{first}: said nothing for {limit:g} s and was stopped"
                self._executor.drop(first, Failure("lost", first, text))


def _named(error: Failure, first: str, name: str) -> Failure:
    """Return the failure of a whole call as one of its nodes has it."""
    if not error.text.startswith(f"{first}: "):
        return error
    return replace(error, text=f"{name}: {error.text.removeprefix(f'{first}: ')}")
