"""Events of a run: one JSON object a line, written before anything else is told of them.

A fault here (disk full, folder gone) never reaches the run: it is kept as text and said at the end.
"""

import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

VERSION = 1
TAIL_BYTES = 1 << 20


@final
class Events:
    """Append to a run's `events.jsonl`. Any thread may call it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._faults: list[str] = []

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def fault(self) -> str | None:
        """Say why events are missing from the file, if any are."""
        if not self._faults:
            return None
        return f"{self._path}: {len(self._faults)} events were not written; got {self._faults[0]}."

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event as a whole line, with its version and the time (seconds since 1970)."""
        try:
            line = json.dumps(
                _plain({"v": VERSION, "time": round(time.time(), 3), **event}),
                ensure_ascii=False,
                allow_nan=False,
                separators=(",", ":"),
            )
            with self._lock:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab") as file:
                    if file.tell() and not _ends_a_line(self._path):
                        file.write(b"\n")  # a half line of a writer that died stays alone
                    file.write(line.encode() + b"\n")
        except (OSError, TypeError, ValueError) as error:
            self._faults.append(f"{type(error).__name__}: {error}")


def read_events(
    path: Path, *, offset: int = 0, limit: int = 1 << 22
) -> tuple[list[dict[str, Any]], int]:
    """Return the events in whole lines from byte `offset` on, and the offset after them.

    At most about `limit` bytes are read. A line that is no JSON object is passed over; a last line
    without its end is left for the next time.
    """
    if not path.is_file():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(limit)
        if not data.endswith(b"\n"):
            data += file.readline()
    whole = data[: data.rfind(b"\n") + 1]
    events: list[dict[str, Any]] = []
    for line in whole.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events, offset + len(whole)


def every_event(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events in the whole lines of a file, a part of it at a time.

    A line that a driver wrote after another one had taken its run over is passed over.
    """
    epoch = 0
    part, offset = read_events(path)
    while part:
        for event in part:
            if event.get("epoch", epoch) >= epoch:
                epoch = event.get("epoch", epoch)
                yield event
        part, offset = read_events(path, offset=offset)


def is_finished(path: Path) -> bool:
    """Say whether the last whole line is the event `finished`."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = file.read()
    whole = tail[: tail.rfind(b"\n")]
    try:
        event = json.loads(whole[whole.rfind(b"\n") + 1 :])
    except ValueError:
        return False
    return isinstance(event, dict) and event.get("event") == "finished"


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _plain(value: Any) -> Any:
    """Turn a value into what JSON has; a number that is none becomes null, a stranger its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "item"):  # numbers of numpy and torch
        return _plain(value.item())
    return str(value)
