"""Run a function in forked processes that meet in a gloo group; rank 0's value comes back."""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


def run_forked(fn: Callable[..., Any], *, world: int, folder: Path, name: str) -> Any:
    """`fn(rank=, world=, wrap=)`; one worker is forked too, so that nothing runs in the parent."""
    context = multiprocessing.get_context("fork")
    answer = folder / f"{name}_{world}.json"
    args = [(fn, rank, world, folder / f"{name}_meet", answer) for rank in range(world)]
    children = [context.Process(target=_child, args=a) for a in args]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        child.kill()
    return json.loads(answer.read_text())


def _child(fn: Callable[..., Any], rank: int, world: int, meet: Path, answer: Path) -> None:
    torch.set_num_threads(1)
    if world == 1:
        found = fn(rank=0, world=1, wrap=lambda module: module)
    else:
        dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=world)
        found = fn(rank=rank, world=world, wrap=DistributedDataParallel)
        dist.destroy_process_group()
    if rank == 0:
        answer.write_text(json.dumps(found))
