"""Functions that tests send to workers: they must be importable there."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from cluster.failures import Budget
from cluster.workers import Group, run_group


def double(value: int) -> dict[str, Any]:
    return {"double": 2 * value, "pid": os.getpid()}


def fail(text: str) -> dict[str, Any]:
    raise ValueError(text)


def die() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def sleep(seconds: float, flag: str) -> dict[str, Any]:
    Path(flag).touch()
    time.sleep(seconds)
    return {}


def tell(reporter: Any, steps: int) -> dict[str, Any]:
    for step in range(steps):
        reporter({"done": step + 1, "total": steps, "text": "", "metrics": {"train/loss": step}})
    return {}


def fit(arg: dict[str, Any], group: Group) -> dict[str, Any]:
    """Four steps of least squares over 8 rows, split over the ranks; returns the weights."""
    import torch

    rank, world, say, wrap = group.rank, group.world, group.say, group.wrap

    torch.manual_seed(0)
    model = wrap(torch.nn.Linear(3, 1, dtype=torch.float64))
    rows = torch.arange(24, dtype=torch.float64).reshape(8, 3) / 24
    mine = rows.chunk(world)[rank]
    rate = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(4):
        if arg.get("raise_on") == (rank, step):
            raise ValueError(f"rank {rank} has had enough")
        if arg.get("die_on") == (rank, step):
            os.kill(os.getpid(), signal.SIGKILL)
        loss = (model(mine) - mine.sum(1, keepdim=True)).pow(2).mean()
        rate.zero_grad()
        loss.backward()
        rate.step()
        say(step + 1, 4, "", loss=float(loss.detach()))
        time.sleep(arg.get("sleep_s", 0))
    weights = torch.cat([p.detach().flatten() for p in model.parameters()]).tolist()
    return {
        "weights": weights, "threads": torch.get_num_threads(), "world": world,
        "parent": os.getppid(),
    }  # fmt: skip


def gang(scratch: str, reporter: Any, arg: dict[str, Any]) -> dict[str, Any]:
    """What a training node does: hold no CPU, start a group, pass on what it says."""

    def _say(done: float, total: float, text: str = "", **metrics: float) -> None:
        reporter({"done": done, "total": total, "text": text, "metrics": metrics})

    begun = time.monotonic()
    value = run_group(
        fit, arg, workers=arg.get("workers", 2), min_workers=arg.get("min_workers", 0),
        scratch=Path(scratch), name="stage2", say=_say,
        budget=Budget(retries=arg.get("retries", 0)),
    )  # fmt: skip
    return {**value, "fit_s": time.monotonic() - begun}
