"""Signals that ask a run to stop: what is done is kept; a second one ends it at once."""

import contextlib
import signal
import threading
from collections.abc import Generator

GRACE_S = 20.0  # for training to keep a checkpoint after SIGTERM
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed


class Stop:
    """Whether and by which signal a run was asked to stop."""

    def __init__(self) -> None:
        self.number: int | None = None

    def asked(self) -> bool:
        """Return whether the first signal came."""
        return self.number is not None

    def patience(self) -> float:
        """Return the seconds to keep what is done: a machine that is taken away leaves some."""
        return GRACE_S if self.number == signal.SIGTERM else 0.0

    def note(self, number: int, frame: object) -> None:
        """Take a signal: the first asks, the second stops at once."""
        del frame
        if self.number is not None:
            raise KeyboardInterrupt(number)
        self.number = number


@contextlib.contextmanager
def stopping() -> Generator[Stop]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a stop that keeps what is done."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.signal(s, stop.note) for s in STOPS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
