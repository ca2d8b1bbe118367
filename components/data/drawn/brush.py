"""One object on a canvas: its pose, its colors, its mask and its box."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from components.data.drawn.kinds import KINDS, FineClass
from components.data.drawn.outlines import Points, Role
from components.data.drawn.palette import PALETTES, Plane, color, mix

Canvas = NDArray[np.floating[Any]]  # float32 [H, W, 3] red, green, blue; 0 to 1 before the light
Mask = NDArray[np.bool_]  # [h, w] of a window
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are outside

_SMALLEST = 12  # pixels of a mask; less is not an object
_DARK, _LIGHT = np.float32(0.13), np.float32(0.9)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """Where an object stands and how it is turned: object coordinates -> pixels."""

    x: float  # center, pixels
    y: float
    matrix: tuple[float, float, float, float]  # a, b, c, d: (a u + b v, c u + d v)


@dataclass(frozen=True, kw_only=True, slots=True)
class Painted:
    """What an object covers."""

    window: Box  # the part of the canvas that the mask describes
    mask: Mask  # more than half of the pixel is object
    box: Box  # tight on the mask


def pose(rng: Generator, *, x: float, y: float, side: float, jitter: float) -> Pose:
    """Draw rotation, aspect, shear and flip of an object whose frame is ``side`` pixels wide."""
    angle = rng.uniform(-0.35, 0.35) * jitter
    aspect = math.exp(rng.uniform(-0.18, 0.18) * jitter)
    shear = rng.uniform(-0.15, 0.15) * jitter
    half, flip = side / 2, -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = math.cos(angle), math.sin(angle)
    return Pose(
        x=x,
        y=y,
        matrix=(
            half * flip * cos * aspect,
            half * (cos * shear - sin / aspect),
            half * flip * sin * aspect,
            half * (sin * shear + cos / aspect),
        ),
    )


def paint(
    canvas: Canvas, *, fine: FineClass, at: Pose, jitter: float, rng: Generator
) -> Painted | None:
    """Paint one object over the canvas; return what it covers, or None if that is too little.

    Args:
        canvas: changed in place.
        fine: what to paint.
        at: where.
        jitter: how far colors move, 1 is the usual.
        rng: draws colors and phases.
    """
    pieces = _in_pixels(fine, at)
    window = _window(pieces, canvas)
    if window[2] - window[0] < 4 or window[3] - window[1] < 4:
        return None
    shares = _shares(pieces, window)
    covered = sum(shares.values(), np.zeros((), np.float32))
    mask = covered > 0.5
    box = _box(mask, window)
    if box is None:
        return None
    u, v = _object_coordinates(at, window)
    body, accent = _colors(fine, u=u, v=v, jitter=jitter, rng=rng)
    x0, y0, x1, y1 = window
    view = canvas[y0:y1, x0:x1]
    view *= (1 - covered)[..., None]
    view += body * shares[Role.BODY][..., None]
    if Role.ACCENT in shares:
        view += accent * shares[Role.ACCENT][..., None]
    flat = sum(
        (
            shares[role] * tone
            for role, tone in ((Role.DARK, _DARK), (Role.LIGHT, _LIGHT))
            if role in shares
        ),
        np.zeros((), np.float32),
    )
    view += flat[..., None]
    return Painted(window=window, mask=mask, box=box)


@lru_cache
def _joined(kind: str, outline: str) -> tuple[tuple[Role, ...], Points, tuple[int, ...]]:
    """Return the roles of an outline's pieces, all corners in one array, and where to split it."""
    pieces = KINDS[kind].outlines[outline]
    ends = np.cumsum([len(p.points) for p in pieces]).tolist()
    return tuple(p.role for p in pieces), np.concatenate([p.points for p in pieces]), tuple(ends)


def _in_pixels(fine: FineClass, at: Pose) -> list[tuple[Role, Points]]:
    """Return the pieces of an object in canvas pixels."""
    roles, points, ends = _joined(fine.kind, fine.outline)
    a, b, c, d = at.matrix
    u, v = points[:, 0], points[:, 1]
    moved = np.empty_like(points)
    moved[:, 0] = a * u + b * v + at.x
    moved[:, 1] = c * u + d * v + at.y
    starts = (0, *ends[:-1])
    return [(r, moved[i:j]) for r, i, j in zip(roles, starts, ends, strict=True)]


def _window(pieces: list[tuple[Role, Points]], canvas: Canvas) -> Box:
    """Return the pixels around an object, one or two more than it covers, inside the canvas."""
    solid = np.concatenate([points for role, points in pieces if role != Role.HOLE])
    (x0, y0), (x1, y1) = solid.min(axis=0), solid.max(axis=0)
    height, width = canvas.shape[:2]
    return (
        max(math.floor(x0) - 1, 0),
        max(math.floor(y0) - 1, 0),
        min(math.ceil(x1) + 2, width),
        min(math.ceil(y1) + 2, height),
    )


def _shares(pieces: list[tuple[Role, Points]], window: Box) -> dict[Role, Plane]:
    """Return how much of each pixel of the window each role covers, in quarters."""
    x0, y0, x1, y1 = window
    image = Image.new("L", (2 * (x1 - x0), 2 * (y1 - y0)), 0)
    pen = ImageDraw.Draw(image)
    for role, points in pieces:
        corners = 2 * (points - (x0, y0))
        pen.polygon(corners.ravel().tolist(), fill=int(role))
    roles = np.asarray(image)
    found: dict[Role, Plane] = {}
    for role in {role for role, _ in pieces} - {Role.HOLE}:
        here = (roles == role).view(np.uint8)
        rows = here[0::2] + here[1::2]
        found[role] = (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25)
    return found


def _object_coordinates(at: Pose, window: Box) -> tuple[Plane, Plane]:
    """Return u and v of every pixel of the window."""
    x0, y0, x1, y1 = window
    a, b, c, d = at.matrix
    det = a * d - b * c
    x: Plane = np.arange(x0, x1, dtype=np.float32)[None, :]
    y: Plane = np.arange(y0, y1, dtype=np.float32)[:, None]
    x, y = x - np.float32(at.x), y - np.float32(at.y)
    u = x * np.float32(d / det) - y * np.float32(b / det)
    v = y * np.float32(a / det) - x * np.float32(c / det)
    return u, v


def _colors(
    fine: FineClass, *, u: Plane, v: Plane, jitter: float, rng: Generator
) -> tuple[Canvas, Canvas]:
    """Return the textured body and the accent of every pixel, lit from the upper left."""
    palette = PALETTES[fine.palette]
    hue = rng.uniform(-0.03, 0.03) * jitter
    saturation, value = (rng.uniform(-0.12, 0.12) * jitter for _ in range(2))
    first, second = (
        color(h + hue, saturation=s + saturation, value=b + value)
        for h, s, b in (palette.first, palette.second)
    )
    accent = color(
        palette.accent + rng.uniform(-0.05, 0.05),
        saturation=0.55 + saturation,
        value=0.75 + value,
    )
    share = mix(fine.texture, u=u, v=v, frequency=rng.uniform(2.3, 3.3), rng=rng)
    shade = (np.float32(1) - (u + v) * np.float32(0.18))[..., None]
    body = (share[..., None] * (second - first) + first) * shade
    return body, shade * accent


def _box(mask: Mask, window: Box) -> Box | None:
    """Return the tight box of a mask on the canvas, or None where too little is covered."""
    if np.count_nonzero(mask) < _SMALLEST:
        return None
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    x0, y0 = window[:2]
    return (
        x0 + int(columns[0]),
        y0 + int(rows[0]),
        x0 + int(columns[-1]) + 1,
        y0 + int(rows[-1]) + 1,
    )
