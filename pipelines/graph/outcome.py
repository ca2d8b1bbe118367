"""How a walk over a graph ended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

from cluster.failures import Failure
from cluster.storage import Store
from pipelines.graph.record import Record

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


@final
class Artifacts(Mapping[str, Path]):
    """Where artifacts lie on this machine, by node; each is brought here when it is asked for."""

    def __init__(self, store: Store, records: Mapping[str, Record]) -> None:
        self._store, self._records = store, dict(records)

    def __getitem__(self, name: str) -> Path:
        """Return the folder of a node's artifact."""
        return self._records[name].place(self._store)

    def __iter__(self) -> Iterator[str]:
        """Give the names of the nodes."""
        return iter(self._records)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._records)

    def __contains__(self, name: object) -> bool:
        """Say whether a node's artifact is there; nothing is brought."""
        return name in self._records


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a whole walk ended."""

    status: Status
    code: int  # exit code, a value of cluster.failures.EXIT
    nodes: Mapping[str, NodeOutcome]
    artifacts: Mapping[str, Path]  # of nodes that are cached or done
