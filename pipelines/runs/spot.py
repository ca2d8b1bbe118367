"""Where a run takes place: in this process, on a Ray of its own, or on a cluster."""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

from cluster.call import EXECUTORS
from cluster.executor import Executor
from cluster.session import open_session
from pipelines.runs.journaled import Seen


@dataclass(frozen=True, slots=True)
class Spot:
    """Where to run, and what is asked of a cluster there."""

    executor: Literal["ray", "inline"] = "ray"  # inline: all in this process
    address: str = "local"  # local, auto or host:port
    insecure: bool = False  # a cluster that asks nobody for a token is meant

    @property
    def is_cluster(self) -> bool:
        """Say whether it is one that somebody else started."""
        return self.executor == "ray" and self.address != "local"


@contextlib.contextmanager
def executor_at(spot: Spot, emit: Seen, *, ready: bool) -> Generator[Executor]:
    """Open what nodes run on; nothing is started for a graph that is found whole."""
    if spot.executor == "inline" or ready:
        yield EXECUTORS["in_process"]()
        return

    def say(text: str) -> None:
        emit({"event": "note", "text": text})

    with open_session(spot.address, insecure=spot.insecure, say=say):
        yield EXECUTORS["ray"]()
