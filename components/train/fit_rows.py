"""Fit rows of classes on region features that a finished detector gave: minutes, no pictures.

Paper 4, section 5.1, without the detector: its features are given and stay as they are.
Shapes: R regions, F features, C boxed classes.
Differs: both rates fall as half a cosine, where the paper's code has steps (at 2/3 and 8/9: x .1
for SGD, x .1^.5 for AdamW); gradients are clipped. The loss is that of the paper's code, twice
the mean over regions of the sum over classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer

from components.boxes.matching import key
from components.losses.classification import sigmoid_sum
from components.shapes import expect, expect_finite
from components.train.assign import Moment
from components.train.loop import Fit, Say, Step, fit
from components.train.objective import Loss, Losses
from components.train.optimizer import MOMENTUM, Optimizers
from components.transfer.methods import FitRows
from components.transfer.rows import ClassRows, split_decay

PURPOSE = 3  # of a draw; 1 and 2 are `assign`'s
TWICE = 2.0  # the paper's code doubles the classification loss


class FeaturesError(ValueError):
    """Region features and labels that nothing can be fitted on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionBatch:
    """Regions of one step."""

    x: Tensor  # [R, F]
    labels: Tensor  # int64 [R]; -1: background
    row: Tensor  # int64 [R], which of the features given

    def __len__(self) -> int:
        return len(self.row)


def fit_rows(
    rows: ClassRows, *, features_RF: Tensor, labels_R: Tensor, cfg: FitRows, say: Say
) -> dict[str, float]:
    """Fit `rows` in place and return the last metrics said; empty where nothing is learned.

    Args:
        rows: see `rows.make`.
        features_RF: of regions of many pictures, as the detector's head gives them.
        labels_R: int64, an index into the boxed classes, or -1 for background; a region that is
            neither for sure is left out by the caller.
        cfg: the numbers of the fit.
        say: told of the losses; see `loop.METRICS`.

    Raises:
        FeaturesError: a label that is no boxed class, or no region with an object.
        NotFiniteError: a feature is NaN or infinite, or the training became so.
    """
    expect("labels_R", labels_R, "R", R=len(features_RF))
    expect("features_RF", features_RF, "R F", F=rows.adapter.shape.features)
    expect_finite("features_RF", features_RF, do="Look at the detector that gave them.")
    classes = len(rows.order)
    if len(labels_R) and not -1 <= int(labels_R.min()) <= int(labels_R.max()) < classes:
        raise FeaturesError(
            f"fit on features: labels from -1 to {classes - 1}; got {int(labels_R.min())} to "
            f"{int(labels_R.max())}. Give an index into the boxed classes, -1 for background."
        )
    if not (labels_R >= 0).any():
        raise FeaturesError(
            f"fit on features: no region shows a boxed class; got {len(labels_R)} regions of "
            "background. Take more pictures, or a detector that finds their objects."
        )
    optimizer = _optimizer(rows, cfg)
    if optimizer is None:
        return {}
    rows.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.seed)  # of dropout; the regions are drawn by step
        said = fit(
            Step(rows, _objective(rows, cfg)),
            batches=_batches(features_RF, labels_R, cfg=cfg, rule=rows.row.rule),
            optimizer=optimizer,
            cfg=Fit(steps=cfg.steps, warmup=cfg.warmup, clip=cfg.clip, seed=cfg.seed),
            say=say,
        )
    rows.eval()
    return said


def sigmoid_loss(rows: ClassRows, batch: RegionBatch) -> Losses:
    """Return the loss of every class at every region; background is 0 of each."""
    scored = rows(batch.x)
    targets = torch.zeros_like(scored.logits)
    shown = torch.nonzero(batch.labels >= 0).flatten()
    targets[shown, batch.labels[shown]] = 1
    total = TWICE * sigmoid_sum(scored.logits, targets)
    return _losses(rows, total, scored.penalty, count=len(batch))


def softmax_loss(rows: ClassRows, batch: RegionBatch, *, smoothing: float) -> Losses:
    """Return the loss at the objects alone: what is background the detector's foreground says."""
    shown = batch.labels >= 0
    scored = rows(batch.x[shown])
    total = functional.cross_entropy(
        scored.logits, batch.labels[shown], reduction="sum", label_smoothing=smoothing
    )
    return _losses(rows, total, scored.penalty, count=int(shown.sum()))


def _losses(rows: ClassRows, total: Tensor, penalty: Tensor, *, count: int) -> Losses:
    losses = {"class": Loss(total, total.new_tensor(count))}
    if rows.has_penalty:
        losses["transfer"] = Loss(penalty, penalty.new_tensor(1))
    return losses


def _objective(rows: ClassRows, cfg: FitRows) -> Callable[..., Losses]:
    def objective(model: ClassRows, batches: dict[str, RegionBatch], *, moment: Moment) -> Losses:
        del moment  # the regions are drawn already
        batch = batches["regions"]
        if rows.row.rule == "sigmoid":
            return sigmoid_loss(model, batch)
        return softmax_loss(model, batch, smoothing=cfg.smoothing)

    return objective


def _optimizer(rows: ClassRows, cfg: FitRows) -> Optimizers | None:
    """Return AdamW over the network and SGD over the rest, or None where nothing is learned."""
    rest = [{**g, "lr": cfg.lr, "peak": cfg.lr}
            for g in split_decay(rows.rest_parameters(), cfg.weight_decay)]  # fmt: skip
    own, parts = rows.own_groups(), list[Optimizer]()
    if rest:
        parts.append(SGD(rest, momentum=MOMENTUM))
    if own:
        parts.append(AdamW(own, fused=True))
    return Optimizers(parts) if parts else None


def _batches(
    x_RF: Tensor, labels_R: Tensor, *, cfg: FitRows, rule: str
) -> Iterator[dict[str, RegionBatch]]:
    """Yield steps for ever: objects and background drawn apart, with replacement."""
    objects = torch.nonzero(labels_R >= 0).flatten()
    background = torch.nonzero(labels_R < 0).flatten()
    if rule == "softmax":
        background = background[:0]
    wanted = max(1, round(cfg.regions * cfg.objects))
    step = 0
    while True:
        generator = torch.Generator().manual_seed(key(cfg.seed, step, 0, purpose=PURPOSE))
        drawn = [objects[torch.randint(len(objects), (wanted,), generator=generator)]]
        if len(background):
            rest = torch.randint(len(background), (cfg.regions - wanted,), generator=generator)
            drawn.append(background[rest])
        row = torch.cat(drawn)
        yield {"regions": RegionBatch(x=x_RF[row], labels=labels_R[row], row=row)}
        step += 1
