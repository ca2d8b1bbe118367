"""Shards -> batches: which rows a step holds, how they are shown, and the tensors of them.

A step draws a fixed number of samples from each source; rank r of R takes its share of them. The
state of a stream is the step, whatever R was before.
"""

import hashlib
import json
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from components.data.augment import Shown, canvas_of, carry, lay, look_of, show
from components.data.decode import decode
from components.data.labelled import CROWD, Target
from components.data.order import Order
from components.data.sample import Batch
from components.data.shards import Shards
from components.data.views import PlainView, View

THIN = 1.0  # px of the batch: boxes with a shorter side teach nothing


class StreamError(ValueError):
    """A stream that could give no batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One source of a stream."""

    shards: Shards
    view: View
    slots: int  # samples a step, over all ranks
    labels: np.ndarray | None = None  # int64 [classes of the shards] -> class of the model, or -1
    keep: str = "labelled"  # rows in the order: labelled (image labels) | boxed (boxes or none)


@dataclass(kw_only=True, slots=True)
class _Source:
    part: Part
    rows: np.ndarray  # int64: rows of the shards that are in the order
    order: Order
    pictures: dict[int, np.ndarray] = field(default_factory=dict[int, np.ndarray])
    kept: int = 0  # bytes of `pictures`


CACHE_BYTES = 512 * 2**20  # decoded pictures kept, a source and worker


class Stream:
    """Batches by step: a pure function of (shards, views, slots, seed, step, rank, world)."""

    def __init__(self, parts: Mapping[str, Part], *, seed: int) -> None:
        self.seed = seed
        self._sources: dict[str, _Source] = {}
        for i, (name, part) in enumerate(parts.items()):
            rows = _usable(part)
            if not len(rows):
                raise StreamError(
                    f"{name}: no sample of {len(part.shards)} can be trained on; got none whose "
                    "classes the model knows. Look at the set's vocabulary."
                )
            order = Order(rows=len(rows), lanes=part.slots, seed=_mixed(seed, i))
            self._sources[name] = _Source(part=part, rows=rows, order=order)

    @property
    def plan(self) -> str:
        """Return a digest of all that decides the order; ranks must agree on it."""
        facts = {
            name: [s.part.shards.digest, s.part.slots, repr(s.part.view), _digest(s.rows)]
            for name, s in self._sources.items()
        }
        text = json.dumps([self.seed, facts])  # in the order of the sources: it is in their seeds
        return hashlib.sha256(text.encode()).hexdigest()

    def batch(self, step: int, *, rank: int = 0, world: int = 1) -> dict[str, Batch]:
        """Return rank's share of the samples of a step, by source.

        Raises:
            StreamError: a source has fewer samples a step than there are ranks.
        """
        for name, source in self._sources.items():
            if source.part.slots < world:
                raise StreamError(
                    f"{name}: each of {world} workers needs a sample; got {source.part.slots} "
                    "samples a step. Take fewer workers or more samples."
                )
        return {
            name: self._batch(source, step, rank, world) for name, source in self._sources.items()
        }

    def _batch(self, source: _Source, step: int, rank: int, world: int) -> Batch:
        part, slots = source.part, source.part.slots
        first = step * slots
        at = first + np.arange(rank * slots // world, (rank + 1) * slots // world)
        rows = source.rows[source.order.at(at)].tolist()
        epochs = (at // source.order.rows).tolist()
        shown: list[Shown] = []
        for row, epoch in zip(rows, epochs, strict=True):
            picture = self._picture(source, row)
            look = look_of(
                part.view, width=picture.shape[1], height=picture.shape[0], seed=self.seed,
                step=step, epoch=epoch, row=row,
            )  # fmt: skip
            shown.append(show(picture, look))
        side = canvas_of(part.view, seed=self.seed, step=step)
        return collate(part.shards, rows, shown, side=side, labels=part.labels)

    def _picture(self, source: _Source, row: int) -> np.ndarray:
        if row in source.pictures:
            return source.pictures[row]
        picture = decode(source.part.shards.read(row))
        if source.kept + picture.nbytes <= CACHE_BYTES:
            source.pictures[row] = picture
            source.kept += picture.nbytes
        return picture


def collate(
    shards: Shards,
    rows: list[int],
    shown: list[Shown],
    *,
    side: int,
    labels: np.ndarray | None = None,
) -> Batch:
    """Return one batch of pictures that are cut and scaled already."""
    image, sizes = lay(shown, side=side)
    targets = [_on_canvas(shards.target(r), s, labels) for r, s in zip(rows, shown, strict=True)]
    counts = [len(t.labels) for t in targets]
    known = [len(t.present) for t in targets]
    return Batch(
        image=image,
        image_size=sizes,
        boxes=torch.from_numpy(np.concatenate([t.boxes for t in targets])),
        labels=torch.from_numpy(np.concatenate([t.labels for t in targets])),
        flags=torch.from_numpy(np.concatenate([t.flags for t in targets])),
        weights=torch.from_numpy(np.concatenate([t.weights for t in targets])),
        offsets=torch.tensor([0, *np.cumsum(counts).tolist()]),
        present=torch.from_numpy(np.concatenate([t.present for t in targets])),
        present_offsets=torch.tensor([0, *np.cumsum(known).tolist()]),
        row=torch.tensor(rows),
        view=torch.from_numpy(np.stack([s.view for s in shown])),
    )


def prefetch(
    stream: Stream, *, start: int, stop: int, rank: int = 0, world: int = 1, depth: int = 2
) -> Iterator[dict[str, Batch]]:
    """Yield the batches of steps start..stop in order, `depth` ahead in one thread."""
    ready: queue.Queue[dict[str, Batch] | BaseException] = queue.Queue(depth)
    ended = threading.Event()

    def put(item: dict[str, Batch] | BaseException) -> None:
        while not ended.is_set():
            try:
                ready.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for step in range(start, stop):
                if ended.is_set():
                    return
                put(stream.batch(step, rank=rank, world=world))
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        ended.set()
        thread.join()


def plain_batches(
    shards: Shards, *, view: PlainView, size: int, labels: np.ndarray | None = None
) -> Iterator[Batch]:
    """Yield all pictures in storage order, `size` at a time; the last batch may be shorter."""
    side = canvas_of(view, seed=0, step=0)
    for first in range(0, len(shards), size):
        rows = list(range(first, min(first + size, len(shards))))
        shown: list[Shown] = []
        for row in rows:
            picture = decode(shards.read(row))
            h, w, _ = picture.shape
            look = look_of(view, width=w, height=h, seed=0, step=0, epoch=0, row=row)
            shown.append(show(picture, look))
        yield collate(shards, rows, shown, side=side, labels=labels)


def _usable(part: Part) -> np.ndarray:
    """Return the rows that teach something: photos with a known class, scenes that are boxed."""
    if part.keep == "boxed":
        return np.flatnonzero(part.shards.boxed())
    if part.labels is None:
        return np.flatnonzero(part.shards.label_counts() > 0)
    rows, classes = part.shards.label_columns()
    return np.unique(rows[part.labels[classes] >= 0])


def _on_canvas(target: Target, shown: Shown, labels: np.ndarray | None) -> Target:
    """Return a target in the canvas's pixels and the model's classes."""
    h, w, _ = shown.image.shape
    boxes = carry(target.boxes, shown.view).clip(0, np.array([w, h, w, h], np.float32))
    numbers, present, absent = target.labels, target.present, target.absent
    if labels is not None:
        numbers, present, absent = labels[numbers], labels[present], labels[absent]
    crowd = (target.flags & CROWD) > 0
    good = ((boxes[:, 2:] - boxes[:, :2]) >= THIN).all(1) & ((numbers >= 0) | crowd)
    return Target(
        boxes=boxes[good],
        labels=numbers[good],
        flags=target.flags[good],
        weights=target.weights[good],
        present=present[present >= 0],
        absent=absent[absent >= 0],
        supervision=target.supervision,
    )


def _digest(rows: np.ndarray) -> str:
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()


def _mixed(seed: int, i: int) -> int:
    """Return another seed for each source, so that equal sets are not read in step."""
    return seed * 1009 + i
