"""Tracking of a run by a child process that reads its events: the run never waits for it.

MLflow is imported there only. A server that is down, slow or refuses costs the run nothing; what
was not sent is counted, and sent when the sender is started again for the same run.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

EVENTS = "events.jsonl"
SENT = "sent.json"
LOG = "sender.log"

SENDER_ENVIRONMENT = {  # read by MLflow when it is imported
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the sender tries again by itself, and finds first
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "OMP_NUM_THREADS": "1",
}
GIVE_UP_S = 600.0  # how long a sender tries to reach a server after its run has ended
AWAY_S = 3.0  # after the end of a run, for two more attempts at a server that is away


@final
@dataclass
class Sender:
    """A child that sends a run's events; `fault` says why there is none, or what it met."""

    run_dir: Path
    uri: str
    process: "subprocess.Popen[bytes] | None" = None
    fault: str | None = None

    def close(self, *, patience_s: float = 20.0) -> int:
        """Wait until the child has sent everything and ended; return how many events are unsent.

        After `patience_s` seconds, or AWAY_S without a server, the child is left to itself: it
        goes on for a while and ends on its own.
        """
        if self.process is None:
            return unsent(self.run_dir)
        asked, begun = time.time(), time.monotonic()
        while self.process.poll() is None and time.monotonic() - begun < patience_s:
            if time.monotonic() - begun >= AWAY_S and self._failed_since(asked):
                break
            time.sleep(0.05)
        left = unsent(self.run_dir)
        if left and self.fault is None:
            self.fault = self._words(left)
        return left

    def _failed_since(self, moment: float) -> bool:
        try:
            told = (self.run_dir / SENT).stat().st_mtime
        except OSError:
            return False
        return told >= moment and tracking_fault(self.run_dir) is not None

    def _words(self, left: int) -> str:
        why = tracking_fault(self.run_dir)
        if self.process is not None and self.process.poll() is None:
            got = why or "no answer yet"
            minutes = GIVE_UP_S / 60
            do = f"A process in the background goes on, until {minutes:g} minutes bring no answer."
        else:
            got = why or f"the sender ended, see {self.run_dir / LOG}"
            do = "The next run of this config in this store sends them."
        return f"tracking: {left} events are not sent to {self.uri}; got {got.rstrip('.')}. {do}"


def default_uri(store: Path) -> str:
    """Name the tracking database inside a local store."""
    return f"sqlite:///{store.resolve() / 'mlflow.db'}"


def start_sender(
    run_dir: Path,
    uri: str,
    experiment: str,
    *,
    give_up_s: float = GIVE_UP_S,
    silence_s: float = 5.0,
    answer_s: int = 30,
) -> Sender:
    """Start sending what is and will be in `run_dir/events.jsonl`. Never raises.

    Append the run's first event before. The child ends after the event `finished`; when this
    process is gone and nothing new came for `silence_s` seconds; or, with nothing more to come,
    when the server could not be reached for `give_up_s` seconds. A server that has not answered a
    request after `answer_s` seconds is away.
    """
    here = str(Path(__file__).parents[1])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "cluster.sender", str(run_dir.resolve()), experiment]
    numbers = [f"--driver={os.getpid()}", f"--give-up={give_up_s}", f"--silence={silence_s}"]
    environment = {
        **os.environ,
        **SENDER_ENVIRONMENT,
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(answer_s),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    try:
        with (run_dir / LOG).open("ab") as log:
            process = subprocess.Popen(
                [*command, *numbers],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=run_dir,
                start_new_session=True,  # Ctrl-C is for the run, not for its record
            )
    except OSError as error:
        return Sender(run_dir, uri, fault=f"tracking: the sender did not start; got {error}.")
    return Sender(run_dir, uri, process)


def read_sent(run_dir: Path) -> dict[str, Any]:
    """Return what the sender remembers of a run: offset, ids, faults; empty if nothing yet."""
    try:
        found = json.loads((run_dir / SENT).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_sent(run_dir: Path, sent: dict[str, Any]) -> None:
    """Write what the sender remembers, whole or not at all."""
    draft = run_dir / f"{SENT}.{os.getpid()}"
    with draft.open("w") as file:
        json.dump(sent, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(run_dir / SENT)


def unsent(run_dir: Path) -> int:
    """Count the events of a run, and the files they name, that tracking has not got."""
    sent = read_sent(run_dir)
    try:
        with (run_dir / EVENTS).open("rb") as file:
            file.seek(int(sent.get("offset", 0)))
            events = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except (OSError, ValueError):
        return 0
    return events + len(sent.get("files", []))


def tracking_fault(run_dir: Path) -> str | None:
    """Say why events are unsent, in the words of the last attempt."""
    fault = read_sent(run_dir).get("fault")
    return str(fault) if fault else None


def refusals(run_dir: Path) -> str | None:
    """Say how many values the server has refused for good, and why the first, if any."""
    sent = read_sent(run_dir)
    if not sent.get("refused"):
        return None
    first = str(sent.get("first_refusal")).rstrip(".")
    count, place = sent["refused"], run_dir / EVENTS
    return f"tracking: MLflow refused {count} values; the first: {first}. All are in {place}."
