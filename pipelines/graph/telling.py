"""The events of a walk, one dict each, for `--json`, the display, the journal and the tracker."""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.call import Executor
from cluster.failures import Failure

VERSION = 1


class Telling:
    """Builds events and hands them on as they happen."""

    def __init__(
        self, emit: Callable[[dict[str, Any]], None], stages: Mapping[str, str] | None = None
    ) -> None:
        self._emit = emit
        self._stages = dict(stages or {})
        self._said: dict[str, Any] = {}

    def node(self, name: str, state: str, **more: Any) -> None:
        """Tell the state of a node: running, cached, done, failed or skipped."""
        stage = self._stages.get(name)
        more = {"stage": stage, **more} if stage else more
        self._send("node", node=name, state=state, **more)

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
        """Tell people something about a node that is no failure."""
        self._send("note", node=name, text=text)

    def retry(self, name: str, *, why: str, after_s: float, attempt: int) -> None:
        """Tell that a node will be tried again."""
        self._send("retry", node=name, why=why, after_s=after_s, attempt=attempt)

    def heard(self, executor: Executor) -> None:
        """Tell numbers and progress that running nodes have said since the last time."""
        for name, record in executor.records():
            if record.get("note"):
                self.note(name, record["note"])
            else:
                self._send("metrics", node=name, step=record["done"], values=record["metrics"])
        for name, record in executor.progress().items():
            if self._said.get(name) != record:
                self._said[name] = record
                done, total = record["done"], record["total"]
                self._send("progress", node=name, done=done, total=total, text=record["text"])

    def _send(self, event: str, **fields: Any) -> None:
        self._emit({"v": VERSION, "event": event, **fields})
