"""Outlines: polygons in a unit frame, each with the part of the object it is.

A frame spans about [-1, 1] in x, to the right, and in y, downwards.
Later pieces cover earlier ones.
"""

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # [P, 2]: x, y

TURN = 2 * math.pi
_STEPS = 20  # corners of an ellipse


class Role(IntEnum):
    """What a piece is painted with; a hole takes away what lies under it."""

    HOLE = 0
    BODY = 1  # two colors, mixed by the texture
    ACCENT = 2  # the third color of the palette
    DARK = 3
    LIGHT = 4


class Piece(NamedTuple):
    """One polygon of an outline and its role."""

    role: Role
    points: Points


Outline = tuple[Piece, ...]


def body(points: Points) -> Piece:
    """Return a piece that carries the texture."""
    return Piece(Role.BODY, points)


def accent(points: Points) -> Piece:
    """Return a piece in the accent color."""
    return Piece(Role.ACCENT, points)


def dark(points: Points) -> Piece:
    """Return a nearly black piece."""
    return Piece(Role.DARK, points)


def light(points: Points) -> Piece:
    """Return a nearly white piece."""
    return Piece(Role.LIGHT, points)


def hole(points: Points) -> Piece:
    """Return a piece through which the background shows."""
    return Piece(Role.HOLE, points)


def polygon(text: str) -> Points:
    """Return the corners written as in SVG: "x,y x,y ..."."""
    return np.array([tuple(map(float, corner.split(","))) for corner in text.split()])


def rectangle(sides: tuple[float, float, float, float]) -> Points:
    """Return the corners of (left, top, right, bottom)."""
    x0, y0, x1, y1 = sides
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def ellipse(
    circle: tuple[float, float, float, float],
    *,
    turned: float = 0.0,
    arc: tuple[float, float] = (0.0, TURN),
    steps: int = _STEPS,
) -> Points:
    """Return an ellipse or its arc as a polygon.

    Args:
        circle: center x, center y, radius x, radius y.
        turned: angle of the first axis, radians.
        arc: first and last angle, radians; a whole turn does not repeat its first corner.
        steps: how many corners.
    """
    x, y, rx, ry = circle
    first, last = arc
    whole = math.isclose(last - first, TURN)
    gap = (last - first) / (steps if whole else steps - 1)
    angles = [first + gap * i for i in range(steps)]
    cos, sin = math.cos(turned), math.sin(turned)
    along = [(rx * math.cos(a), ry * math.sin(a)) for a in angles]
    return np.array([(x + p * cos - q * sin, y + p * sin + q * cos) for p, q in along])


def around(radii: list[float]) -> Points:
    """Return a polygon by its radii at equal angles, clockwise from the top."""
    angles = [TURN * i / len(radii) for i in range(len(radii))]
    return np.array(
        [(r * math.sin(a), -r * math.cos(a)) for r, a in zip(radii, angles, strict=True)]
    )


def mirrored(points: Points) -> Points:
    """Return the polygon with left and right exchanged."""
    return points * np.array([-1.0, 1.0])


def whole(half: str) -> Points:
    """Return a symmetric polygon from its right half, written from the top to the bottom."""
    right = polygon(half)
    return np.concatenate([right, mirrored(right[::-1])[1:-1]])
