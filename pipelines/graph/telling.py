"""The events of a walk, one dict each, for `--json`, the display, the journal and the tracker."""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.executor import Executor
from cluster.failures import Failure
from pipelines.graph.silence import Silence

VERSION = 1
Emit = Callable[[dict[str, Any]], None]


class Telling:
    """Builds events and hands them on as they happen."""

    def __init__(self, emit: Emit, stages: Mapping[str, str] | None = None) -> None:
        self._emit = emit
        self._stages = dict(stages or {})
        self._said: dict[str, Any] = {}
        self._unit: dict[str, tuple[str, int]] = {}  # name of a unit -> its map, and its number
        self.silence = Silence()

    def node(self, name: str, state: str, **more: Any) -> None:
        """Tell the state of a node: running, cached, done, failed or skipped."""
        stage = self._stages.get(name)
        more = {"stage": stage, **more} if stage else more
        self._send("node", node=name, state=state, **more)

    def of_map(self, name: str, units: Mapping[str, int]) -> None:
        """Take the names and numbers of a map's units."""
        self._unit |= {unit: (name, number) for unit, number in units.items()}

    def begun(self, name: str, *, key: str) -> None:
        """Tell that a node runs; a unit's map has told so already."""
        self.silence.heard(name)
        if name not in self._unit:
            self.node(name, "running", key=key)

    def unit(self, name: str, state: str, *, key: str) -> None:
        """Tell the state of one unit of a map: cached, done or failed."""
        above, number = self._unit[name]
        self._send("unit", node=above, unit=number, state=state, key=key)

    def reused(self, name: str, keys: Mapping[int, str]) -> None:
        """Tell which units of a map that runs were there: number -> key, for the run's records."""
        self._send("reused", node=name, keys=dict(keys))

    def units(self, name: str, count: tuple[int, int]) -> None:
        """Tell how many units of a map are there, and how many it has."""
        done, total = count
        self._send("progress", node=name, done=done, total=total, text="units")

    def failed(self, name: str, *, key: str | None, error: Failure, code: int) -> None:
        """Tell that a node failed for good."""
        detail = {
            "kind": error.kind,
            "where": error.where,
            "text": error.text,
            "traceback": error.traceback,
        }
        self.node(name, "failed", key=key, error=detail, code=code)

    def note(self, name: str, text: str) -> None:
        """Tell people something about a node, or a unit, that is no failure."""
        above, text = self._worded(name, text)
        self._send("note", node=above, text=text)

    def retry(self, name: str, *, why: str, after_s: float, attempt: int) -> None:
        """Tell that a node, or a unit, will be tried again."""
        above, why = self._worded(name, why)
        self._send("retry", node=above, why=why, after_s=after_s, attempt=attempt)

    def heard(self, executor: Executor) -> None:
        """Tell numbers and progress that running nodes have said since the last time.

        What a unit says of its own progress shows only that it lives: its map counts units.
        """
        for name, record in executor.records():
            self.silence.said(name)
            if record.get("note"):
                self.note(name, record["note"])
            elif name not in self._unit:
                self._send("metrics", node=name, step=record["done"], values=record["metrics"])
        for name, record in executor.progress().items():
            if self._said.get(name) != record:
                self._said[name] = record
                self.silence.said(name)
                if name not in self._unit:
                    done, total = record["done"], record["total"]
                    self._send("progress", node=name, done=done, total=total, text=record["text"])
        for name, seconds in self.silence.due():
            above, what = self._worded(name, "")
            self._send("silent", node=above, seconds=round(seconds), text=what.rstrip(": "))

    def _worded(self, name: str, text: str) -> tuple[str, str]:
        """Return the node that people know, and a text that names the unit."""
        above, number = self._unit.get(name, (name, None))
        return above, text if number is None else f"unit {number}: {text}"

    def _send(self, event: str, **fields: Any) -> None:
        self._emit({"v": VERSION, "event": event, **fields})
