"""Progress as a body says it: one record a call, for the display and the tracker."""

import time
from collections.abc import Callable
from typing import Any

PAUSE_S = 0.1  # seconds between two reports without numbers, so that a fast loop is not slowed


class Saying:
    """The `say` of one body."""

    def __init__(self, reporter: Callable[[dict[str, Any]], None] | None) -> None:
        self._reporter = reporter
        self._last = 0.0

    def __call__(self, done: float, total: float, text: str = "", **metrics: float) -> None:
        """Say how far the body is. Metric names may hold `/`: say(1, 9, **{"train/loss": .2})."""
        if self._reporter is None:
            return
        now = time.monotonic()
        if metrics or done >= total or now - self._last >= PAUSE_S:
            self._last = now
            numbers = {name: float(value) for name, value in metrics.items()}
            self._reporter({"done": done, "total": total, "text": text, "metrics": numbers})

    def note(self, text: str) -> None:
        """Say one sentence that people should read now and in the run's journal."""
        if self._reporter is not None:
            self._reporter({"done": 0, "total": 0, "text": "", "metrics": {}, "note": text})
