"""Pictures of the drawn world, each a pure function of (world, part, index)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from components.data.drawn.backdrop import backdrop, finish
from components.data.drawn.brush import Box, paint, pose
from components.data.drawn.kinds import FineClass, class_table
from components.data.drawn.world import (
    World,
    WorldError,
    boxed_classes,
    novel_classes,
    photos_of_classes,
)

# The second word of every picture's seed: a part draws the same pictures whatever the others hold.
NUMBERS = {
    "train_scenes": 1,
    "train_photos": 2,
    "tune_scenes": 3,
    "test_scenes": 4,
    "test_photos": 5,
    "unlabelled": 6,
}
_TRIES = 8  # places tried for an object before it is given up


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One object of a picture."""

    fine: FineClass
    box: Box  # its painted pixels inside the picture, those behind others too
    visible: float  # share of those pixels that no later object covers


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Pixels, and every object in them whether the truth tells it or not."""

    pixels: NDArray[np.uint8]  # [H, W, 3]
    things: tuple[Thing, ...]  # from the back to the front; small distractors are not among them


def photo(world: World, *, part: str, index: int) -> Picture:
    """Return one photo: a large object, and in some a small one of any class behind it."""
    rng = _generator(world, part, index)
    side = world.photo_size
    canvas = backdrop(side, clutter=world.photo_clutter, rng=rng)
    table = class_table(world.kinds)
    if rng.random() < world.distractors:
        small = table[int(rng.integers(len(table)))]
        at = pose(
            rng,
            x=rng.uniform(0, side),
            y=rng.uniform(0, side),
            side=rng.uniform(0.15, 0.3) * side,
            jitter=world.jitter,
        )
        paint(canvas, fine=small, at=at, jitter=world.jitter, rng=rng)
    fine = photo_classes(world, part)[index]
    size = rng.uniform(*world.photo_object) * side
    room = max(0.0, side - size) / 2
    x, y = (side / 2 + rng.uniform(-room, room) for _ in range(2))
    at = pose(rng, x=x, y=y, side=size, jitter=world.jitter)
    painted = paint(canvas, fine=fine, at=at, jitter=world.jitter, rng=rng)
    if painted is None:
        raise WorldError(
            f"photo_object: an object of {size:.0f} pixels cannot be seen; got photo_size {side}. "
            "Raise photo_size or photo_object."
        )
    pixels = finish(canvas, light=world.light, rng=rng)
    return Picture(pixels=pixels, things=(Thing(fine=fine, box=painted.box, visible=1.0),))


def scene(world: World, *, part: str, index: int) -> Picture:
    """Return one scene: several objects in front of each other, the later ones in front."""
    rng = _generator(world, part, index)
    side = world.scene_size
    canvas = backdrop(side, clutter=world.scene_clutter, rng=rng)
    owner = np.full((side, side), -1, np.int16)  # the object that shows at each pixel
    found: list[tuple[FineClass, Box, int]] = []
    taken: list[tuple[float, float, float]] = []
    low, high = (math.log(share * side) for share in world.scene_object)
    for _ in range(int(rng.integers(world.objects[0], world.objects[1] + 1))):
        fine = _any_class(world, part, rng)
        size = math.exp(rng.uniform(low, high))
        spot = _free_spot(rng, world, size=size, taken=taken)
        if spot is None:
            continue
        at = pose(rng, x=spot[0], y=spot[1], side=size, jitter=world.jitter)
        painted = paint(canvas, fine=fine, at=at, jitter=world.jitter, rng=rng)
        if painted is None:
            continue
        x0, y0, x1, y1 = painted.window
        owner[y0:y1, x0:x1][painted.mask] = len(found)
        found.append((fine, painted.box, int(np.count_nonzero(painted.mask))))
        taken.append((*spot, size))
    shown = np.bincount(owner.ravel() + 1, minlength=len(found) + 1)[1:].tolist()
    return Picture(
        pixels=finish(canvas, light=world.light, rng=rng),
        things=tuple(
            Thing(fine=fine, box=box, visible=pixels / area)
            for (fine, box, area), pixels in zip(found, shown, strict=True)
        ),
    )


def truth(world: World, *, part: str, things: Iterable[Thing]) -> tuple[Thing, ...]:
    """Return the objects that get a box: visible enough, and of a class that is boxed in the part.

    Training scenes tell the boxed classes, tune and test parts all, unlabelled scenes none.
    """
    told = _told(world, part)
    return tuple(t for t in things if t.fine in told and t.visible > 1 - world.hidden)


@lru_cache
def photo_classes(world: World, part: str) -> tuple[FineClass, ...]:
    """Return the class of every photo of a part, in the order of their indices."""
    table = class_table(world.kinds)
    counts = (
        photos_of_classes(world)
        if part == "train_photos"
        else (world.test_photos_per_class,) * len(table)
    )
    return tuple(chain.from_iterable(repeat(f, n) for f, n in zip(table, counts, strict=True)))


def _generator(world: World, part: str, index: int) -> Generator:
    """Return the picture's own stream of random numbers."""
    return np.random.default_rng([world.seed, NUMBERS[part], index])


@lru_cache
def _told(world: World, part: str) -> frozenset[FineClass]:
    """Return the classes whose boxes a part tells."""
    if part == "unlabelled":
        return frozenset()
    return frozenset(boxed_classes(world) if part == "train_scenes" else class_table(world.kinds))


def _any_class(world: World, part: str, rng: Generator) -> FineClass:
    """Draw the class of one object of a scene."""
    if part != "train_scenes":
        table = class_table(world.kinds)
        return table[int(rng.integers(len(table)))]
    boxed, novel = boxed_classes(world), novel_classes(world)
    weight = world.novel_in_scenes * len(novel)
    pool = novel if rng.random() * (len(boxed) + weight) < weight else boxed
    return pool[int(rng.integers(len(pool)))]


def _free_spot(
    rng: Generator, world: World, *, size: float, taken: list[tuple[float, float, float]]
) -> tuple[float, float] | None:
    """Return a center that is not too near another object's, or None after some tries."""
    side, margin = (
        world.scene_size,
        0.3 * size,
    )  # the outermost fifth of an object may lie outside the picture
    for _ in range(_TRIES):
        x, y = rng.uniform(margin, side - margin), rng.uniform(margin, side - margin)
        if all(math.hypot(x - p, y - q) > world.apart * (size + s) for p, q, s in taken):
            return x, y
    return None
