"""What the graph costs: empty nodes beside bare Ray tasks, a finished graph, and other runners.

A bare task makes the very files of one node, with the same names and bytes, by plain writes: no
draft, no link, no digest. Neither side flushes to disk: an empty body is cheaper to run again.
Rounds alternate in one process and one Ray; a ratio is the least of the rounds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.call import RayExecutor
from cluster.journal import Events
from cluster.session import open_session
from cluster.storage import open_store
from pipelines.graph.artifact import FILES
from pipelines.graph.node import Graph, Node, RunOn, Task
from pipelines.graph.plan import plan
from pipelines.graph.run import walk

NODES, SMALL = 1000, 200
SETTLE_S = 0.5
TICKS = os.sysconf("SC_CLK_TCK")
MOST, LEAST = 1.5, 5.0  # of bare tasks; over other runners
FINISHED_S = 3.0  # CPU seconds
UNWANTED = ("ray", "torch", "mlflow")
RIVALS = {"dagster": "rival_dagster.py", "prefect": "rival_prefect.py"}
Result = tuple[list[tuple[str, float, str]], list[tuple[str, bool]]]
Files = list[tuple[str, bytes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    value: int = 0


def empty(task: Task) -> None:
    """Make an artifact without files."""


def wide(count: int) -> Graph:
    """Return `count` empty nodes: one, and the others after it."""
    on = RunOn(retries=0)
    first = Node(name="first", fn=empty, cfg=Number(), makes=FILES, run_on=on)
    rest = (
        Node(name=f"n{i}", fn=empty, cfg=Number(value=i), makes=FILES, run_on=on,
             inputs={"first": first})
        for i in range(1, count)
    )  # fmt: skip
    return Graph(nodes=tuple(rest), recipe="speed")


def graph(*, rounds: int, **pythons: str | None) -> Result:
    """Return what a node costs, and the claims; `pythons` are those of other runners."""
    rows: list[tuple[str, float, str]] = []
    claims: list[tuple[str, bool]] = []
    with tempfile.TemporaryDirectory() as folder, _ray() as executor:
        place = Path(folder)
        _ours(executor, place / "warm", SMALL)
        _bare(_files(place / "warm"), place / "warm-bare")
        _beside_bare(executor, place, rounds, rows, claims)
        _finished(place / "ours-0", rows, claims)
        for name, script in RIVALS.items():
            python = pythons.get(name)
            if python is None:
                rows.append((f"{name}: not measured (--{name} PYTHON)", 0.0, "ms a node"))
                continue
            _rival(executor, place, rounds, (name, python, script), rows=rows, claims=claims)
    return rows, claims


@contextmanager
def _ray() -> Iterator[RayExecutor]:
    with open_session("local", cpus=2):
        executor = RayExecutor()
        yield executor
        executor.close()


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return seconds by the clock, and CPU seconds of this process and all below it."""
    wall, cpu = time.perf_counter(), _cpu()
    call()
    time.sleep(SETTLE_S)  # what Ray does of the call after its answer
    return time.perf_counter() - wall - SETTLE_S, _cpu() - cpu


def _cpu() -> float:
    """Return the CPU seconds of this process and of those that it started, Ray's included."""
    above: dict[int, int] = {}
    spent: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended this moment
            fields = stat.read_text().rsplit(")", 1)[1].split()
            above[int(stat.parent.name)] = int(fields[1])
            spent[int(stat.parent.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    ours = {os.getpid()}
    while more := {pid for pid, parent in above.items() if parent in ours} - ours:
        ours |= more
    return sum(spent[pid] for pid in ours)


def _ours(executor: RayExecutor, store: Path, count: int) -> tuple[float, float]:
    """Run a graph in a new store; return what it took."""
    place, events = open_store(str(store)), Events(store.parent / f"{store.name}.jsonl")

    def run() -> None:
        whole = wide(count)
        plan(whole, place)
        ended = walk(whole, store=place, executor=executor, emit=events.append, run="speed-1")
        states = {outcome.state for outcome in ended.nodes.values()}
        if states != {"done"} or len(ended.nodes) != count:
            raise RuntimeError(f"speed: every node must run; got {states}.")

    return _timed(run)


def _files(store: Path) -> list[Files]:
    """Return the files of each node in a store: folders end in `/`."""
    names = {marker.name: marker for marker in store.glob("names/*/*/*")}
    out: list[Files] = []
    for manifest in store.glob("nodes/*/*/manifest.json"):
        made = manifest.parent
        folders = [(f"{f.relative_to(store)}/", b"") for f in made.iterdir() if f.is_dir()]
        marker = str(names[made.name].relative_to(store))
        out.append(
            [*folders, (str(manifest.relative_to(store)), manifest.read_bytes()), (marker, b"")]
        )
    return out


def _write(root: str, files: Files) -> int:
    for name, data in files:
        path = os.path.join(root, name)
        os.makedirs(path if name.endswith("/") else os.path.dirname(path), exist_ok=True)
        if not name.endswith("/"):
            with open(path, "xb") as file:
                file.write(data)
    return len(files)


def _bare(nodes: Sequence[Files], root: Path) -> tuple[float, float]:
    """Make the same files by one Ray task a node, all sent at once."""
    import ray

    task: Any = ray.remote(num_cpus=1, max_retries=0)(_write)
    return _timed(lambda: ray.get([task.remote(str(root), files) for files in nodes]))


def _beside_bare(
    executor: RayExecutor,
    place: Path,
    rounds: int,
    rows: list[tuple[str, float, str]],
    claims: list[tuple[str, bool]],
) -> None:
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    for turn in range(rounds):
        store = place / f"ours-{turn}"
        ours.append(_ours(executor, store, NODES))
        bare.append(_bare(_files(store), place / f"bare-{turn}"))
    for name, taken in (("graph", ours), ("bare Ray tasks", bare)):
        rows.append((name, 1e3 * min(w for w, _ in taken) / NODES, "ms a node"))
        rows.append(
            (
                name,
                1e3 * min(c for _, c in taken) / NODES,
                "CPU ms a node, Ray's processes included",
            )
        )
    ratios = [mine / theirs for (mine, _), (theirs, _) in zip(ours, bare, strict=True)]
    said = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    text = f"{NODES} empty nodes / bare tasks <= {MOST}: {min(ratios):.2f} (rounds {said})"
    claims.append((text, min(ratios) <= MOST))
    spent = [mine / theirs for (_, mine), (_, theirs) in zip(ours, bare, strict=True)]
    rows.append(("graph / bare Ray tasks", min(spent), "by CPU"))


def _finished(
    store: Path, rows: list[tuple[str, float, str]], claims: list[tuple[str, bool]]
) -> None:
    """Look at a finished graph in a process of its own."""
    words = [sys.executable, "-m", "tests.bench.graph_speed", str(store), str(NODES)]
    said = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    rows.append(("finished graph", said["cpu_s"], "CPU seconds, start of Python included"))
    rows.append(("finished graph", said["wall_s"], "seconds after the start of Python"))
    text = f"{NODES} finished nodes are recognised in <= {FINISHED_S} CPU s: {said['cpu_s']:.2f}"
    claims.append((text, said["cpu_s"] <= FINISHED_S))
    claims.append((f"without {', '.join(UNWANTED)}: {said['unwanted']}", not said["unwanted"]))


def _rival(
    executor: RayExecutor,
    place: Path,
    rounds: int,
    rival: tuple[str, str, str],
    *,
    rows: list[tuple[str, float, str]],
    claims: list[tuple[str, bool]],
) -> None:
    """Run the same small graph by turns here and in another runner's own environment."""
    name, python, script = rival
    ratios: list[float] = []
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(rounds):
        ours.append(_ours(executor, place / f"{name}-ours-{turn}", SMALL)[0] / SMALL)
        home = place / f"{name}-{turn}"
        home.mkdir()
        words = [python, str(Path(__file__).with_name(script)), str(home), str(SMALL)]
        done = subprocess.run(words, check=False, capture_output=True, text=True, env=_env(home))
        if done.returncode:
            what = (done.stderr.strip().splitlines() or ["no words"])[-1][:100]
            rows.append((f"{name}: it does not run here; got {what}", 0.0, "ms a node"))
            return
        theirs.append(json.loads(done.stdout.splitlines()[-1])["seconds"] / SMALL)
        ratios.append(theirs[-1] / ours[-1])
    rows.append((f"graph of {SMALL}", 1e3 * min(ours), "ms a node"))
    rows.append((name, 1e3 * min(theirs), "ms a node"))
    text = f"{name} / graph, {SMALL} nodes >= {LEAST:g}: {min(ratios):.1f}"
    claims.append((text, min(ratios) >= LEAST))


def _env(home: Path) -> Mapping[str, str]:
    """Return the environment without what belongs to this Python, at home in a new folder."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    quiet = {"DO_NOT_TRACK": "1", "DAGSTER_DISABLE_TELEMETRY": "1"}
    return {**kept, **quiet, "HOME": str(home), "DAGSTER_HOME": str(home)}


def _look(store: str, count: int) -> None:
    """Walk a graph that is finished, and print what that took."""
    begun = time.perf_counter()
    place, whole = open_store(store, mode="read"), wide(count)
    if any(planned.state != "cached" for planned in plan(whole, place).nodes):
        raise RuntimeError("speed: every node must be there.")
    ended = walk(whole, store=place, executor=None, emit=lambda _: None)  # type: ignore[arg-type]
    if {outcome.state for outcome in ended.nodes.values()} != {"cached"}:
        raise RuntimeError("speed: nothing may run.")
    unwanted = [name for name in UNWANTED if name in sys.modules]
    wall = time.perf_counter() - begun
    print(json.dumps({"cpu_s": time.process_time(), "wall_s": wall, "unwanted": unwanted}))


if __name__ == "__main__":
    from tests.bench.graph_speed import _look as look  # nodes must not be of __main__

    look(sys.argv[1], int(sys.argv[2]))
