"""How often each node has failed and how, and which are to be tried again, when."""

import time
from collections import Counter

from cluster.failures import EXIT, Budget, Fail, Failure, Retry, decide


class Attempts:
    """The attempts of one walk."""

    def __init__(self) -> None:
        self._tries: Counter[tuple[str, str]] = Counter()  # node and kind of failure
        self._due: list[tuple[float, str, bool]] = []  # when, node, alone

    def judge(self, name: str, error: Failure, *, retries: int) -> Retry | Fail:
        """Count a failure and say what to do; a retry is written down as due."""
        self._tries[name, error.kind] += 1
        attempt = self.count(name, error)
        verdict = decide(error, attempt=attempt, policy=Budget(retries=retries))
        if isinstance(verdict, Retry):
            self._due.append((time.monotonic() + verdict.after_s, name, verdict.alone))
        return verdict

    def later(self, name: str, *, after_s: float) -> None:
        """Try a node again that has not failed: another run is making its result."""
        self._due.append((time.monotonic() + after_s, name, False))

    def count(self, name: str, error: Failure) -> int:
        """Return how often a node has failed in this way."""
        return self._tries[name, error.kind]

    def ready(self) -> list[tuple[str, bool]]:
        """Take the nodes that are due now, and whether each must run alone."""
        now = time.monotonic()
        ready = [(name, alone) for when, name, alone in self._due if when <= now]
        self._due = [entry for entry in self._due if entry[0] > now]
        return ready

    def pause(self) -> float | None:
        """Return the seconds until the next node is due; None if none is."""
        if not self._due:
            return None
        return max(0.0, min(entry[0] for entry in self._due) - time.monotonic())


def code_of(error: Failure) -> int:
    """Return the exit code of a failure that is not tried again."""
    verdict = decide(error, attempt=1_000_000, policy=Budget())
    return verdict.code if isinstance(verdict, Fail) else EXIT["failed"]
