"""Outlines of what does not live: bottles, houses, stars, cups and cars."""

import math

import numpy as np

from components.data.drawn.outlines import (
    Outline,
    Points,
    accent,
    around,
    body,
    dark,
    ellipse,
    hole,
    light,
    polygon,
    rectangle,
)

WINE_BOTTLE: Outline = (
    body(polygon("-.13,-.8 .13,-.8 .13,-.35 .33,-.1 .33,1 -.33,1 -.33,-.1 -.13,-.35")),
    accent(rectangle((-0.16, -1, 0.16, -0.72))),
    light(rectangle((-0.33, 0.25, 0.33, 0.65))),  # label
)
FLASK: Outline = (
    body(polygon("-.17,-.85 .17,-.85 .17,-.25 .75,.8 .65,.9 -.65,.9 -.75,.8 -.17,-.25")),
    accent(rectangle((-0.26, -0.98, 0.26, -0.8))),
)
JAR: Outline = (
    body(polygon("-.5,-.6 .5,-.6 .62,-.4 .62,.85 .5,.95 -.5,.95 -.62,.85 -.62,-.4")),
    accent(rectangle((-0.52, -0.92, 0.52, -0.58))),
    light(ellipse((0, 0.2, 0.32, 0.28))),
)

COTTAGE: Outline = (
    body(rectangle((-0.75, -0.1, 0.75, 0.85))),
    accent(polygon("-.98,-.1 0,-.9 .98,-.1")),
    dark(rectangle((-0.15, 0.3, 0.2, 0.85))),
    light(rectangle((-0.6, 0.15, -0.3, 0.45))),
    light(rectangle((0.35, 0.15, 0.62, 0.45))),
)
TOWER: Outline = (
    body(rectangle((-0.36, -0.45, 0.36, 0.98))),
    accent(polygon("-.52,-.45 0,-1 .52,-.45")),
    dark(rectangle((-0.12, 0.55, 0.12, 0.98))),
    light(rectangle((-0.14, -0.25, 0.14, 0.05))),
)
BARN: Outline = (
    accent(polygon("-.9,-.2 -.65,-.65 0,-.9 .65,-.65 .9,-.2")),
    body(rectangle((-0.85, -0.22, 0.85, 0.75))),
    dark(rectangle((-0.4, 0.1, 0.4, 0.75))),
    light(polygon("-.4,.1 -.32,.1 .4,.75 .32,.75")),
    light(ellipse((0, -0.45, 0.14, 0.14))),
)


def _rays(count: int, *, inner: float) -> Points:
    """Return a star of ``count`` rays of length 1 over a circle of radius ``inner``."""
    return around([1.0, inner] * count)


_SPARKLE = polygon("0,-1 .16,-.16 1,0 .16,.16")
FIVE_POINT_STAR: Outline = (body(_rays(5, inner=0.42)),)
SUN: Outline = (accent(_rays(12, inner=0.62)), body(ellipse((0, 0, 0.62, 0.62))))
SPARKLE: Outline = (body(np.concatenate([_SPARKLE, -_SPARKLE])),)

MUG: Outline = (
    accent(ellipse((0.55, 0.1, 0.42, 0.45))),  # handle
    hole(ellipse((0.55, 0.1, 0.24, 0.27))),
    body(rectangle((-0.75, -0.7, 0.5, 0.8))),
    dark(ellipse((-0.125, -0.7, 0.62, 0.13))),
)
GOBLET: Outline = (
    accent(rectangle((-0.09, 0, 0.09, 0.85))),
    accent(ellipse((0, 0.88, 0.48, 0.1))),
    body(ellipse((0, -0.85, 0.58, 1.05), arc=(0, math.pi))),
    dark(ellipse((0, -0.85, 0.58, 0.11))),
)
TEAPOT: Outline = (
    accent(ellipse((0.72, 0.1, 0.3, 0.38))),
    hole(ellipse((0.7, 0.1, 0.16, 0.22))),
    accent(polygon("-.5,.35 -.98,-.35 -.8,-.4 -.4,0")),  # spout
    body(ellipse((0, 0.2, 0.66, 0.58))),
    accent(ellipse((0, -0.38, 0.32, 0.12))),
    dark(ellipse((0, -0.52, 0.1, 0.1))),
)

_WHEELS: Outline = (
    dark(ellipse((-0.52, 0.45, 0.22, 0.22))),
    light(ellipse((-0.52, 0.45, 0.09, 0.09))),
    dark(ellipse((0.52, 0.45, 0.22, 0.22))),
    light(ellipse((0.52, 0.45, 0.09, 0.09))),
)
SEDAN: Outline = (
    accent(polygon("-.5,-.1 -.3,-.5 .35,-.5 .6,-.1")),
    light(polygon("-.38,-.12 -.24,-.4 0,-.4 0,-.12")),
    light(polygon(".07,-.12 .07,-.4 .3,-.4 .46,-.12")),
    body(polygon("-1,-.05 -.5,-.12 .8,-.12 1,.05 1,.42 -1,.42")),
    *_WHEELS,
)
VAN: Outline = (
    body(polygon("-1,.42 -1,-.1 -.75,-.7 1,-.7 1,.42")),
    light(polygon("-.88,-.08 -.68,-.55 -.4,-.55 -.4,-.08")),
    accent(rectangle((-0.3, -0.55, 0.9, -0.25))),
    *_WHEELS,
)
TRUCK: Outline = (
    body(rectangle((-0.25, -0.75, 1, 0.4))),
    accent(polygon("-1,.42 -1,0 -.82,-.35 -.32,-.35 -.32,.42")),  # cab
    light(polygon("-.9,0 -.76,-.25 -.5,-.25 -.5,0")),
    dark(rectangle((-1, 0.32, 1, 0.44))),
    *_WHEELS,
)
