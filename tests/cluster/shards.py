"""A pool's functions and a node over it, for tests; effects are counted outside the store."""

import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.actors import Pool, Shard, over_shards
from cluster.shard_folders import ShardFolders
from pipelines.graph.artifact import FILES
from pipelines.graph.node import Node, RunOn, Task

LOG = "effects.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Items:
    count: int = 60
    sleep_ms: float = 50.0
    loads: int = 0  # no item ends before so many actors have loaded


def shards(folder: Path, cfg: Items, *, root: Path | None = None) -> list[Shard]:
    """Items to square; `root` is where their files go, `folder` where effects are counted."""
    given = {"folder": str(folder), "sleep_s": cfg.sleep_ms / 1000, "root": str(root or ""),
             "loads": cfg.loads}  # fmt: skip
    return [Shard(name=f"{i:03d}", value={**given, "item": i}) for i in range(cfg.count)]


def load(arg: Any) -> dict[str, Any]:
    note(Path(arg), {"load": os.getpid()})
    return {"power": 2}


def square(held: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Tell the log who begins which item, work, and tell that it ended."""
    folder, item = Path(value["folder"]), value["item"]
    note(folder, {"begin": item, "pid": os.getpid()})
    time.sleep(value["sleep_s"])
    until = time.monotonic() + 60
    while len(times(folder, "load")) < value["loads"] and time.monotonic() < until:
        time.sleep(0.02)
    if (folder / f"fail-{item}").exists():
        raise ValueError(f"item {item} is a bug")
    if (folder / f"poison-{item}").exists():
        os.kill(os.getpid(), 9)
    answer = item ** held["power"]
    if value["root"]:
        with ShardFolders(Path(value["root"])).filling(f"{item:03d}") as draft:
            (draft / "value.json").write_text(json.dumps(answer))
    note(folder, {"end": item, "pid": os.getpid()})
    return {"item": item, "square": answer, "pid": os.getpid()}


def note(folder: Path, what: dict[str, Any]) -> None:
    handle = os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, json.dumps(what).encode() + b"\n")
    os.close(handle)


def effects(folder: Path) -> list[dict[str, Any]]:
    place = folder / LOG
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def times(folder: Path, what: str) -> Counter[int]:
    return Counter(line[what] for line in effects(folder) if what in line)


def alone(place: str, cfg: Items) -> dict[str, Any]:
    """A pool over items in a task, without a graph."""
    folder = Path(place)
    (folder / "pid").write_text(str(os.getpid()))
    kept = ShardFolders(folder / "shards")
    todo = kept.missing(shards(folder, cfg, root=kept.root))
    with over_shards(
        square, todo, start=load, arg=place, pool=Pool(actors=2), name="pooled"
    ) as done:
        return {"made": sum(1 for _ in done)}


def made(folder: Path) -> int:
    return len(list((folder / "shards").glob("[0-9]*")))


def pooled(task: Task) -> dict[str, object]:
    """A node: a file for each item by a pool; what an earlier attempt made is not made again."""
    folder = Path(os.environ["VOCABOX_TEST_FOLDER"])
    kept = ShardFolders(task.scratch / "shards")
    kept.clear_drafts()
    every = shards(folder, task.cfg, root=kept.root)
    todo, on = kept.missing(every), task.run_on
    pool = Pool(actors=on.workers, cpus=on.cpus_per_worker, local=on.local)
    with over_shards(
        square, todo, start=load, arg=str(folder), pool=pool, name="pooled", say=task.say,
        before=len(every) - len(todo),
    ) as done:  # fmt: skip
        count = sum(1 for _ in done)
    kept.gather(every, out=task.out)
    return {"made": count}


def pool_node(*, workers: int = 2, local: bool = False, cfg: Items | None = None) -> Node:
    run_on = RunOn(workers=workers, local=local)
    return Node(name="pooled", fn=pooled, cfg=cfg or Items(), makes=FILES, run_on=run_on)
