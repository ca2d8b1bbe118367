"""The driver of a small run killed with -9 at random moments, again and again, until it is done.

Bodies count themselves outside of the store: what was finished when a driver was killed must not
begin again. While it lasts another process reads every artifact that it can see.
"""

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.storage import open_store
from pipelines.graph.record import faults, read_record
from tests.faults.command import ROOT
from tests.faults.toy import COUNT

PER_RUN = 5  # kills of one run before it may come to its end
TRAIN_EVERY = 5  # every fifth run has a Ray Train node


@dataclass(kw_only=True)
class Killed:
    """One run: how often its driver was killed, and what is wrong with what it left."""

    kills: int = 0
    at_s: list[float] = field(default_factory=list[float])
    executor: str = "ray"
    train: bool = False
    begun: dict[str, int] = field(default_factory=dict[str, int])
    wrong: list[str] = field(default_factory=list[str])


def drivers(
    folder: Path, *, times: int, seed: int, executor: str, say: Callable[[str], None]
) -> list[Killed]:
    """Kill drivers `times` times in all and return what was found, a run each."""
    whole: dict[bool, tuple[dict[str, str], float]] = {}
    found: list[Killed] = []
    left, number = times, 0
    while left > 0:
        train = executor == "ray" and number % TRAIN_EVERY == TRAIN_EVERY - 1
        if train not in whole:
            whole[train] = _alone(folder / f"alone-{train}", executor, train=train)
        digests, seconds = whole[train]
        kills = min(PER_RUN, left)  # at most: a run that is done cannot be killed any more
        rng = random.Random(f"{seed}/{number}")
        one = _run(folder / f"{number:03d}", executor, kills=kills, train=train,
                   seconds=seconds, rng=rng, digests=digests)  # fmt: skip
        found.append(one)
        left, number = left - one.kills, number + 1
        say(
            f"{times - left}/{times} kills at {one.at_s}: {one.wrong or 'whole'}; begun {one.begun}"
        )
    return found


def _alone(folder: Path, executor: str, *, train: bool) -> tuple[dict[str, str], float]:
    folder.mkdir(parents=True)
    started = time.monotonic()
    process = start(folder, executor, train=train)
    if process.wait(300):
        raise SystemExit(f"the undisturbed run ended with {process.returncode}; see {folder}")
    return artifacts(folder / "store"), time.monotonic() - started


def _run(
    folder: Path,
    executor: str,
    *,
    kills: int,
    train: bool,
    seconds: float,
    rng: random.Random,
    digests: dict[str, str],
) -> Killed:
    folder.mkdir(parents=True)
    one = Killed(executor=executor, train=train)
    reader = _Reader(folder / "store")
    try:
        finished, already = set[str](), 0
        for _ in range(kills):
            process = start(folder, executor, train=train)
            after = rng.uniform(0.1, 0.8 * seconds)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
            if process.returncode is None:
                (os.killpg if rng.random() < 0.5 else os.kill)(process.pid, signal.SIGKILL)
                process.wait()
                one.kills += 1
                one.at_s.append(round(after, 2))
            one.wrong += _twice(folder, finished, already)
            finished, already = set(artifacts(folder / "store")), len(begun(folder / "count"))
            if process.returncode == 0:
                break
            if process.returncode != -signal.SIGKILL:
                one.wrong.append(f"a driver ended with {process.returncode}")
        process = start(folder, executor, train=train)
        if code := process.wait(300):
            one.wrong.append(f"the same command ended with {code}")
        one.wrong += _twice(folder, finished, already)
    finally:
        one.wrong += reader.end()
    got = artifacts(folder / "store")
    one.wrong += [f"{name}: {got.get(name)}" for name in digests if got.get(name) != digests[name]]
    names = begun(folder / "count")
    one.begun = {name: names.count(name) for name in sorted(set(names))}
    return one


def _twice(folder: Path, finished: set[str], already: int) -> list[str]:
    """Say which nodes that were finished then have begun since."""
    return [
        f"{n}: was done, and began again"
        for n in begun(folder / "count")[already:]
        if n in finished
    ]


def begun(place: Path) -> list[str]:
    """Return the names of all bodies that began, in order; `place` is their COUNT."""
    return place.read_text().split() if place.is_file() else []


def artifacts(store: Path) -> dict[str, str]:
    """Return node -> digest of every artifact whose record is there, or what is torn in it."""
    if not (store / "format").is_file():
        return {}
    opened, found = open_store(str(store), mode="read"), dict[str, str]()
    for path in store.glob("nodes/*/*"):
        record = read_record(opened, path.name)
        if record is not None:
            torn = "; ".join(faults(opened, record, check="all"))
            found[record.body["node"]] = torn or record.digest
    return found


def start(
    folder: Path,
    executor: str,
    *,
    train: bool = False,
    more: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> "subprocess.Popen[bytes]":
    """Start a driver of the toy in `folder`: it says `said.txt` there, and its bodies `count`."""
    go = "import sys; from tests.faults.toy import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", go, str(folder / "store")]
    command += ["--executor", executor, *(["--train"] if train else []), *more]
    environment = {**environment, COUNT: str(folder / "count"), "PYTHONPATH": str(ROOT)}
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(command, stdout=said, stderr=said, env=environment, cwd=ROOT,
                                start_new_session=True)  # fmt: skip


class _Reader:
    """Another process that verifies every artifact it sees, until it is told to end."""

    def __init__(self, store: Path) -> None:
        context = multiprocessing.get_context("fork")
        self._end, self._torn = context.Event(), context.Queue()
        self._process = context.Process(target=_read, args=(store, self._end, self._torn))
        self._process.start()

    def end(self) -> list[str]:
        """Return what was ever readable and not whole."""
        self._end.set()
        self._process.join(30)
        found: list[str] = []
        while not self._torn.empty():
            found.append(f"readable and torn: {self._torn.get()}")
        return found


def _read(
    store: Path, end: "multiprocessing.synchronize.Event", torn: "multiprocessing.Queue[str]"
) -> None:
    while not end.wait(0.05):
        for name, digest in artifacts(store).items():
            if len(digest) != 64:
                torn.put(f"{name}: {digest}")
