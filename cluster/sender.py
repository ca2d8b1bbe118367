"""Send a run's events to MLflow: `python -m cluster.sender RUN_DIR URI EXPERIMENT`.

A child of the driver, started by `track.start_sender`. It alone writes `sent.json`; after a crash
the next one goes on from there.
"""

import argparse
import copy
import fcntl
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.journal import is_finished, read_events
from cluster.track import EVENTS, read_sent, write_sent

PAUSE_S = 0.5  # between two looks at the file
LONGEST_PAUSE_S = 30.0  # between two attempts to reach the server
LOCK_S = 60.0  # to wait for an earlier sender of the same run
UNREACHED = 3  # exit code


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """When to stop, in seconds."""

    driver: int  # process id of the parent
    give_up_s: float
    silence_s: float


def main(arguments: list[str]) -> int:
    """Send until the run is finished or its driver is gone; return an exit code."""
    parser = argparse.ArgumentParser(prog="cluster.sender")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("uri")
    parser.add_argument("experiment")
    parser.add_argument("--driver", type=int, default=0)
    parser.add_argument("--give-up", type=float, default=15.0)
    parser.add_argument("--silence", type=float, default=5.0)
    given = parser.parse_args(arguments)
    terms = Terms(driver=given.driver, give_up_s=given.give_up, silence_s=given.silence)
    with (given.run_dir / "sender.lock").open("w") as lock:
        if not _hold(lock):
            return UNREACHED
        return follow(given.run_dir, given.uri, given.experiment, terms=terms)


def follow(run_dir: Path, uri: str, experiment: str, *, terms: Terms) -> int:
    """Send what is in the file and what comes, until it ends by one of `terms`."""
    path = run_dir / EVENTS
    memory: dict[str, Any] = read_sent(run_dir)
    if memory.get("uri") != uri:  # another server knows nothing yet
        memory = {"v": 1, "uri": uri, "offset": 0}
    sink: Any = None
    finished, failing_since, heard = is_finished(path), 0.0, time.monotonic()
    while True:
        alone = os.getppid() != terms.driver
        events, offset = read_events(path, offset=memory["offset"])
        now = time.monotonic()
        if offset != memory["offset"]:
            before = copy.deepcopy(memory)
            try:
                sink = sink or _sink(uri, experiment, run_dir, memory)
                sink.send(events)
            except Exception as error:
                sink, memory = None, before  # what was sent will be found again
                _remember(run_dir, memory, fault=f"{type(error).__name__}: {error}"[:500])
                failing_since = failing_since or now
                over = alone or is_finished(path)
                if over and now - failing_since >= terms.give_up_s:
                    return UNREACHED
                time.sleep(min(LONGEST_PAUSE_S, max(PAUSE_S, terms.give_up_s / 3)))
            else:
                memory["offset"] = offset
                _remember(run_dir, memory, fault=None)
                finished = bool(events) and events[-1].get("event") == "finished"
                failing_since, heard = 0.0, now
        elif finished:
            return 0
        elif alone and now - heard >= terms.silence_s:
            return _abandon(sink, run_dir, memory)
        else:
            time.sleep(PAUSE_S)


def _sink(uri: str, experiment: str, run_dir: Path, memory: dict[str, Any]) -> Any:
    from cluster.mlflow_sink import MlflowSink

    return MlflowSink(uri, experiment, store=run_dir.parent.parent, memory=memory)


def _abandon(sink: Any, run_dir: Path, memory: dict[str, Any]) -> int:
    """Close the run in MLflow: its driver is gone. A later driver opens it again."""
    try:
        if sink is not None:
            sink.abandon(int(time.time() * 1000))
    except Exception as error:
        _remember(run_dir, memory, fault=f"{type(error).__name__}: {error}"[:500])
        return UNREACHED
    _remember(run_dir, memory, fault=None)
    return 0


def _remember(run_dir: Path, memory: dict[str, Any], *, fault: str | None) -> None:
    memory["fault"] = fault
    write_sent(run_dir, memory)


def _hold(lock: Any) -> bool:
    until = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(PAUSE_S)
        else:
            return True


if __name__ == "__main__":
    os.nice(5)  # training comes first
    sys.exit(main(sys.argv[1:]))
