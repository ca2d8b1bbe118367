"""Which running nodes have said nothing for long: people are told, and a node may be stopped."""

import time
from collections.abc import Callable

SAID_S = 60.0  # seconds of silence before people are told, and between two times


class Silence:
    """When each running node was last heard."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def said(self, name: str) -> None:
        """Take it that a node said something; one that has ended may be heard late."""
        if name in self._heard:
            self.heard(name)

    def heard(self, name: str) -> None:
        """Take it that a node has begun, or said something."""
        self._heard[name] = self._clock()
        self._told.pop(name, None)

    def ended(self, name: str) -> None:
        """Forget a node."""
        self._heard.pop(name, None)
        self._told.pop(name, None)

    def since(self, name: str) -> float:
        """Return for how many seconds a running node has said nothing."""
        return self._clock() - self._heard.get(name, self._clock())

    def due(self) -> list[tuple[str, float]]:
        """Return the nodes to be told of now, and for how many seconds each said nothing."""
        now = self._clock()
        quiet = [
            (name, now - since)
            for name, since in self._heard.items()
            if now - max(since, self._told.get(name, since)) >= SAID_S
        ]
        self._told |= {name: now for name, _ in quiet}
        return quiet
