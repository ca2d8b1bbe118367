"""Detections as columns: picture, class, score, box; Parquet between nodes, COCO JSON outside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.shapes import expect_finite

SCHEMA = pa.schema(
    [
        ("image", pa.int32()),
        ("category", pa.int32()),
        ("score", pa.float32()),
        ("x1", pa.float32()),
        ("y1", pa.float32()),
        ("x2", pa.float32()),
        ("y2", pa.float32()),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """Q detections of many pictures, in any order."""

    image: np.ndarray  # int64 [Q] row of the shards
    category: np.ndarray  # int64 [Q] position in the class ids asked for
    score: np.ndarray  # float32 [Q]
    boxes: np.ndarray  # float32 [Q, 4] xyxy, pixels of the original picture

    def __len__(self) -> int:
        return len(self.image)

    def finite(self) -> "Detections":
        """Return these detections, or raise NotFiniteError: NaN has no place in an order."""
        do = "Detect again; look at the model's weights."
        expect_finite("detections, scores", self.score, do=do)
        expect_finite("detections, boxes", self.boxes, do=do)
        return self

    @classmethod
    def join(cls, parts: "list[Detections]") -> "Detections":
        """Return all parts as one, in their order."""
        empty = np.zeros(0, np.int64)
        boxes = [p.boxes for p in parts] or [np.zeros((0, 4), np.float32)]
        return cls(
            image=np.concatenate([empty, *(p.image for p in parts)]),
            category=np.concatenate([empty, *(p.category for p in parts)]),
            score=np.concatenate([empty.astype(np.float32), *(p.score for p in parts)]),
            boxes=np.concatenate(boxes).astype(np.float32),
        )

    def where(self, mask: np.ndarray) -> "Detections":
        """Return the rows that a bool or index array picks."""
        return Detections(
            image=self.image[mask],
            category=self.category[mask],
            score=self.score[mask],
            boxes=self.boxes[mask],
        )

    def write(self, path: Path) -> None:
        """Write Parquet; equal detections give equal bytes."""
        corners = [pa.array(self.boxes[:, i], pa.float32()) for i in range(4)]
        columns = [
            pa.array(self.image.astype(np.int32)),
            pa.array(self.category.astype(np.int32)),
            pa.array(self.score.astype(np.float32)),
            *corners,
        ]
        table = pa.Table.from_arrays(columns, schema=SCHEMA)
        pq.write_table(table, path, compression="zstd", use_dictionary=False, store_schema=False)

    @classmethod
    def read(cls, path: Path) -> "Detections":
        """Read Parquet."""
        table = pq.read_table(path, schema=SCHEMA)
        column = {name: table[name].to_numpy() for name in SCHEMA.names}
        return cls(
            image=column["image"].astype(np.int64),
            category=column["category"].astype(np.int64),
            score=column["score"],
            boxes=np.stack([column[c] for c in ("x1", "y1", "x2", "y2")], 1),
        )


def xywh(boxes_Q4: np.ndarray) -> np.ndarray:
    """Return x, y, width, height in float64 of float32 corners."""
    wide = boxes_Q4.astype(np.float64)
    return np.concatenate([wide[:, :2], wide[:, 2:] - wide[:, :2]], 1)


def coco_results(found: Detections, *, images: list[Any], categories: list[Any]) -> list[Any]:
    """Return COCO results: one object a detection.

    Args:
        found: detections.
        images: image_id of each picture, by `found.image`.
        categories: category_id of each class, by `found.category`.
    """
    return [
        {
            "image_id": images[int(i)],
            "category_id": categories[int(c)],
            "bbox": [round(v, 3) for v in box],
            "score": round(float(s), 6),
        }
        for i, c, s, box in zip(
            found.image, found.category, found.score, xywh(found.boxes).tolist(), strict=True
        )
    ]
