"""Kill -9 of one worker of a training: the run goes on by itself and ends with the same bytes.

The training is stage I of a small page: under Ray Train, where the job starts its group again, or
(executor `inline`) in forked processes, where the graph runs the node again. Each rank at each
step first, from inside the loop; with Ray every fourth kill comes from outside at a random time.
"""

import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster.call import EXECUTORS
from cluster.session import open_session
from cluster.storage import open_store
from pipelines.graph.node import Graph, Node
from pipelines.graph.outcome import Outcome
from pipelines.graph.run import walk
from pipelines.runs.loading import load
from tests.faults import watched
from tests.pipelines.runs import tiny

STEPS, EVERY = 8, 2
RESTARTS_S = 240.0  # for the fault to have been met


@dataclass(kw_only=True)
class Trial:
    """What was done to one training, and what is wrong with what it left."""

    moment: str
    world: int = 2
    killed: bool = False
    seconds: float = 0.0
    starts: list[int] = field(default_factory=list[int])  # steps that rank 0 began at
    twice: int = 0  # steps of rank 0 done more than once
    wrong: list[str] = field(default_factory=list[str])


def graph(place: Path, *, world: int, local: bool) -> Graph:
    """Return stage I of the tiny page, watched, and what it needs."""
    settings = [
        f"stage1.steps={STEPS}", f"stage1.world={world}", f"run_on.stage1.workers={world}",
        f"run_on.stage1.local={str(local).lower()}", f"run_on.stage1.checkpoint_every={EVERY}",
    ]  # fmt: skip
    every = load(tiny.page(place), settings).graph.every()
    stage1 = next(node for node in every if node.name == "stage1")
    return Graph(nodes=(replace(stage1, fn=watched.classify),), recipe="joint")


def run(wanted: Graph, *, store: Path, executor: str) -> tuple[Outcome, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    calls = EXECUTORS[executor]()
    try:
        outcome = walk(wanted, store=open_store(str(store)), executor=calls, emit=events.append)
    finally:
        calls.close()
    return outcome, events


def prepared(place: Path) -> dict[int, str]:
    """Make shards once in `place/base`, train undisturbed; return the digest by world."""
    labels: Node = next(n for n in graph(place, world=1, local=True).every() if n.name == "labels")
    before = Graph(nodes=(labels,), recipe="joint")
    outcome, _ = run(before, store=place / "base", executor="in_process")
    assert outcome.code == 0, outcome
    found: dict[int, str] = {}
    for world in (1, 2):
        watched.clear(place, None)
        shutil.copytree(place / "base", place / f"alone{world}")
        alone = graph(place, world=world, local=True)
        outcome, _ = run(alone, store=place / f"alone{world}", executor="in_process")
        assert outcome.code == 0, outcome
        found[world] = outcome.nodes["stage1"].digest or ""
    return found


def kill_once(
    place: Path, moment: tuple[int, int] | float, *, world: int, executor: str, whole: str
) -> Trial:
    """Train once with a kill at (rank, step), or after so many effects; say what is wrong."""
    inside = isinstance(moment, tuple)
    name = f"rank {moment[0]} at step {moment[1]}" if inside else f"outside after {moment:.0f}"
    trial = Trial(moment=f"{name}, world {world}", world=world)
    store = place / "trial"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(place / "base", store)
    watched.clear(place, {"rank": moment[0], "step": moment[1]} if inside else None)
    begun = time.monotonic()
    killer = None if inside else _outside(place, int(moment), trial)
    wanted = graph(place, world=world, local=executor == "in_process")
    outcome, events = run(wanted, store=store, executor=executor)
    if killer is not None:
        killer.join()
    else:
        trial.killed = not (place / watched.FAULT).exists()
    trial.seconds = round(time.monotonic() - begun, 1)
    _look(place, trial, outcome, events, executor=executor, whole=whole)
    return trial


def _outside(place: Path, after: int, trial: Trial) -> threading.Thread:
    """Kill a worker, from another thread, once the log has so many lines of workers."""

    def wait() -> None:
        until = time.monotonic() + RESTARTS_S
        while time.monotonic() < until:
            lines = [line for line in watched.effects(place) if "rank" in line]
            if len(lines) >= after:
                try:
                    os.kill(lines[-1]["pid"], 9)
                except ProcessLookupError:
                    return
                trial.killed = True
                return
            time.sleep(0.005)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def _look(
    place: Path,
    trial: Trial,
    outcome: Outcome,
    events: list[dict[str, Any]],
    *,
    executor: str,
    whole: str,
) -> None:
    wrong, node = trial.wrong, outcome.nodes["stage1"]
    if outcome.code:
        wrong.append(f"ended with {outcome.code}: {node.error and node.error.text}")
        return
    if node.digest != whole:
        wrong.append("other weights than undisturbed")
    if outcome.nodes["labels"].state != "cached":
        wrong.append("the shards were made again")
    lines = watched.effects(place)
    begun = sum(line.get("node") == "stage1" for line in lines)
    if executor == "ray" and (begun != 1 or any(e["event"] == "retry" for e in events)):
        wrong.append(f"the node was begun {begun} times: the loss was not handled in the job")
    mine = [line for line in lines if line.get("rank") == 0]
    trial.starts = [line["start"] for line in mine if "start" in line]
    steps = Counter(line["step"] for line in mine if "step" in line)
    trial.twice = sum(times - 1 for times in steps.values())
    if set(steps) != set(range(1, STEPS)):
        wrong.append(f"steps not done: {set(range(1, STEPS)) - set(steps)}")
    if trial.killed and len(trial.starts) < 2 and trial.starts != [0]:
        wrong.append(f"it was not started again: {trial.starts}")
    again = [step for step, times in steps.items() if times > 1 and step <= trial.starts[-1]]
    if again:
        wrong.append(f"steps before the checkpoint {trial.starts[-1]} were done again: {again}")
    if trial.twice > 2 * EVERY:
        wrong.append(f"{trial.twice} steps were done twice")


def moments(times: int, seed: int, *, executor: str) -> list[tuple[Any, int]]:
    """Return (moment, world): all ranks and steps in a shuffled order, then random ones."""
    rng = random.Random(seed)
    every = [(rank, step) for rank in (0, 1) for step in range(STEPS)]
    rng.shuffle(every)
    found: list[tuple[Any, int]] = []
    for i in range(times):
        if executor == "ray" and i % 4 == 3:
            found.append((rng.uniform(2, 2 * STEPS), 2))
        else:
            moment = every.pop() if every else (rng.randrange(2), rng.randrange(STEPS))
            alone = executor == "ray" and i % 4 == 1  # one worker, under Ray only
            found.append(((0, moment[1]), 1) if alone else (moment, 2))
    return found


def kill(
    place: Path, *, times: int, seed: int, executor: str, say: Callable[[str], None]
) -> list[Trial]:
    """Kill a worker in `times` trainings and return what was found."""
    place.mkdir(parents=True, exist_ok=True)
    os.environ[watched.FOLDER] = str(place)  # before Ray starts: its workers have it too
    whole = prepared(place)
    if executor == "ray":
        with open_session("local", cpus=2):
            return _trials(place, whole, times=times, seed=seed, executor=executor, say=say)
    return _trials(place, whole, times=times, seed=seed, executor="in_process", say=say)


def _trials(
    place: Path,
    whole: dict[int, str],
    *,
    times: int,
    seed: int,
    executor: str,
    say: Callable[[str], None],
) -> list[Trial]:
    trials: list[Trial] = []
    for moment, world in moments(times, seed, executor=executor):
        trial = kill_once(place, moment, world=world, executor=executor, whole=whole[world])
        trials.append(trial)
        said = trial.wrong or f"whole, began at {trial.starts}"
        say(f"{len(trials)}/{times} {trial.moment}, {trial.seconds} s: {said}")
    return trials
