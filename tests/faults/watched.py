"""Bodies that tell a log outside the store what they do, and die once where a fault file says.

The log is one line an effect, appended; a fault file is consumed by being named away, so that
only one process dies of it.
"""

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.workers import Group
from components.train.snapshot import Loaded
from pipelines.graph.node import Task
from pipelines.nodes import train
from pipelines.nodes.train import _train, classify_worker

FOLDER = "VOCABOX_FAULTS_FOLDER"  # environment of driver and workers: where log and fault lie
PLANTED = "VOCABOX_FAULTS_PLANTED"  # what a restart forgets: optimizer, checkpoint
LOG, FAULT = "effects.jsonl", "fault.json"


def folder() -> Path:
    return Path(os.environ[FOLDER])


def note(**what: Any) -> None:
    """Append one line; a kill leaves it whole or leaves none."""
    handle = os.open(folder() / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, json.dumps({**what, "pid": os.getpid()}).encode() + b"\n")
    os.close(handle)


def effects(place: Path) -> list[dict[str, Any]]:
    log = place / LOG
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def clear(place: Path, fault: Mapping[str, Any] | None) -> None:
    """Begin a trial: an empty log, and what is to die where (None: nothing)."""
    for name in (LOG, FAULT, f"{FAULT}.done"):
        (place / name).unlink(missing_ok=True)
    if fault is not None:
        (place / FAULT).write_text(json.dumps(fault))


def die_if(**here: Any) -> None:
    """Kill this process with -9 where the fault file says so, once."""
    try:
        wanted = json.loads((folder() / FAULT).read_text())
        if wanted != here:
            return
        (folder() / FAULT).rename(folder() / f"{FAULT}.done")
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _machine() -> str:
    """Return the raylet of this process; none without Ray."""
    if "RAY_RAYLET_PID" not in os.environ:
        return ""
    import ray

    return ray.get_runtime_context().get_node_id()


def classify(task: Task) -> dict[str, Any]:
    """Stage I as the product trains it, each worker watched."""
    note(node="stage1")
    return _train(task, watched_worker, ("labels",))


def _plant(what: str) -> None:
    """Forget something at a restart, in this worker's process: a fault that must be found."""
    if what == "optimizer":
        Loaded.fill = _nothing
    if what == "checkpoint":
        train.newest = _nothing


def _nothing(*_: Any, **__: Any) -> None:
    return


def watched_worker(arg: Mapping[str, Any], group: Group) -> dict[str, Any]:
    """Count the steps of one rank by what the loop asks after each, and die at one."""
    step = 0
    _plant(os.environ.get(PLANTED, ""))

    def share(found: Any) -> Any:
        nonlocal step
        found = group.share(found)
        step = 0 if found is None else found.step
        note(rank=group.rank, start=step, machine=_machine())
        die_if(rank=group.rank, step=step)
        return found

    def asked() -> bool:
        nonlocal step
        step += 1
        note(rank=group.rank, step=step)
        die_if(rank=group.rank, step=step)
        return group.asked()

    return classify_worker(arg, replace(group, share=share, asked=asked))
