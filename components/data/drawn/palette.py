"""Palettes and textures: the two colors of a body, and where each of them shows.

A texture is a function of object coordinates (u to the right, v down, the outline spans [-1, 1])
and returns the share of the second color. Waves come from a table of rounded sines and everything
else is plain arithmetic, so that a picture has the same bytes on every processor.
"""

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

# Always float32; the type says floating because numpy's stubs lose the width in arithmetic.
Plane = NDArray[np.floating[Any]]  # [H, W], or [H, 1] and [1, W] that broadcast to it
Color = NDArray[np.float32]  # [3]: red, green, blue in [0, 1]

_WAVE_STEPS = 4096  # of one turn
_SINES = np.array(
    [round(math.sin(2 * math.pi * i / _WAVE_STEPS), 6) for i in range(_WAVE_STEPS)], np.float32
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """Two colors of a body as (hue in turns, saturation, value), and the hue of its accents."""

    first: tuple[float, float, float]
    second: tuple[float, float, float]
    accent: float  # turns


PALETTES: dict[str, Palette] = {
    "red": Palette(first=(0.0, 0.8, 0.82), second=(0.08, 0.25, 0.95), accent=0.6),
    "orange": Palette(first=(0.08, 0.85, 0.9), second=(0.02, 0.85, 0.5), accent=0.35),
    "yellow": Palette(first=(0.15, 0.8, 0.93), second=(0.1, 0.8, 0.55), accent=0.78),
    "green": Palette(first=(0.33, 0.65, 0.6), second=(0.25, 0.55, 0.9), accent=0.05),
    "teal": Palette(first=(0.48, 0.7, 0.6), second=(0.5, 0.25, 0.95), accent=0.0),
    "blue": Palette(first=(0.61, 0.75, 0.78), second=(0.56, 0.25, 0.97), accent=0.12),
    "violet": Palette(first=(0.76, 0.6, 0.68), second=(0.84, 0.35, 0.95), accent=0.15),
    "pink": Palette(first=(0.92, 0.5, 0.95), second=(0.95, 0.75, 0.6), accent=0.45),
    "grey": Palette(first=(0.6, 0.06, 0.48), second=(0.6, 0.05, 0.9), accent=0.02),
    "brown": Palette(first=(0.06, 0.65, 0.45), second=(0.1, 0.45, 0.82), accent=0.55),
}


def color(hue: float, *, saturation: float, value: float) -> Color:
    """Return red, green and blue in [0, 1]; the hue wraps, the others are clipped to [0, 1]."""
    inside = min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, *inside), np.float32)


def wave(turns: Plane) -> Plane:
    """Return the sine of an angle in turns, at steps of 1/4096 turn."""
    # An integer's low bits wrap also below zero, so that the table has one period.
    return _SINES[(turns * _WAVE_STEPS).astype(np.int32) & (_WAVE_STEPS - 1)]


def mix(texture: str, *, u: Plane, v: Plane, frequency: float, rng: Generator) -> Plane:
    """Return the share of the second color in [0, 1] at object coordinates (u, v).

    Args:
        texture: a row of TEXTURES.
        u: to the right.
        v: down.
        frequency: waves over the outline, about 2 to 4.
        rng: draws the phases.
    """
    return TEXTURES[texture](u, v, frequency, rng)


def _soft(edge: Plane, *, slope: float) -> Plane:
    """Return a step from 0 to 1 where ``edge`` crosses 0."""
    edge = edge * np.float32(slope)
    edge += np.float32(0.5)
    return np.minimum(np.maximum(edge, 0.0, out=edge), 1.0, out=edge)


def _plain(u: Plane, v: Plane, _frequency: float, _rng: Generator) -> Plane:
    return (u + v) * np.float32(0.06)


def _striped(u: Plane, v: Plane, frequency: float, rng: Generator) -> Plane:
    return _soft(wave(u * np.float32(frequency * 0.5) + np.float32(rng.random())), slope=3)


def _banded(u: Plane, v: Plane, frequency: float, rng: Generator) -> Plane:
    return _striped(v, u, frequency, rng)


def _spotted(u: Plane, v: Plane, frequency: float, rng: Generator) -> Plane:
    row = v * np.float32(frequency * 0.75) + np.float32(rng.random())
    below = np.floor(row)
    across = u * np.float32(frequency * 0.75) + np.float32(rng.random())
    odd = (below.astype(np.int32) & 1).astype(np.float32)
    across = across + odd * np.float32(0.5)  # every other row moves by half a spot
    across -= np.floor(across)
    across -= np.float32(0.5)
    row = row - below - np.float32(0.5)
    return _soft(np.float32(0.33) - np.sqrt(across * across + row * row), slope=9)


def _checked(u: Plane, v: Plane, frequency: float, rng: Generator) -> Plane:
    scale = np.float32(frequency * 0.42)
    columns = wave(u * scale + np.float32(rng.random()))
    return _soft(columns * wave(v * scale + np.float32(0.2)), slope=4)


def _ringed(u: Plane, v: Plane, frequency: float, _rng: Generator) -> Plane:
    return _soft(wave(np.sqrt(u * u + v * v) * np.float32(frequency * 0.55)), slope=3)


TEXTURES: dict[str, Callable[[Plane, Plane, float, Generator], Plane]] = {
    "plain": _plain,
    "striped": _striped,
    "spotted": _spotted,
    "checked": _checked,
    "banded": _banded,
    "ringed": _ringed,
}
