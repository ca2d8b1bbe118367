"""The detector: trunk, pyramid, proposals, region features, decoupled scores, refined boxes.

Paper 5, section 3: stage I classifies the whole picture as one region, so that trunk, pyramid and
region head are all trained by image labels; stage II adds boxes. `forward` is left undefined: an
objective or `regions` says which parts a batch goes through.
Shapes: N images, R regions of all images, C boxed classes, F labelled classes, L region levels.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from components.boxes.coding import decode
from components.boxes.geometry import clip
from components.data.sample import Batch
from components.models.backbone import AnyPyramid, BackboneRow, Trunk, row_of
from components.models.choices import Backbone
from components.models.class_weights import ClassWeights, ExportedScorer
from components.models.proposals import Proposals, Proposed
from components.models.region_head import RegionHead
from components.models.scores import DecoupledScorer, LinearScorer, Regions
from components.models.trunk_feature import TrunkFeature, mean_inside
from components.shapes import expect_finite
from components.transfer.rows import ClassRows
from components.vocab.classes import Vocabulary


class BatchSizeError(ValueError):
    """A batch does not fit the strides of the network."""


class NoTrunkFeatureError(ValueError):
    """A backbone has no classifier of whole pictures whose features a region could have."""


class Detector(nn.Module):
    """Two stages, two classifiers; see `build`."""

    trunk_feature: TrunkFeature | None  # of those detectors only that score by it
    exported: ExportedScorer | None  # stands for `scores` where it is there
    transfer: ClassRows | None  # the same, while rows are learnt from a classifier's (paper 4)

    def __init__(self, row: BackboneRow, trunk: Trunk, classes: tuple[int, int]) -> None:
        super().__init__()
        self.row = row
        self.trunk: Trunk = trunk
        self.pyramid: AnyPyramid = row.pyramid(trunk.channels, width=row.width)
        self.proposals = Proposals(
            width=row.width,
            anchors=row.anchors,
            ratios=row.ratios,
            candidates=row.candidates,
            keep=row.proposals,
        )
        self.region_head = RegionHead(
            width=row.width, levels=row.roi_levels, canonical=row.canonical, features=row.head
        )
        self.scores = DecoupledScorer(features=row.head, boxed=classes[0], labelled=classes[1])
        self.refine = LinearScorer(row.head, 4)  # one box for all classes
        self.trunk_feature = self.exported = self.transfer = None
        self.register_buffer("scale", 1 / (255 * torch.tensor(row.std)), persistent=False)
        shift = -torch.tensor(row.mean) / torch.tensor(row.std)
        self.register_buffer("shift", shift, persistent=False)
        self.boxed = self.labelled = Vocabulary(ids=(), names=())

    def maps(self, batch: Batch) -> dict[str, Tensor]:
        """Return the pyramid's maps of a batch of uint8 pictures, by stride.

        Raises:
            BatchSizeError: the side of the batch is no multiple of the row's `pad_to`.
        """
        return self.pyramid(self.trunk(self.pixels(batch)))

    def pixels(self, batch: Batch) -> Tensor:
        """Return normalised pictures [N, 3, H, W], channels last in memory."""
        height, width = batch.image.shape[1:3]
        if height % self.row.pad_to or width % self.row.pad_to:
            raise BatchSizeError(
                f"batch: sides must be multiples of {self.row.pad_to}; got {height} x {width}. "
                f"Set pad_to of the view to {self.row.pad_to}."
            )
        scale, shift = cast("Tensor", self.scale), cast("Tensor", self.shift)
        image = batch.image.to(scale.device, non_blocking=True).to(scale.dtype)
        return (image * scale + shift).permute(0, 3, 1, 2)

    def propose(self, maps: dict[str, Tensor], batch: Batch) -> Proposed:
        """Return anchors, objectness and proposals of a batch."""
        return self.proposals(maps, batch.image_size)

    def features(self, maps: dict[str, Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return region features [R, D]."""
        return self.region_head(maps, boxes)

    def score_by(self, weights: ClassWeights) -> None:
        """Score by exported classes from now on; the rows of `scores` go."""
        features = self.row.head
        foreground = self.scores.foreground
        self.exported = ExportedScorer(weights, foreground=foreground)
        self.scores = DecoupledScorer(features=features, boxed=0, labelled=0)
        self.scores.foreground = self.exported.foreground or LinearScorer(features, 0)
        self.boxed, self.labelled = weights.vocabulary("boxed"), weights.vocabulary("labelled")

    def add_trunk_feature(self) -> TrunkFeature:
        """Make the trunk's own region features a part of this detector; return it, to be filled.

        Raises:
            NoTrunkFeatureError: the backbone has none.
        """
        if self.row.trunk_feature is None:
            raise NoTrunkFeatureError(
                "backbone: its trunk has no features that somebody's classifier reads; got the "
                "small one. Use resnet or lite0."
            )
        self.trunk_feature = self.row.trunk_feature(self.trunk.channels)
        return self.trunk_feature

    def trunk_features(self, trunk: dict[str, Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return the trunk's region features [R, G].

        Args:
            trunk: the trunk's maps, of `self.trunk`, not of the pyramid.
            boxes: of each image, px; those found, that is refined, fit better than proposals.

        Raises:
            NoTrunkFeatureError: `add_trunk_feature` was not called.
        """
        if self.trunk_feature is None:
            raise NoTrunkFeatureError(
                "detector: features of the trunk are asked for; got none. Call add_trunk_feature."
            )
        return self.trunk_feature(trunk, boxes)

    def image_logits(self, batch: Batch) -> Tensor:
        """Return g-hat of the whole picture as a region, [N, L, F]; the padding is left out."""
        trunk = self.trunk(self.pixels(batch))
        scores, feature = self.exported, self.trunk_feature
        if scores is not None and scores.labelled_feature == "trunk" and feature is not None:
            return scores.labelled(feature.whole(trunk, batch.image_size))[:, None]
        whole = self.region_head.whole(self.pyramid(trunk), batch.image_size)
        return self.scores.labelled(whole) if scores is None else scores.labelled(whole)

    def classify(self, batch: Batch) -> Tensor:
        """Return the labelled classes' logits [N, F] of each whole picture, without gradient."""
        with inference(self):
            return self.image_logits(batch).mean(1)

    def regions(self, batch: Batch) -> list[Regions]:
        """Return each picture's regions with their scores (Eq. 1-3), without gradient.

        Raises:
            NotFiniteError: an output is; dropped in silence it would be "nothing found".
        """
        with inference(self):
            trunk = self.trunk(self.pixels(batch))
            maps = self.pyramid(trunk)
            proposed = self.propose(maps, batch)
            x = self.features(maps, proposed.boxes)
            boxes = decode(self.refine(x), torch.cat(proposed.boxes))
            counts = [len(b) for b in proposed.boxes]
            sizes = batch.image_size.to(boxes.device)
            seen = [clip(b, sizes[i]) for i, b in enumerate(boxes.split(counts))]
            found = (boxes, *self._scores(x, trunk, seen, sizes))
            every = (proposed.objectness, proposed.deltas, *found)
            sums = torch.stack([part.sum() for part in every])  # cheap; NaN stays NaN
            expect_finite("detector, outputs", sums, do="Look at its weights.")
            parts = [p.split(counts) for p in found]
            return [
                Regions(boxes=seen[i], foreground=f, boxed=s, labelled=h)
                for i, (_, f, s, h) in enumerate(zip(*parts, strict=True))
            ]

    def _scores(
        self, x: Tensor, trunk: dict[str, Tensor], boxes: list[Tensor], sizes_N2: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return S_fg and the scores of both groups of classes, by whatever scores them."""
        scorer, feature = self.exported, self.trunk_feature
        if scorer is None:
            return self.scores.probabilities(x)
        if feature is None or not scorer.reads_trunk:
            return scorer.probabilities(x)
        near, around = self.trunk_features(trunk, boxes), None
        if scorer.context > 0:
            counts = torch.tensor([len(b) for b in boxes], device=near.device)
            around = feature.whole(trunk, sizes_N2).repeat_interleave(counts, 0)
        return scorer.probabilities(x, near, around)


class PooledClassifier(nn.Module):
    """Paper 5, "without the reformulation": average pool of the last map and a linear layer.

    Only the trunk moves on to stage II.
    """

    def __init__(self, detector: Detector, *, seed: int) -> None:
        super().__init__()
        self.detector = detector
        last = list(detector.trunk.channels.values())[-1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of the fresh weights, as in `build`
            self.linear = nn.Linear(last, len(detector.labelled.ids))

    def image_logits(self, batch: Batch) -> Tensor:
        """Return logits [N, 1, F]; the padding is left out of the average."""
        trunk, pixels = self.detector.trunk, self.detector.pixels(batch)
        stride, last = list(trunk(pixels).items())[-1]
        pooled = mean_inside(last, batch.image_size, stride=int(stride))
        return self.linear(pooled)[:, None]


def build(
    backbone: Backbone, *, boxed: Vocabulary, labelled: Vocabulary, seed: int = 0
) -> Detector:
    """Return a detector with fresh weights, a function of the settings and the seed alone.

    Args:
        backbone: picks a row of BACKBONES; `backbone.weights` is not read from disk here, it
            only says whether there will be weights to keep fixed.
        boxed: classes of g (Eq. 2); may be empty.
        labelled: classes of g-hat (Eq. 3); may be empty.
        seed: of the fresh weights; torch's global generator is left where it was.
    """
    row = row_of(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector = Detector(row, row.trunk(backbone), (len(boxed.ids), len(labelled.ids)))
    detector.boxed, detector.labelled = boxed, labelled
    return detector


@contextmanager
def inference(model: nn.Module) -> Generator[None]:
    """Evaluate without gradient; the mode of every module is restored afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
