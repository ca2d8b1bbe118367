"""One JSON object a line on stdout, and nothing else there: what a program reads."""

import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import click

from pipelines.cli.progress import words_of

VERSION = 1
READ = ("node", "metrics")  # by programs
SAID = ("note", "retry", "silent")  # to people


class JsonLines:
    """The events of a run as lines; people's text goes to stderr."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Write an event that programs read; the last line is written by the command."""
        if event["event"] in READ:
            write_event(event)
        elif event["event"] in SAID and (words := words_of(event)):
            click.echo(words, err=True)

    def close(self) -> None:
        """Leave nothing open."""


def write_event(event: Mapping[str, Any]) -> None:
    """Write one object with the version of the format first."""
    text = json.dumps({"v": VERSION, **_plain(event)}, allow_nan=False, ensure_ascii=False)
    click.echo(text)


def _plain(value: Any) -> Any:
    """Return what JSON can hold: NaN and infinity are null, paths are text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return str(value) if isinstance(value, PurePath) else repr(value)
