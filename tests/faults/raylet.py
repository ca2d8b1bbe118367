"""Kill -9 of a raylet that is not the head while the real command runs on its cluster.

A head without CPUs and two raylets of one; one that is at work is killed, and one is added back.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cluster.storage import open_store
from tests.cluster.small_cluster import SmallCluster
from tests.faults.command import Command, torn
from tests.faults.kill import compare

LOST_S = 60.0  # to notice a lost machine, and to start its work again, on a busy one


@dataclass(kw_only=True)
class RayletTrial:
    """One run during which a raylet was lost, and what is wrong with what it left."""

    how: str
    at_s: float
    killed: bool = False
    running: list[str] = field(default_factory=list[str])  # at that moment
    lost: list[str] = field(default_factory=list[str])  # what worked on the machine that went
    retried: list[str] = field(default_factory=list[str])  # begun once more
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list[str])


def on_cluster(arguments: list[str], cluster: SmallCluster, *, store: Path) -> Command:
    """Start `vocabox run` as a driver of a cluster."""
    there = [*arguments, "--address", cluster.gcs]
    return Command.start(there, store=store, environment=cluster.environment)


def lose_one(
    arguments: list[str],
    cluster: SmallCluster,
    *,
    alone: Path,
    store: Path,
    rng: random.Random,
    seconds: float,
    while_running: str = "",
    how: Literal["kill", "lose"] = "lose",
) -> RayletTrial:
    """Kill a raylet in the middle of one run, add one, and say what is wrong in the end.

    Args:
        arguments: of `vocabox run`.
        cluster: where it runs; ends with as many raylets as it began with.
        alone: the store of an undisturbed run there.
        store: where this run is kept; its folder exists.
        rng: of the moment.
        seconds: that the undisturbed run took.
        while_running: a node to wait for before the moment; empty: any time.
        how: kill the raylet alone (its workers may end their work), or all of the machine.
    """
    command = on_cluster(arguments, cluster, store=store)
    started = time.monotonic()
    while while_running and command.process.poll() is None:
        command.hear()
        if while_running in command.states("running") and cluster.tell("busy"):
            break
        time.sleep(0.05)
    until = time.monotonic() + rng.uniform(0.02, 0.15 if while_running else 0.7) * seconds
    while command.process.poll() is None and time.monotonic() < until:
        command.hear()
        time.sleep(0.02)
    while command.process.poll() is None and not cluster.tell("busy"):
        time.sleep(0.02)  # a node may be told of half a minute before its workers are there
    command.hear()
    trial = RayletTrial(how=how, at_s=round(time.monotonic() - started, 2))
    trial.killed = command.process.poll() is None
    ended = command.states("done")
    trial.running = sorted((command.states("running") - ended).keys())
    trial.lost = cluster.tell(how)["lost"]
    cluster.tell("add")
    if code := command.finish(timeout=10 * seconds + LOST_S):
        trial.wrong.append(f"it ended with {code}")
    trial.seconds = round(time.monotonic() - started, 1)
    begun = command.states("running")
    trial.retried = sorted(command.retries)
    if not trial.wrong:
        trial.wrong += compare(store, alone=alone)
    trial.wrong += torn(open_store(str(store)))
    trial.wrong += [f"{n}: was done, and was begun again" for n in ended if begun[n] > 1]
    return trial


def lose_raylets(
    folder: Path,
    cluster: SmallCluster,
    *,
    arguments: list[str],
    times: int,
    seed: int,
    say: Callable[[str], None],
) -> list[RayletTrial]:
    """Lose a raylet in each of `times` runs; return what was found."""
    alone = folder / "alone" / "store"
    alone.parent.mkdir(parents=True)
    started = time.monotonic()
    command = on_cluster(arguments, cluster, store=alone)
    if code := command.finish():
        raise SystemExit(f"the undisturbed run ended with {code}; see {alone.parent}/stderr.txt")
    seconds = time.monotonic() - started
    say(f"undisturbed: {seconds:.0f} s")
    trials: list[RayletTrial] = []
    for i in range(times):
        store = folder / f"{i:03d}" / "store"
        store.parent.mkdir()
        trial = lose_one(
            arguments, cluster, alone=alone, store=store, seconds=seconds,
            rng=random.Random(f"{seed}/{i}"), while_running="stage2" if i % 2 == 0 else "",
            how="kill" if i % 4 == 3 else "lose",
        )  # fmt: skip
        trials.append(trial)
        say(f"{i + 1}/{times} {trial.how} at {trial.at_s} s, lost {trial.lost}: "
            f"{trial.wrong or 'whole'}; again {trial.retried}; {trial.seconds} s")  # fmt: skip
    return trials
