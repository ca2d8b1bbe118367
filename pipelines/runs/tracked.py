"""Where a run is tracked, whether that can work, and what earlier runs have not sent yet."""

from dataclasses import dataclass
from pathlib import Path

from cluster.mlflow_door import TrackingError, absolute_uri, look
from cluster.track import Sender, default_uri, start_sender, unsent
from pipelines.runs.directory import RunDirectory, listed
from pipelines.runs.loading import Loaded


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """A place for tracking and the experiment in it."""

    uri: str
    experiment: str

    def away(self) -> str | None:
        """Say that the place cannot be reached now, or None; raise TrackingError if it refuses."""
        why = look(self.uri, self.experiment)
        return why and f"tracking.uri: cannot be reached; got {self.uri} ({why})."

    def send(self, directory: RunDirectory) -> Sender:
        """Start to send what a run has said and will say."""
        return start_sender(directory.path, self.uri, self.experiment)


def tracked(loaded: Loaded, *, store: Path) -> Tracked | None:
    """Return where a config wants its run tracked, or None: nowhere."""
    tracking = loaded.cfg.tracking
    if tracking.kind == "none":
        return None
    uri = default_uri(store)
    if tracking.uri is not None:
        uri = absolute_uri(tracking.uri, root=loaded.file.resolve().parent)
    return Tracked(uri=uri, experiment=tracking.experiment)


def tracking_problems(loaded: Loaded) -> list[str]:
    """Say why the place that a config names would not take its run."""
    if loaded.cfg.tracking.kind == "none" or loaded.cfg.tracking.uri is None:
        return []
    place = tracked(loaded, store=Path())
    try:
        if place is not None:
            place.away()
    except TrackingError as error:
        return [str(error)]
    return []


def unsent_before(store: Path, *, recipe: str, config: str) -> list[RunDirectory]:
    """List finished runs of a config whose server was away, oldest first."""
    return [
        directory
        for directory in listed(store, recipe=recipe)
        if directory.config() == config
        and (directory.finished() or {}).get("tracking")
        and unsent(directory.path)
    ]
