"""A batch of pictures with flat targets: what a network is trained on.

Boxes are xyxy, float32, pixels of the batch. Shapes: N pictures, R boxes of all pictures, P image
labels of all pictures.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

PADDING = 114  # grey of the part of a batch that is no picture


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Pictures of one size with flat targets: rows of picture i are offsets[i]:offsets[i + 1]."""

    image: Tensor  # uint8 [N, S, S', 3]
    image_size: Tensor  # int32 [N, 2] height, width of the picture; the rest is padding
    boxes: Tensor  # float32 [R, 4] pixels of the batch
    labels: Tensor  # int64 [R]
    flags: Tensor  # uint8 [R]
    weights: Tensor  # float32 [R]
    offsets: Tensor  # int64 [N + 1]
    present: Tensor  # int64 [P]
    present_offsets: Tensor  # int64 [N + 1]
    row: Tensor  # int64 [N] rows of the set: who these pictures are
    view: Tensor  # float32 [N, 2, 3] original pixels -> batch pixels

    def __len__(self) -> int:
        return len(self.row)

    def boxes_of(self, i: int) -> Tensor:
        """Return the boxes [., 4] of picture i."""
        return self.boxes[self._rows(i)]

    def labels_of(self, i: int) -> Tensor:
        """Return the labels [.] of the boxes of picture i."""
        return self.labels[self._rows(i)]

    def present_of(self, i: int) -> Tensor:
        """Return the image labels [.] of picture i."""
        return self.present[int(self.present_offsets[i]) : int(self.present_offsets[i + 1])]

    def _rows(self, i: int) -> slice:
        return slice(int(self.offsets[i]), int(self.offsets[i + 1]))

    @classmethod
    def of_pictures(cls, image: Tensor) -> "Batch":
        """Return a batch of uint8 [N, H, W, 3] pictures of which nothing is known."""
        n, height, width, _ = image.shape
        none = torch.zeros(0, dtype=torch.int64)
        same = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        return cls(
            image=image,
            image_size=torch.tensor([[height, width]] * n, dtype=torch.int32),
            boxes=torch.zeros(0, 4),
            labels=none,
            flags=none.to(torch.uint8),
            weights=torch.zeros(0),
            offsets=torch.zeros(n + 1, dtype=torch.int64),
            present=none,
            present_offsets=torch.zeros(n + 1, dtype=torch.int64),
            row=torch.arange(n),
            view=same.expand(n, 2, 3).clone(),
        )
