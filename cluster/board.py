"""Where running calls say how far they are, and hear that they are to end: one small actor.

What is on it is for the display and for people; losing it loses no result.
"""

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
ASK_S = 0.5  # between two questions of one body


class Board:
    """What running calls said last, and every record with metrics or a note until it is read."""

    def __init__(self) -> None:
        self._latest: dict[str, Record] = {}
        self._numbers: deque[tuple[str, Record]] = deque(maxlen=KEPT)
        self._asked = False
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

    def ask(self) -> None:
        """Ask all calls to keep what they have done, and to end."""
        self._asked = True

    def asked(self) -> bool:
        """Return whether the calls are to end."""
        return self._asked


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


@dataclass
class BoardAsker:
    """Ask a board in another process, without waiting: an answer is a question old."""

    board: Any
    told: bool = False
    last: float = field(default=0.0, repr=False)
    answer: Any = field(default=None, repr=False)  # on its way

    def __call__(self) -> bool:
        """Return what the board answered last."""
        if self.answer is not None:
            self._hear()
        elif not self.told and time.monotonic() - self.last >= ASK_S:
            self.last = time.monotonic()
            self.answer = self.board.asked.remote()
        return self.told

    def _hear(self) -> None:
        import ray
        from ray.exceptions import RayError

        ready, _ = ray.wait([self.answer], timeout=0)
        if ready:
            self.answer = None
            with contextlib.suppress(RayError):  # the board is gone: nobody asks any more
                self.told = ray.get(ready[0])


def _settle(sent: Any) -> None:
    import ray
    from ray.exceptions import RayError

    with contextlib.suppress(RayError):  # only the display is lost
        ray.get(sent, timeout=ANSWER_S)
