"""How pictures are shown to a network: settings only, free of torch."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval, MinLen

Side = Annotated[int, Interval(ge=8, le=4096)]  # px
Fraction = Annotated[float, Interval(ge=0, le=1)]
Share = Annotated[float, Interval(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneView:
    """Training pictures with boxes: the whole picture, its long side scaled to `size`.

    Differs: paper 5 jitters the scale in [.1, 2]; here a picture is never enlarged, for that costs
    time and the maps of a CPU run end at stride 32.
    """

    size: Side  # px, long side
    scale: tuple[Share, Share] = (1.0, 1.0)  # smallest, largest factor on size
    flip: bool = True  # left and right, half of the time
    exposure: Fraction = 0.0  # gain 1 +- this
    level: Fraction = 0.0  # offset +- this, of full white
    pad_to: Annotated[int, Interval(ge=1, le=256)] = 32  # sides of a batch are multiples


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoView:
    """Training photos with image labels: a crop, its long side scaled to one of `sizes`."""

    sizes: Annotated[tuple[Side, ...], MinLen(1)]  # px, long side; one is drawn for each step
    crop: Share = 0.6  # least share of each side that is kept
    flip: bool = True  # left and right, half of the time
    exposure: Fraction = 0.15  # gain 1 +- this
    level: Fraction = 0.05  # offset +- this, of full white
    pad_to: Annotated[int, Interval(ge=1, le=256)] = 8  # sides of a batch are multiples


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainView:
    """Pictures to be scored: nothing random, the long side scaled to `size`."""

    size: Side
    pad_to: Annotated[int, Interval(ge=1, le=256)] = 32


View = SceneView | PhotoView | PlainView
