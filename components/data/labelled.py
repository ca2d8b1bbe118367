"""What is known of one picture; free of torch, for label files are read before anything starts.

Boxes are xyxy, float32, absolute pixels of the decoded, upright picture; the whole picture is
(0, 0, W, H). Shapes: R boxes, P classes known present, A classes known absent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np

CROWD, GROUP_OF, DIFFICULT, IGNORE = 1, 2, 4, 8  # bits of a box's flags


class Supervision(IntEnum):
    """What the labels of a picture say about the objects in it."""

    BOXED = 0  # every object of the boxed classes has a box
    PARTLY_BOXED = 1
    LABELLED = 2  # only which classes are present
    UNLABELLED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """One picture as a source gives it: classes are ids, not numbers."""

    source_name: str  # the file's name in the source
    source_id: str
    path: Path
    supervision: Supervision
    width: int | None = None  # as the label file says, if it does
    height: int | None = None
    boxes: np.ndarray  # float32 [R, 4]
    classes: tuple[str, ...] = ()  # one a box
    flags: np.ndarray  # uint8 [R]
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def teaches(sample: Labelled) -> bool:
    """Say whether training draws a picture: its boxes are known, or a label."""
    return sample.supervision == Supervision.BOXED or bool(sample.present)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is known of one packed picture; labels are positions in the set's vocabulary."""

    boxes: np.ndarray  # float32 [R, 4]
    labels: np.ndarray  # int64 [R]
    flags: np.ndarray  # uint8 [R]
    weights: np.ndarray  # float32 [R]
    present: np.ndarray  # int64 [P]
    absent: np.ndarray  # int64 [A]
    supervision: Supervision


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a source lists: its pictures, the classes it knows, and the rows of a table by split."""

    pictures: Iterable[Labelled] = ()
    classes: tuple[str, ...] = ()  # ids, each once, used or not
    rows: Mapping[str, int] = field(default_factory=dict[str, int])
