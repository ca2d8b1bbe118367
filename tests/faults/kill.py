"""Kill the real command with -9, run it again, compare with a run that was left alone.

Half of the moments are at a known place (packing, each stage after its second checkpoint,
detection and evaluation), the others at random times.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cluster.storage import open_store
from tests.faults.command import Command, checkpoints, last_step, records, torn
from tests.faults.page import EVERY

Due = Callable[[Command], bool]
STAGES = ("stage1", "stage2")


@dataclass(kw_only=True)
class Trial:
    """What was done to one run, and what is wrong with what it left."""

    moment: str
    killed: bool = False
    at_s: float = 0.0
    done_before: list[str] = field(default_factory=list[str])
    resumed: dict[str, int] = field(default_factory=dict[str, int])  # stage -> step gone on from
    lost: dict[str, int] = field(default_factory=dict[str, int])  # stage -> steps done twice
    wrong: list[str] = field(default_factory=list[str])


def _running(*nodes: str) -> Due:
    return lambda command: any(node in command.states("running") for node in nodes)


def _second_checkpoint(stage: str) -> Due:
    def due(command: Command) -> bool:
        key = command.key(stage)
        return key is not None and max([0, *checkpoints(command.store, key)]) >= 2 * EVERY

    return due


MOMENTS: dict[str, Due] = {
    "packing": _running("boxes", "labels", "pack_scenes"),
    "stage1, second checkpoint": _second_checkpoint("stage1"),
    "stage2, second checkpoint": _second_checkpoint("stage2"),
    "detection": _running("detect_scenes"),
    "evaluation": _running("evaluate"),
}


def kill_once(
    arguments: list[str],
    *,
    moment: str,
    alone: Path,
    store: Path,
    rng: random.Random,
    seconds: float,
) -> Trial:
    """Kill one run at a moment, finish it by the same command, and say what is wrong.

    Args:
        arguments: of `vocabox run`.
        moment: a name of MOMENTS, or "random".
        alone: the store of an undisturbed run.
        store: where this run is kept; its folder exists.
        rng: of random times, and of whether the driver or all of its session is killed.
        seconds: that the undisturbed run took.
    """
    trial = Trial(moment=moment)
    command = Command.start(arguments, store=store)
    started = time.monotonic()
    after = rng.uniform(0, 0.8 * seconds) if moment == "random" else 0.0
    due = MOMENTS.get(moment) or (lambda _: time.monotonic() - started >= after)
    while command.process.poll() is None and not due(command):
        time.sleep(0.005)
        command.hear()
    trial.at_s = round(time.monotonic() - started, 2)
    trial.killed = command.process.poll() is None
    command.kill(group=rng.random() < 0.5)
    trial.done_before = sorted(command.states("done"))
    if store.exists():
        trial.wrong += torn(open_store(str(store)))
    whole = {s: checkpoints(store, key) for s in STAGES if (key := command.key(s))}
    reached = {s: last_step(store, s) for s in STAGES}
    again = Command.start(arguments, store=store)
    if code := again.finish():
        trial.wrong.append(f"the same command ended with {code}")
        return trial
    trial.wrong += compare(store, alone=alone)
    if left := command.orphans():  # asked late: the same command must not wait for them
        trial.wrong.append(f"still alive: {left}")
    twice = [n for n in command.states("done") if n in again.states("running")]
    trial.wrong += [f"{name}: was done, and was done again" for name in twice]
    for stage, steps in whole.items():
        if steps and stage in again.states("running"):
            at = int(records(store)[stage].body["notes"]["resumed_at"])
            trial.resumed[stage], trial.lost[stage] = at, max(0, reached[stage] - at)
            if at < max(steps):  # a worker may live on for a moment, and leave one more
                trial.wrong.append(f"{stage} went on from {at}, not from {max(steps)}")
            if reached[stage] - at > 2 * EVERY:
                trial.wrong.append(f"{stage} lost {reached[stage] - at} steps")
    return trial


def compare(store: Path, *, alone: Path) -> list[str]:
    """Say which artifacts are torn, missing or other than those of the undisturbed run."""
    wanted = {name: record.digest for name, record in records(alone).items()}
    got = {name: record.digest for name, record in records(store).items()}
    other = [n for n, digest in wanted.items() if got.get(n) != digest]
    return [*(f"{n}: other bytes than undisturbed" for n in other), *torn(open_store(str(store)))]


def unbroken(arguments: list[str], *, store: Path) -> float:
    """Run without a fault; return the seconds it took."""
    started = time.monotonic()
    command = Command.start(arguments, store=store)
    if code := command.finish():
        raise SystemExit(f"the undisturbed run ended with {code}; see {store.parent}/stderr.txt")
    return time.monotonic() - started


def kill(
    folder: Path,
    *,
    arguments: list[str],
    times: int,
    seed: int,
    say: Callable[[str], None],
) -> list[Trial]:
    """Kill `times` runs and return what was found; half of them at the places of MOMENTS."""
    alone = folder / "alone" / "store"
    alone.parent.mkdir(parents=True)
    seconds = unbroken(arguments, store=alone)
    say(f"undisturbed: {seconds:.0f} s")
    trials: list[Trial] = []
    names = [name for name in MOMENTS for _ in range(2)]
    moments = [names[i // 2 % len(names)] if i % 2 == 0 else "random" for i in range(times)]
    for i, moment in enumerate(moments):
        store = folder / f"{i:03d}" / "store"
        store.parent.mkdir()
        trial = kill_once(
            arguments, moment=moment, alone=alone, store=store, seconds=seconds,
            rng=random.Random(f"{seed}/{i}"),
        )  # fmt: skip
        trials.append(trial)
        say(f"{i + 1}/{times} {moment}, {trial.at_s} s: {trial.wrong or 'whole'} {trial.resumed}")
    return trials
