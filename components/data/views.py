"""How pictures are shown to a network: settings only, free of torch."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval, MinLen

Side = Annotated[int, Interval(ge=8, le=4096)]  # px
Fraction = Annotated[float, Interval(ge=0, le=1)]
Share = Annotated[float, Interval(gt=0, le=1)]
Ratio = Annotated[float, Interval(gt=0, le=100)]
Sigma = Annotated[float, Interval(gt=0, le=50)]  # px


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Erase:
    """One rectangle that is filled with noise, as in Cutout."""

    share: Fraction  # of the pictures that get it
    area: tuple[Share, Share]  # smallest, largest, of the picture
    ratio: tuple[Ratio, Ratio]  # smallest, largest, height over width


@dataclass(frozen=True, kw_only=True, slots=True)
class Strong:
    """What a student sees of a picture that its teacher saw plain: colours, blur, erased parts.

    Dissertation (paper 2), section 3.3.1, names the three kinds and gives no numbers; these are
    those of Unbiased Teacher (Liu et al., 2021).
    """

    jitter: Fraction = 0.8  # share of the pictures whose colours are changed
    brightness: Fraction = 0.4  # factor 1 +- this
    contrast: Fraction = 0.4
    saturation: Fraction = 0.4
    hue: Annotated[float, Interval(ge=0, le=0.5)] = 0.1  # of the circle, +- this
    grey: Fraction = 0.2  # share of the pictures without colour
    blur: Fraction = 0.5  # share of the pictures that are blurred
    sigma: tuple[Sigma, Sigma] = (0.1, 2.0)  # smallest, largest deviation of a blur, px
    erase: tuple[Erase, ...] = (
        Erase(share=0.7, area=(0.05, 0.2), ratio=(0.3, 3.3)),
        Erase(share=0.5, area=(0.02, 0.2), ratio=(0.1, 6.0)),
        Erase(share=0.3, area=(0.02, 0.2), ratio=(0.05, 8.0)),
    )


View = SceneView | PhotoView | PlainView
