"""What tracking costs training: one real loop, side by side without and with it, in turns.

Every arm writes its events to its own journal, as a run does; they differ in what its sender meets:
nothing (no sender), a database, and the five faults: a port where nobody listens, a server killed
after the first round, one that takes connections and never answers, a slow one, one that answers
500. The last two and the killed one are doors to one real MLflow server. Only the sender whose arm
trains is awake. A round is the second stage of the tiny drawn config from its first report on: fast
steps, so more events a second than in a real run.
"""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from cluster.journal import Events
from cluster.storage import open_store
from cluster.track import Sender, default_uri, start_sender, tracking_fault
from components.train.fit_worker import train_stage2
from pipelines.graph.cuts import Cuts
from pipelines.graph.record import read_record
from pipelines.runs.loading import load
from tests.cluster.mlflow_server import Door, Server, free_port
from tests.pipelines.runs import tiny

STEPS, SAY_EVERY = 120, 20  # as in training nodes
MOST = 0.02  # of a step's time in event calls
DOORS = {"slow server": "slow", "server answers 500": "500", "killed server": "pass"}
FAULTS = ("dead server", "frozen server", "server answers 500", "killed server")
TICKS = os.sysconf("SC_CLK_TCK")
Result = tuple[list[tuple[str, float, str]], list[tuple[str, bool]]]


@dataclass
class Arm:
    """One journal, its sender, and what each round took, in seconds of the measured steps."""

    name: str
    events: Events
    sender: Sender | None
    door: Door | None = None  # killed after the first round
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)  # CPU of the sender

    def share(self) -> float:
        """Return the part of the steps' time that was spent in event calls."""
        return sum(self.calls) / sum(self.wall)


def tracking(*, rounds: int) -> Result:
    """Return steps a CPU second and a second of each arm, and the claims."""
    with tempfile.TemporaryDirectory() as folder, _arms(Path(folder)) as arms:
        job = _job(Path(folder))
        for turn in range(rounds + 1):  # the first warms up: senders import MLflow
            for arm in arms if turn % 2 else reversed(arms):
                _round(arm, job, Path(folder) / f"{arm.name}-{turn}")
                if arm.door is not None:
                    arm.door.kill()
        for arm in arms:
            for taken in (arm.cpu, arm.wall, arm.calls, arm.sent):
                del taken[0]
        return _told(arms)


def _told(arms: list[Arm]) -> Result:
    steps, (none, *_) = STEPS - SAY_EVERY, arms
    rows: list[tuple[str, float, str]] = []
    claims: list[tuple[str, bool]] = []
    for arm in arms:
        rows.append((arm.name, steps / median(arm.cpu), "steps a CPU second of training"))
        if arm is not none:
            by_cpu = median(a / b for a, b in zip(none.cpu, arm.cpu, strict=True))
            by_wall = median(a / b for a, b in zip(none.wall, arm.wall, strict=True))
            rows.append((arm.name, by_cpu, "of the speed without tracking, by CPU"))
            rows.append((arm.name, by_wall, "of the speed without tracking, by the clock"))
            spent = 60 * sum(arm.sent) / sum(arm.wall)
            rows.append((arm.name, spent, "CPU seconds of the sender a minute of training"))
        text = f"{arm.name}: event calls / step time <= {MOST:.0%}: {arm.share():.3%}"
        claims.append((text, arm.share() <= MOST))
        fault = tracking_fault(arm.events.path.parent)
        text = f"{arm.name}: what its sender met: {fault or 'nothing'}"
        claims.append((text, bool(fault) == (arm.name in FAULTS)))
    return rows, claims


@contextmanager
def _arms(folder: Path) -> Iterator[list[Arm]]:
    """Make the arms; senders sleep until their turn and end with the block."""
    server, arms = Server(folder), list[Arm]()
    doors = {name: Door(server, way) for name, way in DOORS.items()}
    with socket.create_server(("127.0.0.1", 0), backlog=128) as frozen:
        try:
            server.start()
            places = {
                "none": None,
                "sqlite": default_uri(folder),
                "dead server": f"http://127.0.0.1:{free_port()}",
                "frozen server": f"http://127.0.0.1:{frozen.getsockname()[1]}",
                **{name: door.open() for name, door in doors.items()},
            }
            arms += [_arm(name, folder, uri) for name, uri in places.items()]
            arms[-1].door = doors["killed server"]
            yield arms
        finally:
            for arm in arms:
                if arm.sender is not None and arm.sender.process is not None:
                    arm.sender.process.kill()
                    arm.sender.process.wait()
            for made in (*doors.values(), server):
                made.kill()


def _arm(name: str, folder: Path, uri: str | None) -> Arm:
    run = folder / "runs" / name.replace(" ", "-")
    events = Events(run / "events.jsonl")
    events.append({"event": "run", "run": run.name, "pipeline": "joint"})
    events.append({"event": "node", "node": "stage2", "state": "running"})
    sender = None if uri is None else start_sender(run, uri, "speed")
    _signal(sender, signal.SIGSTOP)
    return Arm(name, events, sender)


def _job(folder: Path) -> dict[str, Any]:
    """Pack the tiny config; return what its second stage is given."""
    config, store = tiny.page(folder), folder / "store"
    ended, _ = tiny.run(config, store=store, cuts=Cuts(until=("boxes", "labels")))
    kept = open_store(str(store), mode="read")
    records = {name: read_record(kept, ended.nodes[name]["key"]) for name in ("boxes", "labels")}
    cfg = load(config).cfg
    places = {name: record.place(kept) for name, record in records.items() if record is not None}
    stage = replace(cfg.stage2, steps=STEPS)
    return {"backbone": cfg.backbone, "stage": stage, "say_every": SAY_EVERY, **places}


def _round(arm: Arm, job: dict[str, Any], out: Path) -> None:
    """Train once; note what the steps between the first report and the last one took."""
    marks: list[tuple[float, float, float]] = []  # clock, CPU, CPU of the sender
    calls: list[float] = []

    def say(done: int, total: int, text: str = "", **values: float) -> None:
        del total, text
        marks.append((time.perf_counter(), time.process_time(), _spent(arm.sender)))
        begun = time.perf_counter()
        arm.events.append({"event": "metrics", "node": "stage2", "step": done, "values": values})
        calls.append(time.perf_counter() - begun)

    out.mkdir()
    _signal(arm.sender, signal.SIGCONT)
    train_stage2({"out": out, **job}, rank=0, world=1, say=say, wrap=lambda module: module)
    _signal(arm.sender, signal.SIGSTOP)
    (clock, cpu, sent), (clock_end, cpu_end, sent_end) = marks[0], marks[-1]
    arm.wall.append(clock_end - clock)
    arm.cpu.append(cpu_end - cpu)
    arm.sent.append(sent_end - sent)
    arm.calls.append(sum(calls[:-1]))


def _signal(sender: Sender | None, number: int) -> None:
    if sender is not None and sender.process is not None:
        sender.process.send_signal(number)


def _spent(sender: Sender | None) -> float:
    """Return the CPU seconds a sender has used."""
    if sender is None or sender.process is None:
        return 0.0
    fields = Path(f"/proc/{sender.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
