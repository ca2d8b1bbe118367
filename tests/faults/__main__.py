"""What is done to vocabox, and what is found after.

    python -m tests.faults                              the rows, and how long each takes
    python -m tests.faults kill [--times 20] [--seed 0]   kill -9 of the real command
    python -m tests.faults driver [--times 50]            kill -9 of the driver of a small run
    python -m tests.faults worker [--times 20] [--executor inline]   kill -9 of a training's worker
    python -m tests.faults actor [--times 20] [--executor inline]    kill -9 of actors of a pool
    python -m tests.faults takeover [--every 1]           stopped, followed and woken, everywhere
    python -m tests.faults store                        every fault at every operation of a commit

Exit code 1 when something was lost, torn or done twice, or when a fault planted on purpose was
not found.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.graph import commit
from tests.faults import actor, bucket_commits, commits, driver, page, power, takeover, worker
from tests.faults.kill import kill

Row = Callable[[argparse.Namespace, Path], tuple[list[dict[str, Any]], bool]]


def _kill(given: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], bool]:
    arguments = [str(page.write(folder))]
    if given.executor == "inline":
        arguments += ["--executor", "inline", *page.ALONE]
    trials = kill(
        folder, arguments=arguments, times=given.times, seed=given.seed,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    found = [asdict(trial) for trial in trials]
    whole = sum(not trial.wrong for trial in trials)
    met = sum(trial.killed for trial in trials)
    gone_on = sum(bool(trial.resumed) for trial in trials)
    print(f"{whole} of {len(trials)} whole; {met} were killed before their end; {gone_on} went on "
          f"from a checkpoint. Again: python -m tests.faults kill --times {given.times} "
          f"--seed {given.seed}")  # fmt: skip
    at_place = [trial for trial in trials if trial.moment != "random"]
    missed = [trial.moment for trial in at_place if not trial.killed]
    idle = [t.moment for t in at_place if "checkpoint" in t.moment and t.killed and not t.resumed]
    for moment in missed:
        print(f"never came to it: {moment}")
    for moment in idle:
        print(f"nothing went on from a checkpoint: {moment}")
    return found, whole == len(trials) and not missed and not idle


def _store(given: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], bool]:
    rows: list[dict[str, Any]] = []

    def note(what: str, count: int, wrong: list[str]) -> None:
        print(f"{what}: {count} points, {len(wrong)} wrong {wrong[:2]}", flush=True)
        rows.append({"row": what, "points": count, "wrong": wrong})

    commit.CHEAP_S = 0.0  # bodies count as dear ones, which are flushed
    for before, what in (("", "commit"), ("torn", "commit over a torn record")):
        for found in commits.every_kind(folder / (before or "fresh"), before=before):
            note(f"{what}, {found.kind}", found.operations, found.wrong)
    cut = power.power_cuts(_new(folder / "cut"), seed=given.seed)
    note("power cut", cut.images, [*cut.torn, *["lost after it was done"] * cut.lost])
    for what, found in bucket_commits.every_kind(folder / "bucket"):
        note(f"commit in a bucket, {what}", found.operations, found.wrong)
    good = all(row["points"] > 0 and not row["wrong"] for row in rows)
    for name, planted in commits.PLANTED.items():
        with planted():
            found = commits.points(folder / name, kind="half write")
        note(f"PLANTED {name}, half write", found.operations, found.wrong)
        good = good and bool(found.wrong)
    blind = power.power_cuts(_new(folder / "blind"), flushes=False, seed=given.seed)
    note("PLANTED no flush, power cut", blind.images, blind.torn)
    return rows, good and bool(blind.torn)


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _driver(given: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], bool]:
    found = driver.drivers(
        folder, times=given.times, seed=given.seed, executor=given.executor,
        say=_say,
    )  # fmt: skip
    kills = sum(one.kills for one in found)
    whole = sum(not one.wrong for one in found)
    print(f"{kills} kills of the driver; {whole} of {len(found)} runs whole. Again: "
          f"python -m tests.faults driver --times {given.times} --seed {given.seed}")  # fmt: skip
    return [asdict(one) for one in found], kills >= given.times and whole == len(found)


def _takeover(given: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], bool]:
    first = 1 + given.seed % given.every
    last, points, wrong = takeover.points(folder / "ours", every=given.every, first=first)
    _, looked, caught = takeover.points(
        folder / "planted", planted=takeover.racy, every=given.every, first=first
    )
    print(f"{last - 1} operations, {points} takeovers: {len(wrong)} wrong {wrong[:3]}")
    print(f"a racy owner, planted: found after {looked} takeovers: {caught[:2]}")
    rows = [{"row": "ours", "takeovers": points, "wrong": wrong},
            {"row": "racy", "takeovers": looked, "wrong": caught}]  # fmt: skip
    return rows, points > 0 and not wrong and bool(caught)


def _parts(
    name: str, given: argparse.Namespace, found: Sequence[worker.Trial | actor.Trial]
) -> tuple[list[dict[str, Any]], bool]:
    whole = sum(not trial.wrong for trial in found)
    killed = sum(trial.killed for trial in found)
    again = f"{name} --times {given.times} --seed {given.seed} --executor {given.executor}"
    print(f"{whole} of {len(found)} whole; {killed} were killed. Again: "
          f"python -m tests.faults {again}")  # fmt: skip
    return [asdict(trial) for trial in found], whole == len(found) and killed > 0.8 * len(found)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _worker(given: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], bool]:
    found = worker.kill(
        folder, times=given.times, seed=given.seed, executor=given.executor, say=_say
    )
    return _parts("worker", given, found)


def _actor(given: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], bool]:
    found = actor.kill(
        folder, times=given.times, seed=given.seed, executor=given.executor, say=_say
    )
    return _parts("actor", given, found)


ROWS: dict[str, tuple[Row, str]] = {
    "kill": (_kill, "the real command killed and run again; 1.5 minutes a time"),
    "driver": (_driver, "the driver of a small run killed, five times a run; 10 s a kill"),
    "worker": (_worker, "a worker of a training killed; 40 s a time, 4 s with inline"),
    "actor": (_actor, "an actor of a pool, or the node above it, killed; 3 s a time"),
    "takeover": (_takeover, "a driver stopped at every operation, followed and woken; 6 minutes"),
    "store": (_store, "every fault at every operation of a commit, and four planted; 1 minute"),
}


def main() -> int:
    """Run one row, or list them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("name", nargs="?", choices=list(ROWS))
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="takeover: each n-th operation")
    parser.add_argument("--executor", choices=["ray", "inline"], default="ray")
    parser.add_argument("--json", action="store_true", help="one object a trial on stdout")
    given = parser.parse_args()
    if given.name is None:
        for name, (_, what) in ROWS.items():
            print(f"{name:10} {what}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="vocabox-faults-"))
    found, good = ROWS[given.name][0](given, folder)
    if given.json:
        for line in found:
            print(json.dumps(line))
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"what was left lies in {folder}", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
