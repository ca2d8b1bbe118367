"""Tracking of a run by a child process that reads its events: the run never waits for it.

MLflow is imported there only. A server that is down, slow or refuses costs the run nothing; what
was not sent is counted, and sent when the sender is started again for the same run.
"""

import json
import os
import subprocess
import sys
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
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the sender tries again by itself
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "OMP_NUM_THREADS": "1",
}


@final
@dataclass
class Sender:
    """A child that sends a run's events; `fault` says why there is none."""

    run_dir: Path
    uri: str
    process: "subprocess.Popen[bytes] | None" = None
    fault: str | None = None

    def close(self, *, patience_s: float = 20.0) -> int:
        """Wait until the child has sent everything and ended; return how many events are unsent.

        After `patience_s` seconds the child is left to itself: it ends on its own.
        """
        if self.process is not None:
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.fault = f"tracking: {self.uri} is slow; still sending in the background."
        return unsent(self.run_dir)


def default_uri(store: Path) -> str:
    """Name the tracking database inside a local store."""
    return f"sqlite:///{store.resolve() / 'mlflow.db'}"


def start_sender(
    run_dir: Path, uri: str, experiment: str, *, give_up_s: float = 15.0, silence_s: float = 5.0
) -> Sender:
    """Start sending what is and will be in `run_dir/events.jsonl`. Never raises.

    Append the run's first event before. The child ends after the event `finished`; when this
    process is gone and nothing new came for `silence_s` seconds; or, with nothing more to come,
    when the server could not be reached for `give_up_s` seconds.
    """
    here = str(Path(__file__).parents[1])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "cluster.sender", str(run_dir.resolve()), uri, experiment]
    numbers = [f"--driver={os.getpid()}", f"--give-up={give_up_s}", f"--silence={silence_s}"]
    environment = {**os.environ, **SENDER_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
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
    """Count the events of a run that tracking has not got."""
    try:
        with (run_dir / EVENTS).open("rb") as file:
            file.seek(int(read_sent(run_dir).get("offset", 0)))
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except (OSError, ValueError):
        return 0


def tracking_fault(run_dir: Path) -> str | None:
    """Say why events are unsent, in the words of the last attempt."""
    fault = read_sent(run_dir).get("fault")
    return str(fault) if fault else None
