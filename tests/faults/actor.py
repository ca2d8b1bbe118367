"""Kill -9 of actors of a pool, and of the node above it: each item once, the same bytes.

A node squares items by a pool of two actors. The item at which an actor dies is enumerated: when
it begins, or when its result stands and is not yet answered. With Ray every fourth kill takes the
node's own process, after which the graph runs the node again and what is done stays.
"""

import json
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.actors import Pool, Shard, over_shards
from cluster.session import open_session
from cluster.shard_folders import ShardFolders
from pipelines.graph.artifact import FILES
from pipelines.graph.node import Graph, Node, RunOn, Task
from tests.faults import watched
from tests.faults.worker import run

ITEMS, SLEEP_S = 60, 0.05
NODE_S = 60.0  # for a kill of the node to come


@dataclass(frozen=True, kw_only=True, slots=True)
class Items:
    count: int = ITEMS


@dataclass(kw_only=True)
class Trial:
    """What was done to one pool, and what is wrong with what it left."""

    moment: str
    killed: bool = False
    seconds: float = 0.0
    made: int = 0  # items of which work began, of all attempts together
    wrong: list[str] = field(default_factory=list[str])


def load(power: Any) -> int:
    watched.note(load=power)
    return power


def square(power: int, value: dict[str, Any]) -> dict[str, Any]:
    """Make the file of an item, unless it is there."""
    item, kept = value["item"], ShardFolders(Path(value["root"]))
    name = f"{item:03d}"
    if kept.done(name) is None:
        watched.note(begin=item)
        watched.die_if(begin=item)
        time.sleep(SLEEP_S)
        with kept.filling(name) as draft:
            (draft / "value.json").write_text(json.dumps(item**power))
        watched.note(end=item)
    watched.die_if(end=item)
    return {"item": item, "pid": os.getpid()}


def pooled(task: Task) -> dict[str, object]:
    watched.note(node="pooled")
    kept = ShardFolders(task.scratch / "shards")
    kept.clear_drafts()
    every = [
        Shard(name=f"{i:03d}", value={"item": i, "root": str(kept.root)})
        for i in range(task.cfg.count)
    ]
    todo, on = kept.missing(every), task.run_on
    pool = Pool(actors=on.workers, cpus=on.cpus_per_worker, local=on.local)
    answered: list[int] = []
    with over_shards(
        square, todo, start=load, arg=2, pool=pool, name="pooled", say=task.say,
        before=len(every) - len(todo), asked=task.asked,
    ) as done:  # fmt: skip
        answered.extend(each.value["item"] for each in done)
    watched.note(answered=answered)
    kept.gather(every, out=task.out)
    return {}


def graph(*, local: bool) -> Graph:
    on = RunOn(workers=2, local=local)
    return Graph(nodes=(Node(name="pooled", fn=pooled, cfg=Items(), makes=FILES, run_on=on),),
                 recipe="pool")  # fmt: skip


def kill_once(
    place: Path, fault: dict[str, int] | int, *, executor: str, whole: str | None
) -> tuple[Trial, str]:
    """Run the node once with a fault: an actor at an item, or the node after so many items."""
    inside = isinstance(fault, dict)
    moment = " ".join(f"{k} {v}" for k, v in fault.items()) if inside else f"node after {fault}"
    trial = Trial(moment=moment)
    store = place / "trial"
    shutil.rmtree(store, ignore_errors=True)
    watched.clear(place, fault if inside else None)
    begun = time.monotonic()
    killer = None if inside else _node_killer(place, fault, trial)
    outcome, _ = run(graph(local=executor == "in_process"), store=store, executor=executor)
    if killer is not None:
        killer.join()
    else:
        trial.killed = not (place / watched.FAULT).exists()
    trial.seconds = round(time.monotonic() - begun, 1)
    node, lines = outcome.nodes["pooled"], watched.effects(place)
    if outcome.code:
        trial.wrong.append(f"ended with {outcome.code}: {node.error and node.error.text}")
    elif whole is not None and node.digest != whole:
        trial.wrong.append("other bytes than undisturbed")
    ends = Counter(line["end"] for line in lines if "end" in line)
    begins = Counter(line["begin"] for line in lines if "begin" in line)
    trial.made = sum(begins.values())
    at_work = 1 if inside else 2  # what a kill of the node takes: both actors go with it
    untold = [i for i in range(ITEMS) if not ends[i] and begins[i] == 1]
    told = 0 if inside else at_work  # kept, and killed before it was noted: whole, or bytes differ
    twice = sorted(i for i, times in ends.items() if times != 1)
    never = [i for i in range(ITEMS) if not ends[i] and i not in untold]
    if twice or never or len(untold) > told:
        trial.wrong.append(f"items not done exactly once: {twice}, {never}, {untold}")
    if trial.made > ITEMS + at_work:
        trial.wrong.append(f"{trial.made} items were begun")
    answered = [line["answered"] for line in lines if "answered" in line]
    if not answered or len(answered[-1]) != len(set(answered[-1])):
        trial.wrong.append("an item came back twice")
    nodes = sum("node" in line for line in lines)
    if nodes != (1 if inside or not trial.killed else 2):
        trial.wrong.append(f"the node was begun {nodes} times")
    return trial, node.digest or ""


def _node_killer(place: Path, after: int, trial: Trial) -> threading.Thread:
    """Kill the node's own process, from another thread, once so many items are done."""

    def wait() -> None:
        until = time.monotonic() + NODE_S
        while time.monotonic() < until:
            lines = watched.effects(place)
            if sum("end" in line for line in lines) >= after:
                node = next(line["pid"] for line in lines if "node" in line)
                os.kill(node, 9)
                trial.killed = True
                return
            time.sleep(0.005)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def kill(
    place: Path, *, times: int, seed: int, executor: str, say: Callable[[str], None]
) -> list[Trial]:
    """Kill in `times` pools and return what was found."""
    place.mkdir(parents=True, exist_ok=True)
    os.environ[watched.FOLDER] = str(place)
    if executor == "ray":
        with open_session("local", cpus=2):
            return trials(place, times=times, seed=seed, executor="ray", say=say)
    return trials(place, times=times, seed=seed, executor="in_process", say=say)


def trials(
    place: Path, *, times: int, seed: int, executor: str, say: Callable[[str], None]
) -> list[Trial]:
    """Do the same on a session that is open; `FOLDER` is in the environment of its workers."""
    rng = random.Random(seed)
    alone, whole = kill_once(place, {"begin": -1}, executor=executor, whole=None)
    assert not alone.wrong, alone.wrong
    found: list[Trial] = []
    for i in range(times):
        fault: dict[str, int] | int = {("begin", "end")[i % 2]: rng.randrange(ITEMS)}
        if executor == "ray" and i % 4 == 3:
            fault = rng.randrange(2, ITEMS - 6)
        trial, _ = kill_once(place, fault, executor=executor, whole=whole)
        found.append(trial)
        said = trial.wrong or f"whole, {trial.made} begun"
        say(f"{len(found)}/{times} {trial.moment}, {trial.seconds} s: {said}")
    return found
