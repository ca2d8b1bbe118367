"""What is known of each node while a run goes on, and the words for it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.settings.problems import visible


@dataclass(kw_only=True, slots=True)
class Row:
    """One node: its state, how far it is, and its last numbers."""

    state: str = "waiting"
    done: float = 0.0
    total: float = 0.0
    first: tuple[float, float] | None = None  # (seconds, done) of the first progress
    now: float = 0.0  # seconds, of the last progress
    text: str = ""
    seconds: float | None = None  # of a node that ended
    silent: float = 0.0  # seconds for which a running node has said nothing, if that is long
    metrics: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def rate(self) -> float | None:
        """Return units a second since the first progress, or None before the second."""
        if self.first is None or self.now <= self.first[0] or self.done <= self.first[1]:
            return None
        return (self.done - self.first[1]) / (self.now - self.first[0])

    @property
    def left(self) -> float | None:
        """Return the seconds that are left at this rate, or None where that is unknown."""
        return (self.total - self.done) / self.rate if self.rate and self.total else None

    @property
    def loss(self) -> float | None:
        """Return the total loss, or the first loss there is."""
        named = {name.rpartition("/")[2]: value for name, value in self.metrics.items()}
        losses = [value for name, value in named.items() if "loss" in name]
        return named.get("loss", losses[0] if losses else None)


class Progress:
    """The rows of a run, brought up to date by its events."""

    def __init__(
        self, names: Sequence[str] = (), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rows: dict[str, Row] = {name: Row() for name in names}
        self.clock = clock

    def take(self, event: Mapping[str, Any]) -> Row | None:
        """Return the row that an event changed, or None where it is of no node."""
        name = event.get("node")
        if not isinstance(name, str):
            return None
        row = self.rows.setdefault(name, Row())
        row.silent = float(event["seconds"]) if event["event"] == "silent" else 0.0
        if event["event"] == "node":
            row.state = str(event.get("state", row.state))
            row.seconds = event.get("seconds")
            if row.state == "running":  # again, after a retry
                row.first, row.done = None, 0.0
        elif event["event"] == "progress":
            row.done, row.total = float(event["done"]), float(event["total"])
            row.text = visible(str(event.get("text", "")))
            row.now = self.clock()
            row.first = row.first or (row.now, row.done)
        elif event["event"] == "metrics":
            row.metrics.update(event["values"])
        return row


def words_of(event: Mapping[str, Any]) -> str:
    """Return what an event says in words: of a node's note its name too; nothing for the others."""
    node, text = event.get("node"), event.get("text")
    if event["event"] == "silent":
        who = f"{node}: {text}" if text else str(node)
        return visible(f"{who}: has said nothing for {duration(event['seconds'])}")
    if event["event"] == "retry":
        why = str(event["why"]).removeprefix(f"{node}: ")
        return visible(f"{node}: {why}; tried again in {duration(event['after_s'])}")
    if not text or (node is not None and event["event"] != "note"):
        return ""
    return visible(f"{node}: {text}" if node is not None else str(text))


def duration(seconds: float | None) -> str:
    """Return "41 s", "6 min 12 s" or "2 h 05 min"; "-" for None."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def how_far(row: Row) -> str:
    """Return "120/700", the text of a node that counts nothing, or that it has been silent."""
    if row.silent:
        return f"silent {duration(row.silent)}"
    return f"{row.done:g}/{row.total:g}" if row.total else row.text


def how_fast(row: Row) -> str:
    """Return "17.1/s", or nothing before a rate is known."""
    return "" if row.rate is None else f"{row.rate:.3g}/s"
