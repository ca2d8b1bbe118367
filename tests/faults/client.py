"""Kill -9 of the terminal that sent `first_run` to a small cluster, at several moments of the run.

The job goes on; the same command follows it again, and in the end nothing was done twice.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cluster.journal import read_events
from tests.cluster.small_cluster import ROOT, SmallCluster

CLI = (sys.executable, "-m", "pipelines.cli.entry")
PAGE = ROOT / "configs" / "first_run.yaml"
PATIENCE_S = 1800.0  # of a machine of two CPUs that does other things too


@dataclass(kw_only=True)
class Sent:
    """One run that outlived its clients, and what is wrong with it."""

    kills: int = 0
    seconds: float = 0.0
    nodes: int = 0
    again: str = ""  # what a client says after the end
    wrong: list[str] = field(default_factory=list[str])


def lose_clients(
    folder: Path, cluster: SmallCluster, *, times: int, seed: int, say: Callable[[str], None]
) -> Sent:
    """Send `first_run`, kill `times` clients one after the other, follow it to its end.

    Args:
        folder: for the store; empty.
        cluster: whose machines have two CPUs each, as `draw` of that page wants.
        times: how many clients are killed.
        seed: of the moments, counted from the first line that each one writes.
        say: told of every step.
    """
    line = ["submit", str(PAGE), "--address", cluster.url, "--store", str(folder / "store")]
    rng, sent, begun = random.Random(seed), Sent(), time.monotonic()
    for _ in range(times):
        client = _start(cluster, line)
        assert client.stdout is not None
        first = client.stdout.readline()
        time.sleep(rng.uniform(5, 40))
        sent.kills += client.poll() is None
        os.killpg(client.pid, signal.SIGKILL)
        client.communicate()
        say(f"{time.monotonic() - begun:.0f} s: killed a client; it said {first.strip()!r}")
    last = _start(cluster, line)
    said, _ = last.communicate(timeout=PATIENCE_S)
    sent.seconds = round(time.monotonic() - begun, 1)
    if last.returncode != 0 or "already running" not in said.splitlines()[0]:
        sent.wrong.append(f"the last client ended with {last.returncode}: {said[-2000:]}")
    sent.again = _start(cluster, line).communicate(timeout=PATIENCE_S)[0].splitlines()[0]
    sent.wrong += [] if "already done" in sent.again else [f"after its end: {sent.again}"]
    asked = ["status", "--address", cluster.url, "--json"]
    told = [json.loads(one) for one in _start(cluster, asked).communicate()[0].splitlines()]
    if [(one["status"], one["attempt"]) for one in told] != [("done", 1)]:
        sent.wrong.append(f"jobs: {told}")
    places = sorted((folder / "store" / "runs").iterdir())
    events = [event for place in places for event in read_events(place / "events.jsonl")[0]]
    states = Counter((e["node"], e["state"]) for e in events if e.get("event") == "node")
    sent.nodes = sum(state == "done" for _, state in states)
    sent.wrong += [f"{len(places)} runs"] if len(places) != 1 else []
    sent.wrong += [f"{node}: {count} times {state}" for (node, state), count in states.items()
                   if state in ("running", "done") and count != 1]  # fmt: skip
    return sent


def _start(cluster: SmallCluster, line: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*CLI, *line], env=dict(cluster.environment), stdout=subprocess.PIPE, text=True,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
