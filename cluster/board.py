"""What running calls say: the latest of each for the display, and every number until it is read."""

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]  # one say(): done, total, text, metrics; or a note for people

PACE_S = 0.1  # records without metrics are for the display: not more often than this
KEPT = 10_000  # records with metrics that wait to be read
ANSWER_S = 1.0  # for the board to answer; a busy machine shows old progress rather than none


class Board:
    """What running calls said last, and every record with metrics or a note until it is read."""

    def __init__(self) -> None:
        self._latest: dict[str, Record] = {}
        self._numbers: deque[tuple[str, Record]] = deque(maxlen=KEPT)
        self.heard: Callable[[], None] = lambda: None  # called after each record

    def put(self, name: str, record: Record) -> None:
        """Take a record of a call."""
        if not record.get("note"):
            self._latest[name] = record
        if record.get("metrics") or record.get("note"):
            self._numbers.append((name, record))
        self.heard()

    def take(self) -> tuple[dict[str, Record], list[tuple[str, Record]]]:
        """Return what came since the last time: each call's latest record, and all with metrics."""
        latest, numbers = self._latest, list(self._numbers)
        self._latest = {}
        self._numbers.clear()
        return latest, numbers


@dataclass
class BoardReporter:
    """Send records to a board in another process; wait for it with the last one only.

    A process's records arrive in order, so after the last one none is on its way.
    """

    board: Any
    name: str
    last: float = field(default=0.0, repr=False)

    def __call__(self, record: Record) -> None:
        """Send one record; skip it when it holds no numbers and the last one is fresh."""
        now = time.monotonic()
        ends = record.get("done") == record.get("total")
        if record.get("metrics") or record.get("note") or ends or now - self.last >= PACE_S:
            self.last = now
            sent = self.board.put.remote(self.name, record)
            if ends and sent is not None:
                _settle(sent)


def _settle(sent: Any) -> None:
    import ray
    from ray.exceptions import RayError

    with contextlib.suppress(RayError):  # only the display is lost
        ray.get(sent, timeout=ANSWER_S)
