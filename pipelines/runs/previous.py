"""The run of the same recipe and the same test sets before this one, and what it did otherwise."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.journal import read_events
from pipelines.report.parts import Previous
from pipelines.runs.directory import RunDirectory, listed

SCORED = "sources.test"  # settings whose figures can be set side by side only where they agree
ABSENT = "–"  # a setting that one of the two runs does not have


def previous_run(
    directory: RunDirectory, *, store: Path, recipe: str, settings: Mapping[str, Any]
) -> Previous | None:
    """Return the newest earlier run of these test sets that says its settings, and what differs."""
    earlier = [d for d in listed(store, recipe=recipe) if _number(d) < _number(directory)]
    for before in reversed(earlier):
        config = _settings(before.events)
        if config is not None and _scored(config) == _scored(settings):
            return Previous(
                run=before.run,
                settings=differences(config, settings),
                metrics=(before.finished() or {}).get("metrics", {}),
            )
    return None


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (name, then, now) of every setting that is not the same, by name."""
    names = sorted(then.keys() | now.keys())
    pairs = [(name, then.get(name, ABSENT), now.get(name, ABSENT)) for name in names]
    return [(name, old, new) for name, old, new in pairs if _plain(old) != _plain(new)]


def _scored(settings: Mapping[str, Any]) -> Any:
    return _plain({name: value for name, value in settings.items() if name.startswith(SCORED)})


def _plain(value: Any) -> Any:
    """Return a value as JSON would bring it back: the journal holds lists, not tuples."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _settings(events: Path) -> dict[str, Any] | None:
    started = [event for event in read_events(events)[0] if event.get("event") == "run"]
    return started[0].get("config") if started else None  # a run keeps its settings


def _number(directory: RunDirectory) -> int:
    return int(directory.run.rpartition("-")[2])
