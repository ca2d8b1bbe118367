"""The one loop: objective, sums over workers, finite check, clipped step, report, snapshot.

A loss is total / count with the count of all workers. Data-parallel wrappers average gradients,
so each worker's own sum is scaled by the number of workers: their mean is then the gradient of
the loss over the whole batch.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from components.data.sample import Batch
from components.shapes import NotFiniteError
from components.train.assign import Moment
from components.train.objective import Losses, Objective
from components.train.optimizer import Optimizers, rate, set_rate

METRICS = (
    "train/loss",
    "train/loss_image",
    "train/loss_class",
    "train/loss_foreground",
    "train/loss_box",
    "train/loss_rpn_object",
    "train/loss_rpn_box",
    "train/loss_transfer",
    "train/lr",
    "perf/images_s",
    "perf/data_wait",
)


class StepError(NotFiniteError):
    """A loss or a gradient of a step is infinite or no number; the weights were not changed.

    `rows` tells the step's rows of each source, of all workers.
    """

    def __init__(self, text: str, rows: Mapping[str, list[int]] | None = None) -> None:
        super().__init__(text, rows)
        self.text, self.rows = text, dict(rows or {})

    def __str__(self) -> str:
        """Say what was not finite, where, and on what."""
        rows = "; ".join(f"{name} {rows}" for name, rows in self.rows.items())
        return f"{self.text} Rows: {rows}." if rows else self.text


class PreemptedError(RuntimeError):
    """The training was asked to stop before its end; it was kept as it is, if it keeps anything."""


class Rows(Protocol):
    """What one source gives to a step; `row` says which rows of its set."""

    @property
    def row(self) -> Tensor:
        """Return int64 [N]."""
        ...

    def __len__(self) -> int:
        """Return N."""
        ...


class Say(Protocol):
    """Told of a step's metrics; names are those of METRICS."""

    def __call__(self, step: int, values: dict[str, float], /) -> None:
        """Take the metrics of the steps since the last call."""


class Keep(Protocol):
    """Keeps the training as it is, on every rank."""

    def __call__(self, step: int, window: dict[str, Any], /) -> object:
        """Take the number of steps done and the numbers measured since the last report."""


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
    checkpoint_every: int = 0  # steps between two snapshots; 0 for none


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Where the loop begins: steps done, and the numbers measured since the last report."""

    step: int = 0
    window: Mapping[str, Any] = field(default_factory=dict[str, Any])


def fit(
    module: Callable[..., Losses],
    *,
    batches: Iterator[Mapping[str, Rows]],
    optimizer: Optimizers,
    cfg: Fit,
    say: Say,
    start: Start | None = None,
    keep: Keep | None = None,
    stop: Callable[[], bool] | None = None,
) -> dict[str, float]:
    """Train until `cfg.steps` steps are done and return the last metrics said.

    Args:
        module: a `Step`, wrapped or not; with a process group, wrapped.
        batches: this worker's batches, one mapping a step, from the start's.
        optimizer: see `optimizer_for`.
        cfg: the loop's numbers.
        say: told the mean of each loss since it was last told, and the last step.
        start: where to go on; the module and the optimizer are as they were then.
        keep: called every `cfg.checkpoint_every` steps; not after the last, which is the result.
        stop: asked after each step but the last; all workers must get the same answer.

    Raises:
        StepError: a loss or the gradient is not finite; raised on every worker, before the
            optimizer's step.
        PreemptedError: `stop` said so; raised on every worker, after `keep`.
    """
    start = start or Start()
    window = _Window(**start.window)
    said: dict[str, float] = {}
    for step in range(start.step, cfg.steps):
        started = time.perf_counter()
        step_batches = next(batches)
        waited = time.perf_counter() - started
        losses = module(step_batches, Moment(seed=cfg.seed, step=step))
        loss, values = combine(losses)
        _check(values, step, step_batches)
        optimizer.zero_grad()
        loss.backward()
        _check({"gradient": optimizer.clip(cfg.clip)}, step, step_batches)
        lr = set_rate(optimizer, rate(step, steps=cfg.steps, warmup=cfg.warmup))
        optimizer.step()
        images = sum(len(batch) for batch in step_batches.values()) * _world()
        window.add(values, images=images, waited=waited, took=time.perf_counter() - started)
        if (step + 1) % cfg.say_every == 0 or step + 1 == cfg.steps:
            said = {**window.flush(), "train/lr": lr}
            say(step + 1, said)
        if step + 1 < cfg.steps:
            _pause(step + 1, window, cfg=cfg, keep=keep, stop=stop)
    return said


def _pause(
    done: int,
    window: "_Window",
    *,
    cfg: Fit,
    keep: Keep | None,
    stop: Callable[[], bool] | None,
) -> None:
    """Keep the training where that is due, or where it is asked to stop, and stop it then."""
    told = stop is not None and stop()
    if keep and cfg.checkpoint_every and (told or done % cfg.checkpoint_every == 0):
        keep(done, asdict(window))
    if told:
        if _world() > 1:
            dist.barrier()  # who ends early ends the others: the first may still be writing
        raise PreemptedError(f"asked to stop after step {done} of {cfg.steps}.")


def any_of(asked: Callable[[], bool], *, like: Tensor) -> Callable[[], bool]:
    """Return what all workers answer alike: whether one of them was asked to stop.

    Two workers on a machine of two cores under a load of 8 to 18: 0.7 to 1.9 ms a question (gloo).

    Args:
        asked: of this worker.
        like: a tensor on the device where workers talk.
    """

    def told() -> bool:
        mine = asked()
        if _world() == 1:
            return mine
        flag = torch.full((1,), float(mine), device=like.device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())

    return told


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


def _check(values: Mapping[str, float], step: int, batches: Mapping[str, Rows]) -> None:
    """Refuse what is not finite. The values are those of all workers, so all of them refuse."""
    wrong = {name: value for name, value in values.items() if not math.isfinite(value)}
    if wrong:
        what = ", ".join(f"{name} {value}" for name, value in wrong.items())
        raise StepError(
            f"training, step {step}: not finite; got {what}. Lower lr, or look at what this step "
            "was taught; the weights were not changed.",
            _rows(batches),
        )


def _rows(batches: Mapping[str, Rows]) -> dict[str, list[int]]:
    """Return the rows of a step of all workers, by source."""
    mine = {name: batch.row.tolist() for name, batch in batches.items()}
    shares: list[Any] = [mine]
    if _world() > 1:
        shares *= _world()
        dist.all_gather_object(shares, mine)
    return {name: [row for share in shares for row in share[name]] for name in mine}


@dataclass(slots=True)
class _Window:
    """What happened since the last report, on this worker."""

    sums: dict[str, float] = field(default_factory=dict[str, float])
    steps: int = 0
    images: int = 0
    waited: float = 0.0  # seconds
    took: float = 0.0

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
        self.sums, self.steps, self.images, self.waited, self.took = {}, 0, 0, 0.0, 0.0
        return named
