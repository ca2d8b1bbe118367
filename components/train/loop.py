"""The one loop: objective, sums over workers, finite check, clipped step, report.

A loss is total / count with the count of all workers. Data-parallel wrappers average gradients,
so each worker's own sum is scaled by the number of workers: their mean is then the gradient of
the loss over the whole batch.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW

from components.data.sample import Batch
from components.train.assign import Moment
from components.train.objective import Losses, Objective
from components.train.optimizer import rate, set_rate

METRICS = (
    "train/loss",
    "train/loss_image",
    "train/loss_class",
    "train/loss_foreground",
    "train/loss_box",
    "train/loss_rpn_object",
    "train/loss_rpn_box",
    "train/lr",
    "perf/images_s",
    "perf/data_wait",
)


class NotFiniteError(ValueError):
    """A loss or a gradient is infinite or no number; the weights were not touched."""


class Say(Protocol):
    """Told of a step's metrics; names are those of METRICS."""

    def __call__(self, step: int, values: dict[str, float], /) -> None:
        """Take the metrics of the steps since the last call."""


class Step(nn.Module):
    """A model and its objective as one module: its forward is what a wrapper must see."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batches: Mapping[str, Batch], moment: Moment) -> Losses:
        """Return the losses of one step on this worker's batches."""
        return self.objective(self.model, batches, moment=moment)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Numbers of the loop."""

    steps: int
    warmup: int
    clip: float
    seed: int
    say_every: int = 20  # steps


def fit(
    module: Callable[..., Losses],
    *,
    batches: Iterator[Mapping[str, Batch]],
    optimizer: AdamW,
    cfg: Fit,
    say: Say,
) -> dict[str, float]:
    """Train for `cfg.steps` steps and return the last metrics said.

    Args:
        module: a `Step`, wrapped or not; with a process group, wrapped.
        batches: this worker's batches, one mapping a step.
        optimizer: see `optimizer_for`.
        cfg: the loop's numbers.
        say: told the mean of each loss since it was last told, and the last step.

    Raises:
        NotFiniteError: a loss or the gradient is not finite; raised on every worker, before the
            optimizer's step.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    window = _Window()
    said: dict[str, float] = {}
    for step in range(cfg.steps):
        started = time.perf_counter()
        step_batches = next(batches)
        waited = time.perf_counter() - started
        losses = module(step_batches, Moment(seed=cfg.seed, step=step))
        loss, values = combine(losses)
        _check(values, step, step_batches)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(clip_grad_norm_(parameters, cfg.clip))
        _check({"gradient": norm}, step, step_batches)
        lr = set_rate(optimizer, rate(step, steps=cfg.steps, warmup=cfg.warmup))
        optimizer.step()
        images = sum(len(batch) for batch in step_batches.values()) * _world()
        window.add(values, images=images, waited=waited, took=time.perf_counter() - started)
        if (step + 1) % cfg.say_every == 0 or step + 1 == cfg.steps:
            said = {**window.flush(), "train/lr": lr}
            say(step + 1, said)
    return said


def combine(losses: Losses) -> tuple[Tensor, dict[str, float]]:
    """Return the loss to differentiate here, and the named means over all workers.

    The first is scaled so that the workers' mean gradient is that of the global loss.
    """
    names = list(losses)
    totals = torch.stack([losses[name].total.detach() for name in names]).double()
    counts = torch.stack([losses[name].count for name in names]).double()
    sums = torch.stack([totals, counts])
    world = _world()
    if world > 1:
        dist.all_reduce(sums)
    counts = sums[1].clamp(min=1)
    terms = [
        losses[name].total * (losses[name].weight * world / counts[i]).to(losses[name].total.dtype)
        for i, name in enumerate(names)
    ]
    means = (sums[0] / counts).tolist()
    values = dict(zip(names, means, strict=True))
    values["loss"] = sum(losses[name].weight * values[name] for name in names)
    return torch.stack(terms).sum(), values


def _world() -> int:
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return 1


def _check(values: Mapping[str, float], step: int, batches: Mapping[str, Batch]) -> None:
    wrong = {name: value for name, value in values.items() if not math.isfinite(value)}
    if wrong:
        rows = "; ".join(f"{name} {b.row.tolist()}" for name, b in batches.items())
        what = ", ".join(f"{name} {value}" for name, value in wrong.items())
        raise NotFiniteError(
            f"training, step {step}: not finite; got {what} on rows {rows}. "
            "Lower lr, or look at these rows; the weights were not changed."
        )


class _Window:
    """What happened since the last report, on this worker."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.steps = self.images = 0
        self.waited = self.took = 0.0

    def add(self, values: Mapping[str, float], *, images: int, waited: float, took: float) -> None:
        """Add one step; times in seconds."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.steps += 1
        self.images += images
        self.waited += waited
        self.took += took

    def flush(self) -> dict[str, float]:
        """Return means under the names of METRICS, and start again."""
        named = {
            "train/loss" if name == "loss" else f"train/loss_{name}": total / self.steps
            for name, total in self.sums.items()
        }
        named["perf/images_s"] = self.images / max(self.took, 1e-9)  # of all workers
        named["perf/data_wait"] = self.waited / max(self.took, 1e-9)  # share of the time, here
        self.__init__()
        return named
