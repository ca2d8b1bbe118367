"""Table of backbones: a trunk, a pyramid, and the numbers that go with them.

A row says all a detector needs to know of its trunk; nothing else asks which kind it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.models.choices import Backbone
from components.models.pretrained_trunks import Lite0Trunk, Pyramid, ResnetTrunk
from components.models.small_trunk import SmallPyramid, SmallTrunk
from components.models.trunk_feature import TrunkFeature, lite0_feature, pooled_feature

Trunk = SmallTrunk | ResnetTrunk | Lite0Trunk
AnyPyramid = SmallPyramid | Pyramid


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneRow:
    """A trunk and its numbers. Levels are named by their stride in pixels."""

    trunk: Callable[[Any], Trunk]  # settings -> images [N, 3, H, W] -> maps by stride
    pyramid: Callable[..., AnyPyramid]  # (channels, width=) -> maps -> maps of `width` channels
    width: int
    anchors: dict[str, tuple[float, ...]]  # sides in px, by level
    ratios: tuple[float, ...]  # height / width of an anchor
    roi_levels: tuple[str, ...]  # regions are pooled from these
    canonical: float  # px: a square region of this side is pooled from stride 16
    mean: tuple[float, float, float]  # of pixels in 0..1
    std: tuple[float, float, float]
    head: int  # features of a region
    pad_to: int  # sides of a batch are multiples of this
    candidates: int  # anchors a level that proposals are made of
    proposals: int  # kept a picture
    anchors_drawn: int  # a picture, for the proposals' loss
    regions_drawn: int  # a picture, for the regions' losses
    trunk_feature: Callable[[Mapping[str, int]], TrunkFeature] | None = None
    # (channels of the trunk) -> what a classifier of whole pictures sees, of a region


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_LARGE: dict[str, Any] = {
    "pyramid": Pyramid,
    "width": 128,
    "anchors": {"8": (16, 24, 32), "16": (48, 64, 80), "32": (112, 160, 224)},
    "ratios": (0.5, 1.0, 2.0),
    "roi_levels": ("8", "16", "32"),
    "canonical": 112.0,
    "head": 512,
    "pad_to": 32,
    "candidates": 600,
    "proposals": 200,
    "anchors_drawn": 128,
    "regions_drawn": 64,
}

BACKBONES: dict[str, BackboneRow] = {
    "small": BackboneRow(
        trunk=lambda _: SmallTrunk(),
        pyramid=SmallPyramid,
        width=64,
        anchors={"8": (16, 24), "16": (36, 56)},
        ratios=(0.6, 1.0, 1.6),
        roi_levels=("4",),  # objects of 20 px are three cells of stride 8: too few
        canonical=64.0,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        head=256,
        pad_to=8,  # stride 16 rounds up; its anchors keep their places
        candidates=200,
        proposals=50,
        anchors_drawn=64,
        regions_drawn=48,
    ),
    "resnet": BackboneRow(trunk=ResnetTrunk, trunk_feature=pooled_feature, **IMAGENET, **_LARGE),
    "lite0": BackboneRow(
        trunk=Lite0Trunk,
        trunk_feature=lite0_feature,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        **_LARGE,
    ),
}


def row_of(cfg: Backbone) -> BackboneRow:
    """Return the row of the table that these settings choose."""
    return BACKBONES[cfg.kind]
