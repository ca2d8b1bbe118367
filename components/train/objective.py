"""Objectives: a model and a step's batches -> named losses, as sums and counts.

Papers 4 and 5. A loss is a sum and the count that normalises it; `loop` adds the counts of
all workers first, so that N workers give the losses of one with the same batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from components.boxes.matching import key
from components.data.sample import Batch
from components.losses.box_regression import smooth_l1_sum
from components.losses.classification import (
    sigmoid_sum,
    soft_softmax_sum,
    soft_targets,
    softmax_sum,
)
from components.losses.hierarchy import BACKGROUND, Relatives, hierarchy_sum
from components.models.choices import Stage1, Stage2
from components.models.proposals import Proposed
from components.models.two_stage import Detector, PooledClassifier
from components.train.assign import Anchored, Drawn, Moment, draw_anchors, draw_regions


@dataclass(frozen=True, slots=True)
class Loss:
    """A sum over this worker's items, how many they are, and the weight of the mean."""

    total: Tensor  # scalar, with gradient
    count: Tensor  # scalar; the mean is over all workers' counts
    weight: float = 1.0


DROPOUT = 4  # purpose of a draw; `assign` and `fit_rows` have the others
Losses = dict[str, Loss]
Batches = Mapping[str, Batch]
Objective = Callable[..., Losses]  # (model, batches, *, moment) -> losses


def classify(
    model: Detector | PooledClassifier, batches: Batches, *, moment: Moment, multi: str = "soft"
) -> Losses:
    """Return stage I's loss: g-hat of the whole picture as one region, without background."""
    del moment  # nothing is drawn
    return {"image": _image_loss(model, batches["labels"], multi=multi, weight=1.0)}


def joint(
    model: Detector,
    batches: Batches,
    *,
    moment: Moment,
    image_weight: float,
    multi: str = "soft",
) -> Losses:
    """Return stage II's losses: scenes teach proposals, f, g and boxes; photos teach g-hat.

    Scenes: -log S_fg - log S at objects, -log(1 - S_fg) elsewhere (Eq. 1-2; no background slot in
    g). Photos: -log S-hat of the whole picture, without the foreground term: it would push S_fg up
    everywhere; nor do they train proposals and boxes. Without photos in `batches`: scenes only.
    Differs: the sums of g and of the boxes are divided by all regions drawn, not by the objects
    among them: few objects in a batch then weigh little, as in torchvision. (200 steps on 600
    photos of clothes: AP50 .35; .33 with boxes divided by the objects. One seed.)
    """
    found = _draw(model, batches["boxes"], moment=moment)
    x, drawn = found.features, found.drawn
    foreground, classes = model.scores.foreground(x)[:, 0], model.scores.boxed(found.objects)
    regions = _count(len(x), x)
    said = {
        "foreground": (sigmoid_sum(foreground, drawn.is_object), regions, foreground),
        "class": (
            softmax_sum(classes, drawn.labels, weights_R=drawn.weights), regions, classes,
        ),
    }  # fmt: skip
    losses = _losses(model, found, said)
    if "labels" in batches:
        losses["image"] = _image_loss(model, batches["labels"], multi=multi, weight=image_weight)
    return losses


def transfer(model: Detector, batches: Batches, *, moment: Moment, relatives: Relatives) -> Losses:
    """Return the losses of Faster R-CNN with sigmoid scores of transferred rows (paper 4).

    Proposals, classes, boxes, and what the transfer network itself asks for (the reconstruction
    of all rows of the source, times alpha). Twice the mean over regions of the sum over classes,
    as in the published code; a region without an object is a no to every class.

    Args:
        model: with `transfer`.
        batches: `boxes`.
        moment: of the draws.
        relatives: which class implies which, of the boxed classes in their order.
    """
    found = _draw(model, batches["boxes"], moment=moment)
    x, drawn = found.features, found.drawn
    assert model.transfer is not None, "rows to be learnt"  # noqa: S101
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        torch.manual_seed(key(moment.seed, moment.step, 0, purpose=DROPOUT))  # alike on all workers
        scored = model.transfer(x)
    logits = scored.logits
    labels = drawn.labels.new_full((len(x),), BACKGROUND)
    labels[drawn.is_object] = drawn.labels
    weights = logits.new_ones(len(x))
    weights[drawn.is_object] = drawn.weights
    total = 2 * hierarchy_sum(logits, labels, relatives=relatives.to(x.device), weights_R=weights)
    losses = _losses(model, found, {"class": (total, _count(len(x), x), logits)})
    losses["transfer"] = Loss(scored.penalty, _count(1, x))
    return losses


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """The anchors and regions that were drawn of a batch of scenes."""

    proposed: Proposed
    anchored: Anchored
    drawn: Drawn
    features: Tensor  # [R, D]
    objects: Tensor  # [Q, D], the rows of features that are objects


Said = dict[str, tuple[Tensor, Tensor, Tensor]]  # a sum, its count, the outputs it is made of


def _draw(model: Detector, scenes: Batch, *, moment: Moment) -> _Found:
    maps = model.maps(scenes)
    proposed = model.propose(maps, scenes)
    anchored = draw_anchors(proposed, scenes, moment=moment, size=model.row.anchors_drawn)
    drawn = draw_regions(proposed, scenes, moment=moment, size=model.row.regions_drawn)
    x = model.features(maps, drawn.boxes)
    return _Found(
        proposed=proposed, anchored=anchored, drawn=drawn, features=x, objects=x[drawn.is_object]
    )


def _losses(model: Detector, found: _Found, scores: Said) -> Losses:
    """Return the losses of proposals, of the scores given, and of boxes."""
    proposed, anchored, drawn = found.proposed, found.anchored, found.drawn
    anchors = _count(len(anchored.drawn), found.features)
    regions = _count(len(found.features), found.features)
    deltas = model.refine(found.objects)
    objectness = proposed.objectness.flatten()[anchored.drawn]
    shifts = proposed.deltas.flatten(0, 1)[anchored.objects]
    sums = {
        "rpn_object": (sigmoid_sum(objectness, anchored.is_object), anchors, proposed.objectness),
        "rpn_box": (smooth_l1_sum(shifts, anchored.wanted), anchors, proposed.deltas),
        **scores,
        "box": (smooth_l1_sum(deltas, drawn.wanted, weights_R=drawn.weights), regions, deltas),
    }
    return {name: Loss(_whole(total, of), count) for name, (total, count, of) in sums.items()}


def _image_loss(
    model: Detector | PooledClassifier, photos: Batch, *, multi: str, weight: float
) -> Loss:
    """Return the loss of each photo's classes, averaged over the levels it is pooled from."""
    logits_NLF = model.image_logits(photos)
    n, levels, classes = logits_NLF.shape
    per_image = photos.present_offsets[1:] - photos.present_offsets[:-1]
    owners = torch.repeat_interleave(torch.arange(n), per_image)
    targets = soft_targets(photos.present, owners, rows=n, classes=classes)
    labelled = (targets.sum(1) > 0).to(logits_NLF.device)
    targets = targets.to(logits_NLF)[:, None].expand(n, levels, classes)
    pairs = logits_NLF[labelled].flatten(0, 1), targets[labelled].flatten(0, 1)
    total = MULTI[multi](*pairs)
    total = _whole(total / levels, logits_NLF)
    return Loss(total, labelled.sum().to(logits_NLF.dtype), weight)


def _whole(total: Tensor, outputs: Tensor) -> Tensor:
    """Return a sum, or NaN where any output it could have been made of is not finite.

    Only some anchors and regions are drawn for a loss; a network that overflows elsewhere must
    stop all the same.
    """
    return torch.where(torch.isfinite(outputs).all(), total, torch.nan)


def _sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    return sigmoid_sum(logits, (targets > 0).to(logits.dtype))


def _count(n: int, like: Tensor) -> Tensor:
    return torch.tensor(n, dtype=like.dtype, device=like.device)


MULTI: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "soft": soft_softmax_sum,
    "sigmoid": _sigmoid,
}


def for_classify(stage: Stage1) -> Objective:
    """Return stage I's objective with its settings."""
    return partial(classify, multi=stage.multi)


def for_joint(stage: Stage2) -> Objective:
    """Return stage II's objective with its settings."""
    return partial(joint, image_weight=stage.image_weight, multi=stage.multi)


def idle_parts(
    model: Detector | PooledClassifier, objective: str, *, photos: bool
) -> list[nn.Module]:
    """List the modules that an objective gives no gradient, which are therefore not trained.

    Args:
        model: what is trained.
        objective: classify, joint or transfer.
        photos: whether its steps hold photos with labels.
    """
    if isinstance(model, PooledClassifier):
        d = model.detector
        return [d.pyramid, d.proposals, d.region_head, d.scores, d.refine]
    if objective == "classify":
        own = (model.proposals, model.scores.foreground, model.scores.boxed, model.refine)
        return [*own, *model.pyramid.proposals_only]
    if objective == "transfer":
        return [model.scores]
    return [] if photos else [model.scores.labelled]
