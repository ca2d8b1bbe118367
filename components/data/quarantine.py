"""Every picture looked at once before it is packed: those that cannot be used are left out.

What is left out is listed with its reason and held against a share; what is odd and usable is
counted; a box outside its picture stops the packing, because a wrong box is never alone.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from components.data.decode import (
    SUFFIXES,
    SWAPS,
    Header,
    PictureError,
    decode,
    look,
    picture_bytes,
    upright,
)
from components.data.labelled import Labelled
from components.data.sources.label_problems import DataError, few, outside_problem

SAY_EVERY = 100  # pictures
ROUNDING = 1.0  # px by which a box may leave its picture
SMALL = 8  # px; a shorter side is noted
EXAMPLES = 5  # pictures that are named of those left out, and of each odd kind
_SAME = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "dib": "bmp"}  # suffixes of one of ours


@dataclass(frozen=True, slots=True)
class Usable:
    """One picture that can be packed; its boxes are those of the upright picture, clipped."""

    sample: Labelled
    header: Header
    key: str
    sha256: bytes


@dataclass(kw_only=True, slots=True)
class Looked:
    """What was found out about all pictures of a set."""

    usable: list[Usable] = field(default_factory=list[Usable])
    seen: int = 0
    left: list[dict[str, str]] = field(default_factory=list[dict[str, str]])  # left out, why
    noted: Counter[str] = field(default_factory=Counter[str])  # check id -> odd, and taken
    noted_first: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  # pictures
    problems: list[str] = field(default_factory=list[str])

    @property
    def bad(self) -> Counter[str]:
        """Return how many pictures are left out, a check id."""
        return Counter(line["check"] for line in self.left)


def look_at_all(
    samples: Iterable[Labelled], *, quarantine: Path, say: Callable[[int], None]
) -> Looked:
    """Decode every picture once; those that cannot be used are written to `quarantine`.

    Args:
        samples: pictures on disk and what is known of them.
        quarantine: file to write, one JSON object a line.
        say: told how many pictures are looked at.
    """
    found = Looked()
    with quarantine.open("w", encoding="utf-8") as left_out:
        for sample in samples:
            found.seen += 1
            try:
                _look_at(sample, found)
            except PictureError as error:
                line = {"source_name": sample.source_name, "check": error.check, "text": error.text}
                found.left.append(line)
                left_out.write(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n")
            if found.seen % SAY_EVERY == 0:
                say(found.seen)
    return found


def refuse(found: Looked, *, name: str, most: float) -> None:
    """Raise what stops a set from being packed.

    Args:
        found: from `look_at_all`.
        name: of the set.
        most: share of pictures that may be left out, in [0, 1].

    Raises:
        DataError: boxes outside their pictures, no picture, or too many left out.
    """
    if found.problems:
        raise DataError(few(found.problems, of="boxes"))
    count = len(found.left)
    common = ", ".join(f"{check} {times}" for check, times in found.bad.most_common(5))
    reasons = f" ({common})" if count else ""
    named = [f"{line['source_name']}: {line['text']}." for line in found.left[:EXAMPLES]]
    if not found.usable:
        raise DataError(
            [f"{name}: no picture is left; got {found.seen} listed and {count} left out{reasons}. "
             "Look at the sources.", *named]
        )  # fmt: skip
    if count > most * found.seen:
        raise DataError(
            [f"{name}: too many pictures cannot be used; got {count} of {found.seen}{reasons}. "
             f"Mend or remove them, or raise sources.max_bad_fraction from {most}.", *named]
        )  # fmt: skip


def _look_at(sample: Labelled, found: Looked) -> None:
    data = picture_bytes(sample.path, within=folder_of(sample))
    header = look(data)
    decode(data)
    boxes = fitted(sample, header)
    sides = (header.width, header.height)
    where = sample.source_name
    outside = (outside_problem(tuple(box), sides, where) for box in boxes.tolist())
    found.problems += [str(problem) for problem in outside if problem]
    clipped = boxes.clip(0, np.array([*sides, *sides], np.float32))
    strange = odd(sample, header, moved=np.abs(boxes - clipped).max(1, initial=0), to=clipped)
    found.noted += strange
    for check in +strange:
        names = found.noted_first.setdefault(check, [])
        names += [where] * (len(names) < EXAMPLES)
    key, digest = f"{len(found.usable):08d}", hashlib.sha256(data).digest()
    found.usable.append(Usable(replace(sample, boxes=clipped), header, key, digest))


def folder_of(sample: Labelled) -> Path:
    """Return the folder of images: where the picture's name in its source starts from."""
    parts = Path(sample.source_name).parts
    below = len(parts) if sample.path.parts[-len(parts) :] == parts else 1
    return sample.path.parents[below - 1]


def fitted(sample: Labelled, header: Header) -> np.ndarray:
    """Return the boxes [R, 4] in the upright picture, where the label file's size says."""
    width, height = header.width, header.height
    boxes = np.asarray(sample.boxes, np.float32).reshape(-1, 4)
    if sample.width is None or (sample.width, sample.height) == (width, height):
        return boxes
    if header.turn in SWAPS and (sample.height, sample.width) == (width, height):
        return upright(boxes, header)
    raise PictureError(
        "image.size",
        f"the label file says {sample.width} x {sample.height}, the picture is {width} x {height}",
    )


def odd(sample: Labelled, header: Header, *, moved: np.ndarray, to: np.ndarray) -> Counter[str]:
    """Count what is odd about a picture and its boxes, `moved` [R] px to lie within it."""
    suffix = sample.path.suffix.lower().lstrip(".")
    counts = {
        "box.clipped": ((moved > 0) & (moved <= ROUNDING)).sum(),
        "box.outside": (moved > ROUNDING).sum(),
        "box.thin": (to[:, 2:] - to[:, :2] < 1).any(1).sum(),
        "image.exif": header.turned,
        "image.mode": header.converted,
        "image.small": min(header.width, header.height) < SMALL,
        "image.suffix": bool(suffix) and _SAME.get(suffix, suffix) != SUFFIXES[header.format],
    }
    return Counter({check: int(count) for check, count in counts.items()})
