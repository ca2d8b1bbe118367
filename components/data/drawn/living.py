"""Outlines of what lives: fish, leaves, mushrooms, trees and butterflies."""

import math

import numpy as np

from components.data.drawn.outlines import (
    TURN,
    Outline,
    Points,
    accent,
    around,
    body,
    dark,
    ellipse,
    light,
    mirrored,
    polygon,
    rectangle,
    whole,
)

CARP: Outline = (
    accent(polygon(".45,0 1,-.45 .82,0 1,.45")),  # forked tail
    accent(polygon("-.2,-.3 .25,-.62 .35,-.2")),
    body(ellipse((-0.2, 0, 0.78, 0.4))),
    light(ellipse((-0.68, -0.1, 0.1, 0.1))),
    dark(ellipse((-0.7, -0.1, 0.05, 0.05))),
)
ANGELFISH: Outline = (
    accent(polygon("-.1,-.5 .55,-1 .3,-.3")),  # long fins
    accent(polygon("-.1,.5 .55,1 .3,.3")),
    accent(polygon(".5,0 .95,-.3 .95,.3")),
    body(polygon("-.8,0 -.1,-.65 .6,0 -.1,.65")),
    light(ellipse((-0.5, -0.05, 0.1, 0.1))),
    dark(ellipse((-0.52, -0.05, 0.05, 0.05))),
)
SHARK: Outline = (
    accent(polygon(".6,0 1,-.7 .85,0 1,.3")),
    accent(polygon("-.25,-.2 .15,-.8 .25,-.15")),
    accent(polygon("-.3,.15 0,.6 .1,.1")),
    body(polygon("-1,.05 -.6,-.22 0,-.28 .7,-.06 .7,.06 0,.25 -.6,.24")),
    dark(ellipse((-0.72, -0.05, 0.05, 0.05))),
)


def _leaf(blade: Points) -> Outline:
    """Return a blade on its stalk with the middle vein."""
    stalk = dark(rectangle((-0.05, 0.3, 0.05, 1)))
    return (stalk, body(blade), dark(polygon("-.03,.4 0,-.75 .03,.4")))


_LOBES = [0.66 + 0.17 * math.cos(9 * TURN * i / 72) for i in range(72)]
BEECH_LEAF = _leaf(ellipse((0, -0.15, 0.42, 0.8)))
OAK_LEAF = _leaf(around(_LOBES) * np.array([0.8, 1.05]))
MAPLE_LEAF = _leaf(whole("0,-1 .2,-.5 .5,-.65 .42,-.3 .95,-.25 .7,.05 .8,.25 .3,.3 .35,.55 0,.45"))

TOADSTOOL: Outline = (
    light(polygon("-.18,0 .18,0 .26,.95 -.26,.95")),
    body(ellipse((0, 0, 0.9, 0.8), arc=(math.pi, TURN))),
    accent(ellipse((0, 0, 0.9, 0.14))),
)
FUNNEL_CAP: Outline = (
    light(polygon("-.3,-.3 .3,-.3 .12,.95 -.12,.95")),
    body(polygon("-.95,-.75 .95,-.75 .2,.2 -.2,.2")),
    accent(ellipse((0, -0.75, 0.95, 0.17))),
)
INKCAP: Outline = (
    light(rectangle((-0.13, -0.2, 0.13, 0.98))),
    body(polygon("0,-1 .34,-.5 .5,.15 -.5,.15 -.34,-.5")),
    accent(rectangle((-0.22, 0.3, 0.22, 0.42))),
)

_TRUNK = dark(rectangle((-0.11, 0.3, 0.11, 1)))
_FRONDS = (0, 0.9, math.pi - 0.9, math.pi, -0.8, math.pi + 0.8)  # radians
PINE: Outline = (
    _TRUNK,
    body(
        polygon(
            "0,-1 .42,-.4 .22,-.4 .6,.1 .32,.1 .75,.62 -.75,.62 -.32,.1 -.6,.1 -.22,-.4 -.42,-.4"
        )
    ),
)
APPLE_TREE: Outline = (
    _TRUNK,
    body(ellipse((-0.38, -0.05, 0.48, 0.45))),
    body(ellipse((0.38, -0.05, 0.48, 0.45))),
    body(ellipse((0, -0.5, 0.52, 0.48))),
    accent(ellipse((-0.2, -0.4, 0.09, 0.09))),
    accent(ellipse((0.3, -0.1, 0.09, 0.09))),
    accent(ellipse((-0.4, 0.1, 0.09, 0.09))),
)
PALM: Outline = (
    dark(polygon("-.08,-.5 .08,-.5 .22,1 0,1")),
    *(
        body(
            ellipse(
                (0.45 * math.cos(a), -0.55 + 0.35 * math.sin(a), 0.52, 0.15),
                turned=a,
            )
        )
        for a in _FRONDS
    ),
    accent(ellipse((-0.07, -0.45, 0.12, 0.12))),
    accent(ellipse((0.13, -0.42, 0.12, 0.12))),
)


def _butterfly(*wings: Points, spots: float) -> Outline:
    """Return the right wings and their mirror images, two spots at height ``spots``, and a body."""
    feeler = polygon("0,-.45 .28,-.85 .31,-.8")
    return (
        *(body(wing) for wing in wings),
        *(body(mirrored(wing)) for wing in wings),
        *(accent(ellipse((side, spots, 0.13, 0.13))) for side in (-0.5, 0.5)),
        dark(ellipse((0, 0, 0.09, 0.55))),
        dark(feeler),
        dark(mirrored(feeler)),
    )


PEACOCK = _butterfly(
    ellipse((0.45, -0.35, 0.5, 0.42), turned=-0.5),
    ellipse((0.38, 0.38, 0.38, 0.36), turned=0.5),
    spots=-0.35,
)
SWALLOWTAIL = _butterfly(
    polygon(".05,-.1 .55,-.95 1,-.75 .75,0 .1,.1"),
    polygon(".05,0 .65,.05 .55,.5 .78,1 .42,.65 .1,.4"),
    spots=-0.5,
)
MOTH = _butterfly(polygon("0,-.5 .98,.35 .7,.6 .05,.35"), spots=0.2)
