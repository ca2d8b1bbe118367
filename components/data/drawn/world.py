"""The settings of the drawn world: its classes, which of them are boxed, and its parts on disk.

Pure settings and tables: importing this needs neither torch nor Pillow.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Interval

from components.data.drawn.kinds import KINDS, FineClass, class_table

CLASSES_PER_KIND = 12
_TAIL = 4  # photos that the rarest class of a long tail still has


class WorldError(ValueError):
    """Settings that describe no world; each sentence says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What is drawn. Sizes of objects are fractions of a picture's side."""

    seed: Annotated[int, Interval(ge=0, le=2**31 - 1)] = 0  # another seed, another world
    kinds: Annotated[int, Interval(ge=2, le=10)] = 10  # coarse classes of 12 fine classes each
    seen_per_kind: Annotated[int, Interval(ge=1, le=12)] = 7  # fine classes with boxes to train on
    boxed: tuple[str, ...] = ()  # the boxed classes by name; empty: seen_per_kind of each kind
    photos_per_class: Annotated[int, Interval(ge=1, le=10_000)] = 60  # image labels, all classes
    long_tail: Annotated[float, Interval(ge=0, le=3)] = 0.0  # Zipf exponent; 0: all classes alike
    train_scenes: Annotated[int, Interval(ge=1, le=200_000)] = 1200  # boxes of the boxed classes
    tune_scenes: Annotated[int, Interval(ge=0, le=200_000)] = 300  # boxes of all classes
    test_scenes: Annotated[int, Interval(ge=0, le=200_000)] = 300  # boxes of all classes
    test_photos_per_class: Annotated[int, Interval(ge=0, le=10_000)] = 5  # one true box each
    unlabelled: Annotated[int, Interval(ge=0, le=200_000)] = 0  # scenes without any truth
    photo_size: Annotated[int, Interval(ge=32, le=512)] = 72  # pixels
    scene_size: Annotated[int, Interval(ge=64, le=1024)] = 128  # pixels
    novel_in_scenes: Annotated[float, Interval(ge=0, le=10)] = 0.0  # rate of an unboxed class in
    # training scenes, relative to a boxed one; such objects are painted and get no box
    objects: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]] = (2, 5)  # fewest, most in a scene
    scene_object: tuple[float, float] = (0.21875, 0.5625)  # smallest, largest; log-uniform
    photo_object: tuple[float, float] = (0.55, 0.95)  # smallest, largest; uniform
    distractors: Annotated[float, Interval(ge=0, le=1)] = 0.5  # photos with a small second object
    hidden: Annotated[float, Interval(gt=0, lt=1)] = 0.6  # objects hidden by more leave the truth
    apart: Annotated[float, Interval(ge=0, le=1)] = 0.36  # centers closer than this share of two
    # objects' summed sides are not allowed; 0 lets objects cover each other wholly
    photo_clutter: Annotated[float, Interval(ge=0, le=50)] = 4.0  # mean pieces behind a photo
    scene_clutter: Annotated[float, Interval(ge=0, le=50)] = 5.0  # mean pieces behind a scene
    jitter: Annotated[float, Interval(ge=0, le=2)] = 1.0  # strength of turns, shears and colors
    light: Annotated[float, Interval(ge=0, le=2)] = 1.0  # strength of changes of light

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other, all at once."""
        problems = self.problems()
        if problems:
            raise WorldError("\n".join(problems))

    def problems(self) -> list[str]:
        """Return one sentence for each contradiction between fields; ranges are checked outside."""
        found = [
            f"{name}: expected (smallest, largest) with {low} <= smallest <= largest <= {high}; "
            f"got {pair}. Put the smaller number first and keep both in the range."
            for name, pair, low, high in (
                ("objects", self.objects, 1, 50),
                ("scene_object", self.scene_object, 0.1, 1.0),
                ("photo_object", self.photo_object, 0.4, 1.0),
            )
            if not low <= pair[0] <= pair[1] <= high
        ]
        known = {fine.name for fine in class_table(self.kinds)}
        unknown = [name for name in self.boxed if name not in known]
        if unknown:
            found.append(
                f"boxed: no class of this world is called {unknown[0]!r}; got {len(unknown)} such "
                f"names. Take names like {min(known)!r}; only the first {self.kinds} kinds exist: "
                f"{', '.join(list(KINDS)[: self.kinds])}."
            )
        if len(set(self.boxed)) < len(self.boxed):
            found.append("boxed: a class is named twice; got a list with doubles. Name each once.")
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Some files of a drawn world: how they are read, and where they lie under its folder."""

    kind: Literal["coco", "folders", "csv"]  # the reader
    files: dict[str, str]  # role of the reader -> path relative to the world's folder


def _coco(name: str) -> Part:
    files = {"annotations": f"{name}/annotations.json", "images": f"{name}/images"}
    return Part(kind="coco", files=files)


PARTS: dict[str, Part] = {
    "train_scenes": _coco("train_scenes"),
    "train_photos": Part(kind="folders", files={"images": "train_photos"}),
    "train_labels": Part(kind="csv", files={"table": "labels.csv", "images": "."}),
    "tune_scenes": _coco("tune_scenes"),
    "test_scenes": _coco("test_scenes"),
    "test_photos": _coco("test_photos"),
    "unlabelled": _coco("unlabelled"),
}


@lru_cache
def boxed_classes(world: World) -> tuple[FineClass, ...]:
    """Return the classes with boxes in the training scenes, in the order of the class table."""
    table = class_table(world.kinds)
    if world.boxed:
        return tuple(fine for fine in table if fine.name in world.boxed)
    rng = np.random.default_rng(1000 + world.seed)
    kept: set[int] = set()
    for first in range(0, len(table), CLASSES_PER_KIND):
        order = first + rng.permutation(CLASSES_PER_KIND)
        kept.update(order[: world.seen_per_kind].tolist())
    return tuple(table[i] for i in sorted(kept))


@lru_cache
def novel_classes(world: World) -> tuple[FineClass, ...]:
    """Return the classes that have image labels only, in the order of the class table."""
    boxed = set(boxed_classes(world))
    return tuple(fine for fine in class_table(world.kinds) if fine not in boxed)


@lru_cache
def photos_of_classes(world: World) -> tuple[int, ...]:
    """Return how many training photos each class has, in the order of the class table.

    With a long tail the class of rank r has photos_per_class / r^long_tail photos, but at least 4;
    ranks are drawn by the seed.
    """
    classes = len(class_table(world.kinds))
    ranks = 1 + np.random.default_rng([world.seed, 0]).permutation(classes)
    least = min(_TAIL, world.photos_per_class)
    return tuple(
        max(least, round(world.photos_per_class / r**world.long_tail)) for r in ranks.tolist()
    )
