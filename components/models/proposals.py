"""Where objects may be: anchors, their objectness, and the boxes that survive.

Ren et al., Faster R-CNN, 2015, section 3.1. Losses are not computed here: they are normalised
over all workers, which only the training loop knows.
Shapes: N images, A anchors an image, P proposals of one image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import batched_nms

from components.boxes.coding import decode
from components.boxes.geometry import centers_inside, clip

RPN_WEIGHTS = (1.0, 1.0, 1.0, 1.0)  # of deltas
SAME = 0.7  # IoU from which two proposals of a level are one
LEAST = 1e-3  # px: sides of a proposal


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposed:
    """What the network says of every anchor, and the proposals made of it."""

    anchors: Tensor  # [A, 4] pixels
    objectness: Tensor  # [N, A] logits
    deltas: Tensor  # [N, A, 4]
    inside: Tensor  # bool [N, A]: the centre is in the picture, not in its padding
    boxes: list[Tensor]  # per image [P, 4] pixels, best first, without gradient


class Proposals(nn.Module):
    """Maps of several strides -> anchors with objectness -> proposals."""

    def __init__(
        self,
        *,
        width: int,
        anchors: dict[str, tuple[float, ...]],
        ratios: tuple[float, ...],
        candidates: int,
        keep: int,
    ) -> None:
        super().__init__()
        self.levels, self.candidates, self.keep = tuple(anchors), candidates, keep
        self.anchors = AnchorGenerator(tuple(anchors.values()), (ratios,) * len(anchors))
        self.head = RPNHead(width, self.anchors.num_anchors_per_location()[0])
        for module in self.head.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)  # section 3.1.3

    def forward(self, maps: dict[str, Tensor], sizes_N2: Tensor) -> Proposed:
        """Return every anchor's outputs and each image's proposals.

        Args:
            maps: by stride; those of the levels that have anchors are used.
            sizes_N2: height and width of the picture in each padded image.
        """
        used = [maps[level] for level in self.levels]
        anchors_A4, level_A = self._anchors(used)
        logits, deltas = self.head(used)
        objectness = torch.cat([_flat(x, 1)[..., 0] for x in logits], 1)
        shifts = torch.cat([_flat(x, 4) for x in deltas], 1)
        sizes = sizes_N2.to(anchors_A4.device)
        inside = torch.stack([centers_inside(anchors_A4, size) for size in sizes])
        with torch.no_grad():
            best = self._best(objectness.masked_fill(~inside, -torch.inf), level_A)
            boxes = self._keep(best, anchors_A4, shifts, sizes)
        return Proposed(
            anchors=anchors_A4, objectness=objectness, deltas=shifts, inside=inside, boxes=boxes
        )

    def _anchors(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        self.anchors.set_cell_anchors(maps[0].dtype, maps[0].device)
        grids = [list(x.shape[-2:]) for x in maps]
        steps = [[torch.tensor(int(s), device=maps[0].device)] * 2 for s in self.levels]
        parts = self.anchors.grid_anchors(grids, steps)
        level = [torch.full((len(p),), i, device=p.device) for i, p in enumerate(parts)]
        return torch.cat(parts), torch.cat(level)

    def _best(self, ranked_NA: Tensor, level_A: Tensor) -> "_Best":
        """Return the best anchors of each level, equal ones in the order of anchors.

        That order is the same in whatever batch an image comes.
        """
        found: list[Tensor] = []
        for i in range(len(self.levels)):
            of_level = torch.nonzero(level_A == i).flatten()
            order = ranked_NA[:, of_level].sort(dim=1, descending=True, stable=True).indices
            found.append(of_level[order[:, : self.candidates]])
        index = torch.cat(found, 1)
        return _Best(index=index, scores=ranked_NA.gather(1, index), levels=level_A[index])

    def _keep(
        self, best: "_Best", anchors_A4: Tensor, deltas_NA4: Tensor, sizes_N2: Tensor
    ) -> list[Tensor]:
        """Decode, clip, drop empty boxes and near copies; return each image's proposals."""
        deltas = deltas_NA4.gather(1, best.index[..., None].expand(-1, -1, 4))
        boxes = decode(deltas, anchors_A4[best.index], weights=RPN_WEIGHTS)
        boxes = clip(boxes, sizes_N2[:, None])
        good = (boxes[..., 2:] - boxes[..., :2] >= LEAST).all(-1) & best.scores.isfinite()
        kept: list[Tensor] = []
        for i, alive in enumerate(good):
            b, s, levels = boxes[i][alive], best.scores[i][alive], best.levels[i][alive]
            kept.append(b[batched_nms(b, s, levels, SAME)[: self.keep]])
        return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class _Best:
    """The best anchors of each image, level after level: [N, B]."""

    index: Tensor
    scores: Tensor
    levels: Tensor


def _flat(x: Tensor, per_anchor: int) -> Tensor:
    """Turn [N, a * v, H, W] into [N, H * W * a, v], in the order of the anchors."""
    n, _, h, w = x.shape
    return x.view(n, -1, per_anchor, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, per_anchor)
