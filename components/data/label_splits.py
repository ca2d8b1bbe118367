"""Which pictures of a set keep their labels: the published splits by name, or any share, seeded.

The published ones are those of COCO-partial (1, 2, 5 and 10 % of train2017, five folds), which
differ: `stac` draws with replacement, so that fewer pictures are labelled than its name says;
`soft_teacher` without; `unbiased_teacher` is a file of indices into the pictures that have boxes,
by ascending id. The first two count pictures in the order of the annotation file. No torch.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval

Percent = Annotated[float, Interval(gt=0, lt=100)]
MOST_BYTES = 2**25  # of a file of indices; the published one has 3 MB


class SplitError(ValueError):
    """A split that cannot be made of these pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seeded:
    """Any share of any set: the pictures whose names hash lowest.

    A larger share holds the smaller ones of its seed, whatever order the pictures come in.
    """

    kind: Literal["seeded"] = "seeded"
    percent: Percent  # of the pictures keep their labels; one at least
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """COCO-partial as STAC or Soft Teacher draw it, by numpy's generator of 2019."""

    kind: Literal["stac", "soft_teacher"]
    percent: Percent
    fold: Annotated[int, Ge(0)] = 1  # published: 1 to 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexed:
    """COCO-partial as Unbiased Teacher's file of indices says it."""

    kind: Literal["unbiased_teacher"] = "unbiased_teacher"
    percent: Percent
    fold: Annotated[int, Ge(0)] = 1  # published: 0 to 9
    file: str  # JSON: {"10.0": {"1": [index, ...]}}, as COCO_supervision.txt


Split = Seeded | Published | Indexed


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A picture that may keep its labels."""

    name: str  # of its file in the source
    source_id: str
    annotated: bool  # it has a box


def labelled_rows(split: Split, pictures: Sequence[Candidate], *, root: Path) -> np.ndarray:
    """Return the rows of the pictures that keep their labels, int64, ascending, each once.

    Args:
        split: which.
        pictures: in the order of their annotation file, but for `Seeded`, which needs none.
        root: where a file's path starts.

    Raises:
        SplitError: no picture is left on one side, or a file of indices does not fit.
    """
    match split:
        case Seeded():
            rows = _lowest(split, pictures)
        case Published():
            draw = np.random.RandomState(split.fold)
            size = int(split.percent / 100 * len(pictures))
            rows = draw.choice(len(pictures), size=size, replace=split.kind == "stac")
        case Indexed():
            rows = _of_file(split, pictures, root / split.file)
    found = np.unique(rows.astype(np.int64))
    if not 0 < len(found) < len(pictures):
        raise SplitError(
            f"split {split.kind}: some pictures keep their labels and some do not; got "
            f"{len(found)} of {len(pictures)} at {split.percent} %. Take another share."
        )
    return found


def _lowest(split: Seeded, pictures: Sequence[Candidate]) -> np.ndarray:
    digests = [
        hashlib.sha256(json.dumps([split.seed, one.name, one.source_id]).encode()).digest()
        for one in pictures
    ]
    order = sorted(range(len(pictures)), key=lambda i: digests[i])
    return np.array(order[: max(1, round(split.percent / 100 * len(pictures)))], np.int64)


def _of_file(split: Indexed, pictures: Sequence[Candidate], path: Path) -> np.ndarray:
    """Return the rows that a file of indices names, of the annotated pictures by ascending id."""
    ids = {one.source_id: i for i, one in enumerate(pictures) if one.annotated}
    if not all(source_id.isdecimal() for source_id in ids):
        raise SplitError(
            f"split {split.kind}: pictures are counted by ascending numeric id; got "
            f"{next(i for i in ids if not i.isdecimal())!r}. Use it with COCO's own files."
        )
    ordered = [ids[i] for i in sorted(ids, key=int)]
    listed: Any = _read(path)
    by_fold = listed.get(repr(float(split.percent))) if isinstance(listed, dict) else None
    indices = by_fold.get(str(split.fold)) if isinstance(by_fold, dict) else None
    if indices is None:
        raise SplitError(
            f"{path}: holds lists by percent and fold; got none for {float(split.percent)} %, "
            f"fold {split.fold}. It has {_few(listed)}."
        )
    if not isinstance(indices, list) or not all(
        type(i) is int and 0 <= i < len(ordered) for i in indices
    ):
        raise SplitError(
            f"{path}: indices below {len(ordered)}, the number of pictures with boxes; got others. "
            "It belongs to another set."
        )
    return np.array([ordered[i] for i in indices], np.int64)


def _read(path: Path) -> Any:
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise OSError(f"it is no file of at most {MOST_BYTES} bytes")
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SplitError(
            f"{path}: not a list of indices; got {error!s:.200}. Name another."
        ) from error


def _few(listed: Any) -> str:
    keys = [*map(str, listed)] if isinstance(listed, dict) else []
    return ", ".join(keys[:8]) or "no percent"
