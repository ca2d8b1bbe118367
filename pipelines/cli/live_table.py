"""A run on a terminal: a table of nodes with rate, loss and time left, drawn over itself."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.cli.progress import Progress, Row, duration, how_far, how_fast, words_of
from pipelines.settings.problems import visible

COLORS = {"running": "cyan", "done": "green", "cached": "green", "failed": "red", "waiting": "dim"}


class LiveTable:
    """Redraws the table as events come; what it showed last stays on the screen."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.progress = Progress(names, clock=clock)
        self.live = Live(
            get_renderable=lambda: table(
                dict(self.progress.rows)
            ),  # at its pace, not at each event
            console=console or Console(),
            refresh_per_second=4,
        )
        self.live.start()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show what an event changed; what it says in words goes above the table."""
        self.progress.take(event)
        if words := words_of(event):
            self.live.console.print(Text(words))

    def close(self) -> None:
        """Stop drawing."""
        self.live.stop()


def table(rows: Mapping[str, Row]) -> Table:
    """Return the table of these nodes; names and texts are data, never markup."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("node")
    made.add_column("state")
    for title in ("progress", "rate", "loss", "time left"):
        made.add_column(title, justify="right")
    for name, row in rows.items():
        busy = row.state == "running"
        made.add_row(
            Text(visible(name)),
            Text(row.state, style=COLORS.get(row.state, "")),
            Text(how_far(row) if busy else ""),
            Text(how_fast(row) if busy else ""),
            Text("" if row.loss is None else f"{row.loss:.4g}"),
            Text(duration(row.left) if busy else _took(row)),
        )
    return made


def _took(row: Row) -> str:
    return f"took {duration(row.seconds)}" if row.state == "done" else ""
