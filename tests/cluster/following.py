"""A sender on a thread of the test's process: MLflow is imported once for all tests."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.sender import Follower, Terms
from cluster.track import read_sent

WAIT_S = 60.0


def append(run: Path, lines: list[bytes]) -> None:
    run.mkdir(parents=True, exist_ok=True)
    with (run / "events.jsonl").open("ab") as file:
        file.writelines(lines)


class Sent:
    """One sender, from now until its run is finished."""

    def __init__(self, run: Path, uri: str, experiment: str) -> None:
        self.run, self.code = run, -1
        terms = Terms(driver=os.getppid(), give_up_s=WAIT_S, silence_s=WAIT_S)
        self.lock = (run / "sender.lock").open("w")
        self.follower = Follower(run, uri, experiment, terms=terms, lock=self.lock)
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        self.code = self.follower.follow()

    def join(self) -> int:
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive(), read_sent(self.run)
        self.lock.close()
        return self.code


def until(true: Callable[[], Any]) -> None:
    limit = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)
