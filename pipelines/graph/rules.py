"""What a walk does when something goes wrong, and how long it waits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """The rules of one walk."""

    on_failure: Literal["stop", "continue"] = "stop"
    on_damage: Literal["stop", "repair"] = "stop"
    drain_s: float = 600.0  # for running nodes, after a failure
    patience: Callable[[], float] = lambda: 0.0  # s for running nodes to keep theirs, at a stop
    wait_for_nodes_s: float = 0.0  # for machines that a node needs; 0: refused at once
