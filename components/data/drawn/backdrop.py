"""What lies behind the objects, and the light over the whole picture.

The backdrop is a soft gradient with clutter: sticks, stones, and cloth that wears the textures of
the objects, so that a texture alone is not an object.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from components.data.drawn.brush import Canvas
from components.data.drawn.outlines import TURN, Points, around, ellipse
from components.data.drawn.palette import TEXTURES, Plane, color, mix

_PATTERNS = tuple(name for name in TEXTURES if name != "plain")


def backdrop(side: int, *, clutter: float, rng: Generator) -> Canvas:
    """Return a canvas of ``side`` pixels with a Poisson number of pieces of clutter.

    Args:
        side: pixels.
        clutter: mean number of pieces.
        rng: draws everything.
    """
    canvas = _gradient(side, rng)
    for _ in range(int(rng.poisson(clutter))):
        _litter(canvas, rng)
    return canvas


def finish(canvas: Canvas, *, light: float, rng: Generator) -> NDArray[np.uint8]:
    """Return the canvas as a picture: light from one side, exposure, noise, sometimes a blur.

    Args:
        canvas: [H, W, 3], changed in place.
        light: strength of the changes of light, 1 is the usual; noise and blur stay.
        rng: draws everything.
    """
    side = canvas.shape[0]
    angle = rng.uniform(0, TURN)
    slope = rng.uniform(0, 0.3) * light
    contrast = 1 + rng.uniform(-0.25, 0.15) * light
    level = 0.5 + rng.uniform(-0.1, 0.1) * light
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    across = ramp * np.float32(slope * math.cos(angle))
    down = ramp * np.float32(slope * math.sin(angle))
    canvas *= (1 + across[:, None] + down[None, :])[..., None]
    canvas -= np.float32(0.5)
    canvas *= np.float32(contrast)
    canvas += np.float32(level)
    noise = rng.standard_normal(canvas.shape, dtype=np.float32)
    noise *= np.float32(rng.uniform(0.01, 0.04))
    canvas += noise
    if rng.random() < 0.25:
        canvas = _blurred(canvas)
    np.clip(canvas, 0, 1, out=canvas)
    canvas *= 255
    return canvas.astype(np.uint8)


def _blurred(canvas: Canvas) -> Canvas:
    """Return the mean of every pixel and three neighbours; the picture's edges meet."""
    mean = canvas + np.roll(canvas, 1, axis=0)
    mean += np.roll(mean, 1, axis=1)
    mean *= np.float32(0.25)
    return mean


def _gradient(side: int, rng: Generator) -> Canvas:
    """Return two colors of one mood from edge to edge, and clouds of a third."""
    hue = rng.random()
    first, second, third = (
        color(
            hue + rng.uniform(-0.15, 0.15),
            saturation=rng.uniform(0.05, 0.5),
            value=rng.uniform(0.3, 0.95),
        )
        for _ in range(3)
    )
    angle = rng.uniform(0, TURN)
    ramp = np.linspace(0, 1, side, dtype=np.float32)
    slope = ramp[:, None] * np.float32(math.cos(angle)) + ramp * np.float32(math.sin(angle))
    low, high = slope.min(), slope.max()
    slope = ((slope - low) / (high - low + np.float32(1e-6)))[..., None]
    dots = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8))
    clouds = np.asarray(dots.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    clouds = clouds[..., None] * np.float32(0.5 / 255)
    canvas = first + (second - first) * slope
    canvas *= 1 - clouds
    canvas += third * clouds
    return canvas


def _stick(reach: float, *, side: int, rng: Generator) -> Points:
    """Return a thin rectangle, a long way from its corner."""
    angle, length = rng.uniform(0, TURN), rng.uniform(0.15, 0.5) * side
    width = rng.uniform(0.6, 2.2)
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = np.array((cos, sin)) * length, np.array((-sin, cos)) * width
    return np.stack([across, -across, along - across, along + across])


def _stone(reach: float, *, side: int, rng: Generator) -> Points:
    """Return a rough nine-cornered lump."""
    return around((reach * rng.uniform(0.7, 1.1, 9)).tolist())


def _cloth(reach: float, *, side: int, rng: Generator) -> Points:
    """Return a rectangle turned by any angle."""
    top, bottom = (reach * rng.uniform(0.4, 1, 2)).tolist()
    angle = rng.uniform(0, TURN)
    cos, sin = math.cos(angle), math.sin(angle)
    corners = ((-reach, -top), (reach, -top), (reach, bottom), (-reach, bottom))
    return np.array([(x * cos - y * sin, x * sin + y * cos) for x, y in corners])


def _patch(reach: float, *, side: int, rng: Generator) -> Points:
    """Return an ellipse turned by any angle."""
    rx, ry = (reach * rng.uniform(0.3, 1, 2)).tolist()
    return ellipse((0, 0, rx, ry), turned=rng.uniform(0, TURN), steps=12)


_Form = Callable[..., Points]
CLUTTER: dict[str, tuple[_Form, bool]] = {  # form, and whether it may wear a pattern
    "stick": (_stick, False),
    "stone": (_stone, False),
    "cloth": (_cloth, True),
    "patch": (_patch, True),
}
_FORMS = tuple(CLUTTER.values())


def _litter(canvas: Canvas, rng: Generator) -> None:
    """Paint one piece of clutter over the canvas."""
    side = canvas.shape[0]
    plain = color(rng.random(), saturation=rng.uniform(0.1, 0.8), value=rng.uniform(0.2, 0.95))
    x, y, reach = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(0.04, 0.14) * side
    form, patterned = _FORMS[int(rng.integers(len(_FORMS)))]
    points = form(reach, side=side, rng=rng) + np.array((x, y))
    opaque = rng.uniform(0.6, 1)
    x0, y0 = np.maximum(np.floor(points.min(axis=0)), 0).astype(int).tolist()
    x1, y1 = np.minimum(np.ceil(points.max(axis=0)) + 1, side).astype(int).tolist()
    if x1 <= x0 or y1 <= y0:
        return
    image = Image.new("L", (x1 - x0, y1 - y0), 0)
    ImageDraw.Draw(image).polygon((points - (x0, y0)).ravel().tolist(), fill=255)
    share: Plane = (np.asarray(image) * np.float32(opaque / 255))[..., None]
    paint = plain
    if patterned and rng.random() < 0.6:
        u = (np.arange(x0, x1, dtype=np.float32) - np.float32(x))[None, :] / np.float32(reach)
        v = (np.arange(y0, y1, dtype=np.float32) - np.float32(y))[:, None] / np.float32(reach)
        name = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
        second = color(rng.random(), saturation=0.4, value=0.8)
        mixed = mix(name, u=u, v=v, frequency=2.5, rng=rng)
        paint = plain + (second - plain) * np.broadcast_to(mixed, share.shape[:2])[..., None]
    view = canvas[y0:y1, x0:x1]
    view *= 1 - share
    view += paint * share
