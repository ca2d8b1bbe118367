"""What stops a run and keeps what is done: a signal, or the file that `vocabox stop` leaves."""

import contextlib
import signal
import threading
import time
from collections.abc import Generator
from typing import Protocol

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed
GRACE_S = 20.0  # for training to keep a checkpoint after SIGTERM
LOOK_S = 1.0  # between two looks; a stop is seen within two


class Names(Protocol):
    """What a store offers for a name."""

    def put_new(self, name: str, data: bytes) -> bool:
        """Create a name."""
        ...

    def exists(self, name: str) -> bool:
        """Say whether a name is there."""
        ...

    def delete(self, name: str) -> None:
        """Remove a name."""
        ...


class StopFile:
    """Whether somebody, on any machine, asked this run to stop."""

    def __init__(self, store: Names, run: str) -> None:
        self.store, self.name = store, f"runs/{run}/stop"
        self.looked, self.found = 0.0, False
        self._earlier = store.exists(self.name)

    def ask(self) -> None:
        """Ask the driver of this run to stop; it keeps what is done."""
        self.store.put_new(self.name, b"")

    def clear(self) -> None:
        """Forget a wish that was there before this: the run was started again."""
        if self._earlier:
            self.store.delete(self.name)
            self.found = self._earlier = False

    def asked(self) -> bool:
        """Say whether a stop was asked for; the store is asked once in LOOK_S seconds."""
        now = time.monotonic()
        if not self.found and now - self.looked >= LOOK_S:
            self.looked, self.found = now, self.store.exists(self.name)
        return self.found


class Stop:
    """Whether a run was asked to stop, and by which signal if by one."""

    def __init__(self, wish: StopFile) -> None:
        self.wish = wish
        self.number: int | None = None

    def asked(self) -> bool:
        """Return whether the first signal came, or somebody left a stop file."""
        return self.number is not None or self.wish.asked()

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
def stopping(wish: StopFile) -> Generator[Stop]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a stop that keeps what is done."""
    stop = Stop(wish)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.signal(s, stop.note) for s in STOPS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
