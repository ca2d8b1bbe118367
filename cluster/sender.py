"""Send a run's events to MLflow: `python -m cluster.sender RUN_DIR EXPERIMENT`.

A child of the driver, started by `track.start_sender`; the server is in MLFLOW_TRACKING_URI. One
sender at a time holds `sender.lock` and writes `sent.json`; the next one goes on from there. A
sender whose driver has ended lets go of the lock at every pause, so that a new driver's takes over.
"""

import argparse
import copy
import fcntl
import hashlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.journal import is_finished, read_events
from cluster.mlflow_sink import ForgottenError, MlflowSink
from cluster.track import EVENTS, read_sent, write_sent

LOOK_S = 0.5  # between two looks at the file
SEND_S = 2.0  # between two requests, unless many events wait
MANY = 500  # events
PASS_BYTES = 1 << 18  # sent, and remembered as sent, at once
SETTLE_S = 1.0  # for requests whose answer was lost, once the server answers again
LONGEST_PAUSE_S = 30.0  # between two attempts to reach the server
LOCK_S = 300.0  # to wait for an earlier sender of the same run
UNREACHED = 3  # exit code


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """When to stop, in seconds."""

    driver: int  # process id of the parent
    give_up_s: float  # without a server, when nothing more will come
    silence_s: float  # without news, when the driver has gone


def main(arguments: list[str]) -> int:
    """Send until the run is finished or its driver is gone; return an exit code."""
    parser = argparse.ArgumentParser(prog="cluster.sender")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("experiment")
    parser.add_argument("--driver", type=int, default=0)
    parser.add_argument("--give-up", type=float, default=600.0)
    parser.add_argument("--silence", type=float, default=5.0)
    given = parser.parse_args(arguments)
    terms = Terms(driver=given.driver, give_up_s=given.give_up, silence_s=given.silence)
    uri = os.environ["MLFLOW_TRACKING_URI"]
    with (given.run_dir / "sender.lock").open("w") as lock:
        if not _hold(lock, patience_s=LOCK_S):
            return UNREACHED
        return Follower(given.run_dir, uri, given.experiment, terms=terms, lock=lock).follow()


class Follower:
    """Follows one file of events; what was sent is in `memory`, and on disk after each pass."""

    def __init__(
        self, run_dir: Path, uri: str, experiment: str, *, terms: Terms, lock: Any
    ) -> None:
        self.run_dir, self.path, self.terms, self.lock = run_dir, run_dir / EVENTS, terms, lock
        self.uri, self.experiment = uri, experiment
        self.sink: MlflowSink | None = None
        self.memory: dict[str, Any] = read_sent(run_dir)
        if self.memory.get("server") != _digest(uri):  # another server knows nothing yet
            self._forget()
        self.finished = is_finished(self.path)
        self.seen, self.heard, self.sent = 0, time.monotonic(), 0.0
        self.failures = 0  # in a row
        self.over_since: float | None = None  # failing, with nothing more to come

    def follow(self) -> int:
        """Send what is in the file and what comes, until it ends by one of the terms."""
        while True:
            try:
                if self._send():
                    return 0
                pause, self.failures, self.over_since = LOOK_S, 0, None
            except Exception as error:
                self._failed(error)
                if self._hopeless():
                    return UNREACHED
                longest = min(LONGEST_PAUSE_S, max(LOOK_S, self.terms.give_up_s / 3))
                pause = min(longest, LOOK_S * 2 ** min(self.failures, 10))
            if not self._rest(pause):
                return 0

    def _send(self) -> bool:
        """Send what is due; return whether all was sent and no more will come."""
        events, offset = read_events(self.path, offset=self.memory["offset"], limit=PASS_BYTES)
        now, last = time.monotonic(), bool(events) and events[-1].get("event") == "finished"
        if offset > self.seen:
            self.seen, self.heard = offset, now
        waits = offset != self.memory["offset"]
        if waits and (last or len(events) >= MANY or now - self.sent >= SEND_S):
            before = copy.deepcopy(self.memory)
            try:
                self._open().send(events)
            except Exception:
                self.memory = before  # what was sent will be found again
                raise
            self.memory["offset"], self.finished, waits = offset, last, False
            self.sent = time.monotonic()
            self._remember(None)
        if self.memory.get("files"):
            self._open().send_files()
            self._remember(None)
        if waits or not (self.finished or self._silent()):
            return False
        if not self.finished and "parent" in self.memory:
            self._open().abandon(int(time.time() * 1000))
        self._remember(None)
        return True

    def _open(self) -> MlflowSink:
        if self.sink is None:
            self.sink = MlflowSink(
                self.uri, self.experiment, store=self.run_dir.parent.parent, memory=self.memory
            )
            if self.failures:
                time.sleep(SETTLE_S)  # a late request must not come after its own repetition
        return self.sink

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ForgottenError):
            self._forget()
        self.sink, self.failures = None, self.failures + 1
        self._remember(_why(error))

    def _hopeless(self) -> bool:
        if not self._over():
            return False
        now = time.monotonic()
        self.over_since = self.over_since or now
        return now - self.over_since >= self.terms.give_up_s

    def _rest(self, seconds: float) -> bool:
        """Sleep; return whether this sender is still the one that sends.

        The end of the run breaks a long pause: there is one more attempt while the driver waits.
        """
        over, until = self._over(), time.monotonic() + seconds
        if over:
            fcntl.flock(self.lock, fcntl.LOCK_UN)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(LOOK_S, left))
            if seconds > LOOK_S and self._over() != over:
                break
        if not over:
            return True
        if not _hold(self.lock, patience_s=0.0):
            return False
        if read_sent(self.run_dir) != self.memory:  # another one was here
            self.memory, self.sink = read_sent(self.run_dir), None
        return True

    def _alone(self) -> bool:
        return os.getppid() != self.terms.driver

    def _silent(self) -> bool:
        return self._alone() and time.monotonic() - self.heard >= self.terms.silence_s

    def _over(self) -> bool:
        return self._alone() or is_finished(self.path)

    def _forget(self) -> None:
        self.memory = {"v": 1, "server": _digest(self.uri), "offset": 0}

    def _remember(self, fault: str | None) -> None:
        self.memory["fault"] = fault
        write_sent(self.run_dir, self.memory)


def _why(error: BaseException) -> str:
    """Return the first cause: MLflow wraps a refused connection in several layers."""
    while below := error.__cause__ or error.__context__:
        error = below
    return f"{type(error).__name__}: {error}"[:500]


def _digest(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()


def _hold(lock: Any, *, patience_s: float) -> bool:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(LOOK_S / 5)
        else:
            return True


if __name__ == "__main__":
    os.nice(19)  # training comes first; Ray's workers run at 15
    sys.exit(main(sys.argv[1:]))
