"""Kill -9 of a raylet that is not the head while the real command runs on its cluster.

A head without CPUs and two raylets of one; one that is at work is killed, and one is added back.
`lose_from_toys` does it to a graph that does nothing but count itself: ten in some minutes.
"""

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cluster.storage import open_store
from tests.cluster.small_cluster import SmallCluster
from tests.faults.command import Command, torn
from tests.faults.driver import artifacts, begun, start
from tests.faults.kill import compare
from tests.faults.toy import COUNT

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


def lose_from_toys(
    folder: Path, cluster: SmallCluster, *, times: int, seed: int, say: Callable[[str], None]
) -> list[RayletTrial]:
    """Lose `times` raylets that are at work, two in a run of the toy; return a trial each.

    Two are as often as a node is begun again. The first goes while machines are asked whether
    they see the store, the other while a node is at work. What is wrong with a run stands at
    its last trial. Bodies are counted in COUNT, a file in the environment of the cluster.
    """
    count = Path(cluster.environment[COUNT])
    code, whole = _toy(folder / "alone", cluster).wait(300), artifacts(folder / "alone" / "store")
    if code:
        raise SystemExit(f"the undisturbed run ended with {code}; see {folder}/alone")
    trials: list[RayletTrial] = []
    while len(trials) < times:
        rng, place = random.Random(f"{seed}/{len(trials)}"), folder / f"{len(trials):03d}"
        count.unlink()
        process = _toy(place, cluster)
        some = [_lose_from(process, cluster, rng, at=at) for at in (None, count)]
        code, got, names = process.wait(300), artifacts(place / "store"), begun(count)
        again = [name for name in sorted(set(names)) if names.count(name) > 1]
        wrong = [f"it ended with {code}"] if code else []
        wrong += [f"{name}: {got.get(name)}" for name in whole if got.get(name) != whole[name]]
        wrong += (
            [f"{names} began"] if len(names) > len(whole) + sum(len(t.lost) for t in some) else []
        )
        some[-1].retried, some[-1].wrong = again, wrong
        trials += some
        lost = [trial.lost for trial in some]
        say(f"{len(trials)}/{times} lost {lost}; again {again}; {wrong or 'whole'}")
    return trials


def _toy(folder: Path, cluster: SmallCluster) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True)
    more = ["--address", cluster.gcs, "--seconds", "1"]
    return start(folder, "ray", more=more, environment=cluster.environment)


def _lose_from(
    process: "subprocess.Popen[bytes]",
    cluster: SmallCluster,
    rng: random.Random,
    *,
    at: Path | None,
) -> RayletTrial:
    begin = time.monotonic()
    while process.poll() is None and not (begun(at) if at else cluster.tell("busy")):
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.5) if at else 0.0)
    how: Literal["kill", "lose"] = "kill" if rng.random() < 0.25 else "lose"
    trial = RayletTrial(how=how, at_s=round(time.monotonic() - begin, 2))
    trial.killed = process.poll() is None
    trial.lost = cluster.tell(how)["lost"]
    cluster.tell("add")
    return trial
