"""Events of a run: to the run's own file first, then to whoever watches; a child sends them on."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from cluster.journal import Events
from cluster.track import Sender, refusals
from pipelines.graph.circumstances import git_state
from pipelines.runs.directory import RunDirectory
from pipelines.runs.loading import Loaded
from pipelines.runs.tracked import Tracked

Seen = Callable[[Mapping[str, Any]], None]


class Journaled:
    """Takes every event of one run; a fault of tracking never comes back through it."""

    def __init__(
        self,
        loaded: Loaded,
        directory: RunDirectory,
        *,
        tracked: Tracked | None,
        emit: Seen,
        epoch: int = 0,
    ) -> None:
        self.emit = emit
        self.events = Events(directory.events)
        self.events.append(
            {
                "event": "run",
                "epoch": epoch,
                "run": directory.run,
                "pipeline": loaded.recipe,
                "backbone": loaded.cfg.backbone.kind,
                "config": loaded.resolved,
                "config_text": loaded.text,
                "digest": loaded.digest,
                "version": version("vocabox"),
                "commit": (git_state() or {}).get("commit"),
                **(loaded.trial or {}),
            }
        )
        self.sender: Sender | None = None if tracked is None else tracked.send(directory)

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Record one event and show it; progress is shown only."""
        if event["event"] != "progress":
            self.events.append(event)
        if event["event"] != "finished":
            self.emit(event)

    def close(self) -> int:
        """Wait a moment for the sender; say what is amiss; return how many events are unsent."""
        left, said = 0, [self.events.fault]
        if self.sender is not None:
            left = self.sender.close()
            said += [self.sender.fault if left else None, refusals(self.sender.run_dir)]
        for text in filter(None, said):
            self.emit({"event": "note", "text": text})
        return left
