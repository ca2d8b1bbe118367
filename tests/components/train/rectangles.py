"""Pictures of noise with a few rectangles, whose colour is their class: a function of their row."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from components.data.labelled import Labelled, Supervision
from components.data.pack_shards import pack
from components.data.sample import Batch

CLASSES = 6
COLOURS = np.array(
    [[220, 40, 40], [40, 220, 40], [40, 40, 220], [220, 220, 40], [220, 40, 220], [40, 220, 220]]
)


def batch(
    rows: Sequence[int], *, size: int, objects: int, seed: int = 0, valid: int | None = None
) -> Batch:
    """`objects` 0: photos with one image label; else scenes with up to so many boxes."""
    pictures = [_picture(row, size, objects, seed, valid or size) for row in rows]
    boxes = [b for _, b, _ in pictures]
    labels = [k for _, _, k in pictures]
    n = len(rows)
    none, ones = np.zeros(n + 1, np.int64), np.arange(n + 1)
    offsets = np.cumsum([0, *map(len, boxes)]) if objects else none
    all_boxes = np.concatenate(boxes) if objects else np.zeros((0, 4))
    return Batch(
        image=torch.from_numpy(np.stack([p for p, _, _ in pictures])),
        image_size=torch.full((n, 2), valid or size, dtype=torch.int32),
        boxes=torch.from_numpy(all_boxes.astype(np.float32)),
        labels=torch.from_numpy(np.concatenate(labels) if objects else np.zeros(0, np.int64)),
        flags=torch.zeros(len(all_boxes), dtype=torch.uint8),
        weights=torch.ones(len(all_boxes)),
        offsets=torch.from_numpy(offsets.astype(np.int64)),
        present=torch.zeros(0, dtype=torch.int64)
        if objects
        else torch.from_numpy(np.concatenate([k[:1] for k in labels])),
        present_offsets=torch.from_numpy(none if objects else ones),
        row=torch.tensor(rows),
        view=torch.zeros(n, 2, 3),
    )


def _picture(
    row: int, size: int, objects: int, seed: int, valid: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, row, objects])
    image = np.full((size, size, 3), 114, np.uint8)
    image[:valid, :valid] = rng.integers(90, 160, (valid, valid, 3))
    boxes, labels = [], []
    for _ in range(max(1, int(rng.integers(1, objects + 1)) if objects else 1)):
        side = rng.integers(valid // 4, valid // 2, 2) if objects else [valid * 2 // 3] * 2
        x, y = (int(rng.integers(0, valid - s)) for s in side)
        k = int(rng.integers(CLASSES))
        image[y : y + side[1], x : x + side[0]] = COLOURS[k]
        boxes.append([x, y, x + side[0], y + side[1]])
        labels.append(k)
    return image, np.array(boxes, np.float64), np.array(labels, np.int64)


def steps(
    *, first: int, last: int, scenes: int, photos: int, rank: int, world: int
) -> Iterator[dict[str, Batch]]:
    """The share of a rank in each step: positions [rank G / world, (rank + 1) G / world)."""
    for step in range(first, last):
        found = {}
        for name, count, size, objects in (("boxes", scenes, 64, 3), ("labels", photos, 32, 0)):
            mine = range(rank * count // world, (rank + 1) * count // world)
            if count:
                found[name] = batch([step * count + i for i in mine], size=size, objects=objects)
        yield found


def pack_rectangles(root: Path) -> dict[str, Path]:
    """Pack photos of all classes, and scenes with boxes of four and one crowd of a fifth."""
    found = {}
    for name, count, size, objects in (("boxes", 6, 80, 4), ("labels", 24, 48, 0)):
        pictures = batch(range(count), size=size, objects=objects)
        samples = []
        for i in range(count):
            path = root / f"{name}{i}.png"
            Image.fromarray(pictures.image[i].numpy()).save(path)
            numbers = pictures.labels_of(i).tolist()
            crowd = np.array([k == 4 for k in numbers], np.uint8)
            samples.append(
                Labelled(
                    source_name=path.name,
                    source_id=str(i),
                    path=path,
                    supervision=Supervision.BOXED if objects else Supervision.LABELLED,
                    boxes=pictures.boxes_of(i).numpy(),
                    classes=tuple(f"fine:{k}" for k in numbers),
                    flags=crowd,
                    present=tuple(f"fine:{k}" for k in pictures.present_of(i).tolist()),
                )
            )
        found[name] = root / name
        found[name].mkdir()
        pack(
            samples, out=found[name], vocabulary=None, name=name, seed=0, shuffle=True,
            say=lambda done: None,
        )  # fmt: skip
    return found
