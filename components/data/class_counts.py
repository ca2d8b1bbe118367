"""How often each class occurs in a set of shards: as boxes, and as labels of whole pictures."""

from dataclasses import dataclass

import numpy as np

from components.data.labelled import CROWD
from components.data.shards import Shards


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassCounts:
    """Counts of one set by class id; a class that does not occur has none."""

    boxes: dict[str, int]  # crowds left out
    labels: dict[str, int]  # pictures known to show the class that hold no box of it


def class_counts(shards: Shards) -> ClassCounts:
    """Count boxes and image labels of every class."""
    classes = max(1, len(shards.vocabulary))
    boxes = shards.box_columns()
    row, label = shards.label_columns()
    shown, drawn = row * classes + label, boxes["row"] * classes + boxes["category"]
    without_box = label[~np.isin(shown, drawn)]
    single = boxes["category"][(boxes["flags"] & CROWD) == 0]
    return ClassCounts(boxes=_named(shards, single), labels=_named(shards, without_box))


def _named(shards: Shards, categories: np.ndarray) -> dict[str, int]:
    ids = shards.vocabulary.ids
    counts = np.bincount(categories, minlength=len(ids))
    return {ids[i]: int(counts[i]) for i in np.flatnonzero(counts)}
