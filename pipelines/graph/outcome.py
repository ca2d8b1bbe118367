"""How a walk over a graph ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cluster.failures import Failure

Status = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeOutcome:
    """How one node ended. Stopped: it was running when the walk was told to stop."""

    state: Literal["cached", "done", "failed", "skipped", "stopped"]
    key: str | None = None
    digest: str | None = None
    seconds: float = 0.0  # of the body; of the earlier run where cached
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error: Failure | None = None
    code: int = 0  # exit code of the error


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a whole walk ended."""

    status: Status
    code: int  # exit code, a value of cluster.failures.EXIT
    nodes: Mapping[str, NodeOutcome]
    artifacts: Mapping[str, Path]  # of nodes that are cached or done
