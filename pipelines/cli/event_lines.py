"""A run away from a terminal: one plain line an event, and progress at most every few seconds."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from pipelines.cli.progress import Progress, Row, duration, how_far, how_fast, words_of
from pipelines.settings.problems import visible


class EventLines:
    """Writes lines; a node that is busy is told of once in `every` seconds."""

    def __init__(self, *, every: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.progress = Progress(clock=clock)
        self.every = every
        self.clock = clock
        self.start = clock()
        self.told: dict[str, float] = {}  # node -> when it was told of last

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Write the line of an event, if it is due."""
        if words := words_of(event):
            self._write(words)
        row = self.progress.take(event)
        if row is None:
            return
        name, now = str(event["node"]), self.clock()
        if event["event"] == "node":
            self.told[name] = now
            self._write(f"{name}: {_state(row, event)}")
        elif event["event"] == "progress" and now - self.told.get(name, -self.every) >= self.every:
            self.told[name] = now
            self._write(f"{name}: {_words(row)}")

    def close(self) -> None:
        """Leave nothing open."""

    def _write(self, text: str) -> None:
        click.echo(f"{duration(self.clock() - self.start):>12}  {text}")


def _state(row: Row, event: Mapping[str, Any]) -> str:
    if row.state == "done" and row.seconds is not None:
        return f"done in {duration(row.seconds)}"
    error = event.get("error")
    why = str(error["text"]) if error else str(event.get("why") or "")
    why = why.removeprefix(f"{event['node']}: ")  # many begin with it
    return f"{row.state}: {visible(why)}" if why else row.state


def _words(row: Row) -> str:
    loss = "" if row.loss is None else f"loss {row.loss:.4g}"
    left = "" if row.left is None else f"{duration(row.left)} left"
    return ", ".join(word for word in (how_far(row), how_fast(row), loss, left) if word)
