"""Which anchors and regions a batch is trained on, and what each should say.

Ren et al., Faster R-CNN, 2015, sections 3.1.2-3.1.3. Every draw is keyed by (seed, step, row of
the data set): workers that share a batch out draw what one worker would.
Shapes: N images, A anchors, R regions drawn of all images, S anchors drawn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from components.boxes.coding import encode
from components.boxes.matching import LEFT_OUT, Rule, key, match, sample
from components.data.labelled import CROWD, GROUP_OF, IGNORE
from components.data.sample import Batch
from components.models.proposals import RPN_WEIGHTS, Proposed

ANCHOR_RULE = Rule(positive=0.6, negative=0.3, best_counts=True)
REGION_RULE = Rule(positive=0.5, negative=0.5)
OBJECTS = 0.5  # largest share of objects among those drawn
NOT_TAUGHT = CROWD | GROUP_OF | IGNORE  # flags: neither an object nor background
ANCHORS, REGIONS = 1, 2  # purposes of a draw


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """When a batch is trained on: all that a random draw may depend on beside its row."""

    seed: int
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchored:
    """Anchors drawn for the proposals' loss."""

    drawn: Tensor  # int64 [S] index into [N * A]
    is_object: Tensor  # [S] 1 or 0
    objects: Tensor  # int64 [Q] index into [N * A]
    wanted: Tensor  # [Q, 4] deltas


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """Regions drawn for the second stage's losses."""

    boxes: list[Tensor]  # per image [., 4]: objects first
    is_object: Tensor  # bool [R]
    labels: Tensor  # int64 [Q], of the objects in their order
    weights: Tensor  # [Q], of their truths
    wanted: Tensor  # [Q, 4] deltas


@dataclass(frozen=True, kw_only=True, slots=True)
class _Truth:
    boxes: Tensor
    labels: Tensor
    weights: Tensor
    ignored: Tensor
    row: int


def truths(batch: Batch, *, like: Tensor) -> list[_Truth]:
    """Return each image's taught boxes and its ignored ones, in the type and place of `like`."""
    found: list[_Truth] = []
    for i in range(len(batch)):
        at = slice(int(batch.offsets[i]), int(batch.offsets[i + 1]))
        boxes = batch.boxes[at].to(like)
        taught = ((batch.flags[at] & NOT_TAUGHT) == 0) & (batch.labels[at] >= 0)
        taught = taught.to(like.device) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        labels = batch.labels[at].to(like.device)
        weights = batch.weights[at].to(like)
        found.append(
            _Truth(
                boxes=boxes[taught],
                labels=labels[taught],
                weights=weights[taught],
                ignored=boxes[~taught],
                row=int(batch.row[i]),
            )
        )
    return found


def draw_anchors(proposed: Proposed, batch: Batch, *, moment: Moment, size: int) -> Anchored:
    """Draw `size` anchors an image; anchors centred in the padding are left out."""
    anchors = proposed.anchors
    drawn, is_object, objects, wanted = [], [], [], []
    for i, truth in enumerate(truths(batch, like=anchors)):
        matched = match(anchors, truth.boxes, rule=ANCHOR_RULE, ignored_I4=truth.ignored)
        matched = torch.where(proposed.inside[i] | (matched >= 0), matched, LEFT_OUT)
        seed = key(moment.seed, moment.step, truth.row, purpose=ANCHORS)
        yes, no = sample(matched, size=size, positive=OBJECTS, seed=seed)
        at = torch.cat([yes, no]) + i * len(anchors)
        drawn.append(at)
        is_object.append(torch.arange(len(at), device=at.device) < len(yes))
        objects.append(yes + i * len(anchors))
        wanted.append(encode(truth.boxes[matched[yes]], anchors[yes], weights=RPN_WEIGHTS))
    return Anchored(
        drawn=torch.cat(drawn),
        is_object=torch.cat(is_object),
        objects=torch.cat(objects),
        wanted=torch.cat(wanted),
    )


def draw_regions(proposed: Proposed, batch: Batch, *, moment: Moment, size: int) -> Drawn:
    """Draw `size` regions an image from its proposals and its true boxes."""
    boxes, is_object, labels, weights, wanted = [], [], [], [], []
    for i, truth in enumerate(truths(batch, like=proposed.anchors)):
        found = torch.cat([proposed.boxes[i], truth.boxes])
        matched = match(found, truth.boxes, rule=REGION_RULE, ignored_I4=truth.ignored)
        seed = key(moment.seed, moment.step, truth.row, purpose=REGIONS)
        yes, no = sample(matched, size=size, positive=OBJECTS, seed=seed)
        boxes.append(found[torch.cat([yes, no])])
        is_object.append(torch.arange(len(yes) + len(no), device=yes.device) < len(yes))
        which = matched[yes]
        labels.append(truth.labels[which])
        weights.append(truth.weights[which])
        wanted.append(encode(truth.boxes[which], found[yes]))
    return Drawn(
        boxes=boxes,
        is_object=torch.cat(is_object),
        labels=torch.cat(labels),
        weights=torch.cat(weights),
        wanted=torch.cat(wanted),
    )
