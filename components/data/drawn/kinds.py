"""The ten kinds, their outlines, and the textures and palettes each may wear."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from components.data.drawn import living, things
from components.data.drawn.outlines import Outline


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One coarse class: outlines x textures x palettes are its fine classes."""

    outlines: dict[str, Outline]
    textures: tuple[str, str]
    palettes: tuple[str, str]


# The pairs differ from kind to kind: neither a texture nor a palette gives a kind away.
KINDS: dict[str, Kind] = {
    "fish": Kind(
        outlines={"carp": living.CARP, "angelfish": living.ANGELFISH, "shark": living.SHARK},
        textures=("striped", "spotted"),
        palettes=("orange", "blue"),
    ),
    "bottle": Kind(
        outlines={"wine bottle": things.WINE_BOTTLE, "flask": things.FLASK, "jar": things.JAR},
        textures=("plain", "banded"),
        palettes=("green", "violet"),
    ),
    "leaf": Kind(
        outlines={
            "beech leaf": living.BEECH_LEAF,
            "oak leaf": living.OAK_LEAF,
            "maple leaf": living.MAPLE_LEAF,
        },
        textures=("checked", "ringed"),
        palettes=("red", "green"),
    ),
    "house": Kind(
        outlines={"cottage": things.COTTAGE, "tower": things.TOWER, "barn": things.BARN},
        textures=("striped", "checked"),
        palettes=("red", "brown"),
    ),
    "star": Kind(
        outlines={
            "five-point star": things.FIVE_POINT_STAR,
            "sun": things.SUN,
            "sparkle": things.SPARKLE,
        },
        textures=("spotted", "ringed"),
        palettes=("yellow", "pink"),
    ),
    "mushroom": Kind(
        outlines={
            "toadstool": living.TOADSTOOL,
            "funnel cap": living.FUNNEL_CAP,
            "inkcap": living.INKCAP,
        },
        textures=("plain", "spotted"),
        palettes=("red", "orange"),
    ),
    "cup": Kind(
        outlines={"mug": things.MUG, "goblet": things.GOBLET, "teapot": things.TEAPOT},
        textures=("banded", "checked"),
        palettes=("teal", "blue"),
    ),
    "car": Kind(
        outlines={"sedan": things.SEDAN, "van": things.VAN, "truck": things.TRUCK},
        textures=("striped", "ringed"),
        palettes=("yellow", "grey"),
    ),
    "tree": Kind(
        outlines={"pine": living.PINE, "apple tree": living.APPLE_TREE, "palm": living.PALM},
        textures=("plain", "striped"),
        palettes=("green", "teal"),
    ),
    "butterfly": Kind(
        outlines={
            "peacock": living.PEACOCK,
            "swallowtail": living.SWALLOWTAIL,
            "moth": living.MOTH,
        },
        textures=("spotted", "banded"),
        palettes=("violet", "pink"),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FineClass:
    """One fine class: an outline of a kind in one texture and one palette."""

    name: str
    kind: str
    outline: str
    texture: str
    palette: str


@lru_cache
def class_table(kinds: int) -> tuple[FineClass, ...]:
    """Return the fine classes of the first ``kinds`` kinds, 12 a kind, in their fixed order."""
    return tuple(
        FineClass(
            name=f"{palette} {texture} {outline}",
            kind=name,
            outline=outline,
            texture=texture,
            palette=palette,
        )
        for name, kind in list(KINDS.items())[:kinds]
        for outline, texture, palette in product(kind.outlines, kind.textures, kind.palettes)
    )
