"""Features of a finished detector's regions, with the class of each: what a transfer is fitted on.

Shapes: R regions of all pictures, F features, C boxed classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.ops import nms

from components.boxes.coding import decode
from components.boxes.geometry import clip
from components.boxes.matching import LEFT_OUT, NEGATIVE, Rule, match
from components.data.sample import Batch
from components.data.shards import Shards
from components.data.stream import plain_batches
from components.data.views import PlainView
from components.models.two_stage import Detector, inference
from components.train.assign import truths
from components.train.checkpoint import read_tensors
from components.train.job import taught
from components.train.weights_file import CLASSES, WeightsError
from components.vocab.classes import Vocabulary

FILE = "features.safetensors"
RULE = Rule(positive=0.5, negative=0.4)
SAME = 0.7  # IoU: of two regions that overlap by more, the one with the better foreground is kept


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionFeatures:
    """Regions with and without an object."""

    boxed: Vocabulary  # C classes that have boxes
    features: Tensor  # float32 [R, F]
    labels: Tensor  # int64 [R] class, or -1 for a region without an object

    def write(self, folder: Path) -> None:
        """Write into a folder that is there; equal regions give equal bytes."""
        save_file({"features": self.features, "labels": self.labels}, folder / FILE)
        self.boxed.write(folder / CLASSES)

    @classmethod
    def read(cls, folder: Path) -> "RegionFeatures":
        """Read what `write` wrote.

        Raises:
            WeightsError: it is no such file.
        """
        tensors = read_tensors(folder / FILE)
        if set(tensors) != {"features", "labels"}:
            raise WeightsError(
                f"{folder / FILE}: features and labels; got {', '.join(tensors)}. Make it again."
            )
        return cls(boxed=Vocabulary.read(folder / CLASSES), **tensors)


def region_features(
    detector: Detector,
    shards: Shards,
    *,
    size: int,
    batch: int,
    per_picture: int,
    feature: Literal["head", "trunk"],
    say: Callable[[int], None],
) -> RegionFeatures:
    """Return features of a detector's regions over pictures with boxes, and of the true boxes.

    Of each picture the `per_picture` regions that most look like an object are kept, and every
    true box; one that overlaps an object by .4 to .5 is neither an object nor background.

    Args:
        detector: finished; with a trunk feature where that is asked for.
        shards: pictures with boxes.
        size: long side of the pictures shown to it, px.
        batch: pictures at once.
        per_picture: regions kept.
        feature: head, of proposals, as `Detector.regions` scores them; trunk, of boxes found.
        say: told how many pictures are done.
    """
    boxed, columns = taught(shards, by="boxes")
    view = PlainView(size=size, pad_to=detector.row.pad_to)
    features: list[Tensor] = []
    labels: list[Tensor] = []
    done = 0
    for pictures in plain_batches(shards, view=view, size=batch, labels=columns):
        for x, y in _of_batch(detector, pictures, per_picture=per_picture, feature=feature):
            features.append(x)
            labels.append(y)
        done += len(pictures)
        say(done)
    return RegionFeatures(
        boxed=boxed, features=torch.cat(features).float(), labels=torch.cat(labels)
    )


def _of_batch(
    detector: Detector, batch: Batch, *, per_picture: int, feature: str
) -> list[tuple[Tensor, Tensor]]:
    with inference(detector):
        trunk = detector.trunk(detector.pixels(batch))
        maps = detector.pyramid(trunk)
        proposed = detector.propose(maps, batch)
        known = truths(batch, like=proposed.anchors)
        looked = [torch.cat([p, t.boxes]) for p, t in zip(proposed.boxes, known, strict=True)]
        counts = [len(boxes) for boxes in looked]
        x = detector.features(maps, looked)
        found = decode(detector.refine(x), torch.cat(looked)).split(counts)
        found = [clip(b, batch.image_size[i]) for i, b in enumerate(found)]
        foreground = detector.scores.foreground(x)[:, 0].split(counts)
        kept = [
            _kept(boxes, scores, true=len(truth.boxes), most=per_picture)
            for boxes, scores, truth in zip(found, foreground, known, strict=True)
        ]
        if feature == "trunk":
            looked = [
                torch.cat([boxes[: len(boxes) - len(t.boxes)], t.boxes])
                for boxes, t in zip(found, known, strict=True)
            ]
            seen = [boxes[k] for boxes, k in zip(looked, kept, strict=True)]
            parts = detector.trunk_features(trunk, seen).split([len(k) for k in kept])
        else:
            parts = [of[k] for of, k in zip(x.split(counts), kept, strict=True)]
        rows: list[tuple[Tensor, Tensor]] = []
        for part, boxes, k, truth in zip(parts, looked, kept, known, strict=True):
            matched = match(boxes[k], truth.boxes, rule=RULE, ignored_I4=truth.ignored)
            clear = matched != LEFT_OUT
            label = matched.new_full(matched.shape, NEGATIVE)
            label[matched >= 0] = truth.labels[matched[matched >= 0]]
            rows.append((part[clear].cpu(), label[clear].cpu()))
        return rows


def _kept(boxes: Tensor, scores: Tensor, *, true: int, most: int) -> Tensor:
    """Return the places of the best regions that are not one another, and of the true boxes."""
    proposals = len(boxes) - true
    best = nms(boxes[:proposals], scores[:proposals], SAME)[:most]
    return torch.cat([best, torch.arange(proposals, len(boxes), device=best.device)])
