"""A detector over a set of shards: detections as columns, in pixels of the original pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from components.boxes.suppress import suppress
from components.data.augment import back
from components.data.sample import Batch
from components.data.shards import Shards
from components.data.stream import plain_batches
from components.data.views import PlainView
from components.eval.coco_ap import Truth
from components.eval.detections import Detections
from components.models.scores import Regions, fuse
from components.models.two_stage import Detector

BEST_CLASSES = 5
Classes = Literal["regions", "whole_photo"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a detector found; categories are positions in the class ids asked for."""

    detections: Detections
    best: Detections  # localization: the best box of each of the five best classes
    given: Detections  # localization: the best box of each true class


def infer(
    detector: Detector,
    shards: Shards,
    *,
    ids: Sequence[str],
    size: int,
    batch: int,
    top: int,
    floor: float,
    task: Literal["scenes", "localization"],
    classes: Classes,
    say: Callable[[int], None],
) -> Found:
    """Run a detector over all pictures of a set.

    Args:
        detector: in any mode; it is left in it.
        shards: the pictures.
        ids: classes asked for; the detector must know each.
        size: long side of the pictures shown to it, px.
        batch: pictures at once.
        top: detections kept a picture.
        floor: least score.
        task: scenes fuses both classifiers (Eq. 4-5); localization takes g-hat alone (paper 5,
            setup S2) and also keeps the best boxes of five classes and of the true class.
        classes: regions, or the control whole_photo: the class of the whole picture times S_fg.
        say: told how many pictures are done.
    """
    view = PlainView(size=size, pad_to=detector.row.pad_to)
    place = {class_id: i for i, class_id in enumerate(ids)}
    columns = np.array([place.get(i, -1) for i in shards.vocabulary.ids], np.int64)
    parts: dict[str, list[Detections]] = {"detections": [], "best": [], "given": []}
    done = 0
    for pictures in plain_batches(shards, view=view, size=batch):
        for i, (regions, scores) in enumerate(_scored(detector, pictures, ids, task, classes)):
            row, carried = int(pictures.row[i]), pictures.view[i].numpy()
            kept = suppress(regions.boxes, scores, top=top, floor=floor)
            parts["detections"].append(
                _columns(row, kept.classes, kept.scores, kept.boxes, carried)
            )
            if task == "localization":
                true = columns[np.unique(shards.target(row).labels)]
                parts["best"].append(_best(row, regions.boxes, scores, carried))
                parts["given"].append(
                    _of_classes(row, torch.from_numpy(true[true >= 0]), regions.boxes, scores,
                                carried)
                )  # fmt: skip
        done += len(pictures)
        say(done)
    joined = {name: Detections.join(found) for name, found in parts.items()}
    return Found(**joined)


def truth_of(shards: Shards, *, ids: Sequence[str]) -> Truth:
    """Return the true boxes of a set, with categories as positions in `ids`."""
    place = {class_id: i for i, class_id in enumerate(ids)}
    columns = np.array([place.get(i, -1) for i in shards.vocabulary.ids], np.int64)
    boxes = shards.box_columns()
    category = columns[boxes["category"]] if len(columns) else boxes["category"]
    known = category >= 0
    return Truth(
        sizes=np.array([shards.size(row) for row in range(len(shards))], np.int64).reshape(-1, 2),
        image=boxes["row"][known],
        category=category[known],
        boxes=boxes["corners"][known],
        flags=boxes["flags"][known],
    )


def _scored(
    detector: Detector, batch: Batch, ids: Sequence[str], task: str, classes: Classes
) -> list[tuple[Regions, Tensor]]:
    """Return each picture's regions and the scores [P, K] of the classes asked for."""
    regions = detector.regions(batch)
    if classes == "whole_photo":
        whole = detector.classify(batch).softmax(1)
        regions = [
            Regions(
                boxes=r.boxes,
                foreground=r.foreground,
                boxed=r.boxed,
                labelled=whole[i].expand(len(r.boxes), -1),
            )
            for i, r in enumerate(regions)
        ]
    both = task == "scenes" and classes == "regions"
    return [
        (r, fuse(r, boxed=detector.boxed, labelled=detector.labelled, ids=ids, fuse=both))
        for r in regions
    ]


def _columns(
    row: int, category: Tensor, score: Tensor, boxes: Tensor, view: np.ndarray
) -> Detections:
    return Detections(
        image=np.full(len(category), row, np.int64),
        category=category.cpu().numpy().astype(np.int64),
        score=score.cpu().numpy().astype(np.float32),
        boxes=back(boxes.cpu().numpy(), view),
    )


def _best(row: int, boxes: Tensor, scores: Tensor, view: np.ndarray) -> Detections:
    if not len(boxes):
        return Detections.join([])
    peak = scores.max(0).values
    return _of_classes(row, peak.topk(min(BEST_CLASSES, len(peak))).indices, boxes, scores, view)


def _of_classes(
    row: int, classes: Tensor, boxes: Tensor, scores: Tensor, view: np.ndarray
) -> Detections:
    """Return the best box of each of these classes."""
    if not len(boxes) or not len(classes):
        return Detections.join([])
    score, which = scores[:, classes].max(0)
    return _columns(row, classes, score, boxes[which], view)
