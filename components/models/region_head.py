"""From a box on feature maps to the features of a region.

RoIAlign (He et al., 2017) and two layers. Layer normalisation and He's start are needed: without
them a hundred classes do not leave chance in hundreds of steps (measured with 120 classes).
Shapes: N images, R regions of all images, D features.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from components.boxes.geometry import area

SIDE = 7  # cells a region is pooled into
SAMPLES = 2  # points a cell and axis


class RegionHead(nn.Module):
    """Pool boxes from one level or several; two layers of `features` units."""

    def __init__(
        self, *, width: int, levels: tuple[str, ...], canonical: float, features: int
    ) -> None:
        super().__init__()
        self.levels, self.canonical = levels, canonical
        self.layers = nn.Sequential(
            nn.Linear(width * SIDE * SIDE, features),
            nn.LayerNorm(features),
            nn.ReLU(inplace=True),
            nn.Linear(features, features),
            nn.LayerNorm(features),
            nn.ReLU(inplace=True),
        )
        for module in self.layers:
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, maps: dict[str, Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return features [R, D] of each image's boxes, pixels, in their order."""
        rois_R5 = with_image(boxes)
        if len(self.levels) == 1:
            return self.layers(self._pool(maps, self.levels[0], rois_R5).flatten(1))
        level_R = self.level_of(rois_R5[:, 1:])
        rows = [torch.nonzero(level_R == i).flatten() for i in range(len(self.levels))]
        pooled = [
            self._pool(maps, name, rois_R5[k]) for name, k in zip(self.levels, rows, strict=True)
        ]
        back = torch.cat(rows).argsort()
        return self.layers(torch.cat(pooled).flatten(1)[back])

    def whole(self, maps: dict[str, Tensor], sizes_N2: Tensor) -> Tensor:
        """Return features [N, L, D] of each whole picture, pooled from each of the L levels.

        By its size alone a picture would be pooled from the coarsest level, and a head trained so
        would never have met the levels that small objects come from.
        """
        size = sizes_N2.to(maps[self.levels[0]])
        boxes_N4 = torch.cat([torch.zeros_like(size), size.flip(1)], 1)
        rois_N5 = with_image(list(boxes_N4[:, None]))
        pooled = [self.layers(self._pool(maps, x, rois_N5).flatten(1)) for x in self.levels]
        return torch.stack(pooled, 1)

    def level_of(self, boxes_R4: Tensor) -> Tensor:
        """Return the index of the level each box is pooled from (Lin et al., 2017, Eq. 1)."""
        side = area(boxes_R4).clamp(min=1e-6).sqrt()
        wanted = torch.floor(4 + torch.log2(side / self.canonical) + 1e-6)
        first = int(math.log2(int(self.levels[0])))
        return (wanted - first).clamp(0, len(self.levels) - 1).to(torch.int64)

    def _pool(self, maps: dict[str, Tensor], level: str, rois_R5: Tensor) -> Tensor:
        scale = 1 / int(level)
        return roi_align(maps[level], rois_R5, SIDE, scale, SAMPLES, aligned=True)


def with_image(boxes: Sequence[Tensor]) -> Tensor:
    """Return rows [R, 5] for RoIAlign: the image's index, then the box."""
    rows = [torch.cat([b.new_full((len(b), 1), i), b], 1) for i, b in enumerate(boxes)]
    return torch.cat(rows)
