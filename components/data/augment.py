"""One picture and its boxes -> a canvas of a batch. Every draw is keyed, none has a state.

A picture is cut to a window, scaled so that the window's long side is S, perhaps flipped, and
laid in the top left corner of an S x S canvas. The keys are (seed, step) for S of photos and
(seed, epoch, row) for the rest, so that workers agree and a resumed run sees the same pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from components.data.order import generator
from components.data.sample import PADDING
from components.data.views import PhotoView, PlainView, SceneView, View

SIZES, LOOKS = 11, 12  # purposes of draws


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How one picture is shown: a window of it, its size on the canvas, and its light."""

    window: tuple[float, float, float, float]  # x1, y1, x2, y2 in the original, px
    side: int  # px, of the window's long side on the canvas
    flip: bool = False
    gain: float = 1.0
    offset: float = 0.0  # of full white


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A picture on its canvas."""

    image: Tensor  # uint8 [h, w, 3]
    view: np.ndarray  # float32 [2, 3] original px -> canvas px


def canvas_of(view: View, *, seed: int, step: int) -> int:
    """Return the side of the square canvas of a step, px."""
    longest = _side(view, seed=seed, step=step)
    return -(-longest // view.pad_to) * view.pad_to


def look_of(
    view: View, *, width: int, height: int, seed: int, step: int, epoch: int, row: int
) -> Look:
    """Draw how a picture of `width` x `height` px is shown at this moment."""
    side = _side(view, seed=seed, step=step)
    whole = (0.0, 0.0, float(width), float(height))
    if isinstance(view, PlainView):
        return Look(window=whole, side=side)
    draw = generator(seed, LOOKS, epoch, row)
    u = draw.random(6)
    flip = view.flip and bool(u[0] < 0.5)
    gain = 1 + view.exposure * (2 * u[1] - 1)
    offset = view.level * (2 * u[2] - 1)
    if isinstance(view, SceneView):
        low, high = view.scale
        side = max(8, round(side * (low + (high - low) * u[3])))
        return Look(window=whole, side=side, flip=flip, gain=gain, offset=offset)
    share = view.crop + (1 - view.crop) * u[3]
    w, h = width * share, height * share
    x, y = (width - w) * u[4], (height - h) * u[5]
    return Look(window=(x, y, x + w, y + h), side=side, flip=flip, gain=gain, offset=offset)


def show(picture: np.ndarray, look: Look) -> Shown:
    """Cut, scale and light one picture.

    Args:
        picture: uint8 [H, W, 3].
        look: from `look_of`; its window is rounded to whole pixels.
    """
    x1, y1 = (int(v) for v in look.window[:2])
    x2, y2 = (max(a + 1, round(v)) for a, v in zip((x1, y1), look.window[2:], strict=True))
    x2, y2 = min(x2, picture.shape[1]), min(y2, picture.shape[0])
    factor = look.side / max(x2 - x1, y2 - y1)
    width = max(1, min(look.side, round((x2 - x1) * factor)))
    height = max(1, min(look.side, round((y2 - y1) * factor)))
    cut = torch.tensor(picture[y1:y2, x1:x2]).permute(2, 0, 1)[None].float()
    if (height, width) != cut.shape[2:]:
        cut = torch.nn.functional.interpolate(
            cut, size=(height, width), mode="bilinear", antialias=True, align_corners=False
        )
    if look.gain != 1 or look.offset != 0:
        cut = (cut - 127.5) * look.gain + (127.5 + 255 * look.offset)
    image = cut[0].round_().clamp_(0, 255).byte().permute(1, 2, 0)
    sx, sy = width / (x2 - x1), height / (y2 - y1)
    view = np.array([[sx, 0, -x1 * sx], [0, sy, -y1 * sy]], np.float64)
    if look.flip:
        image = image.flip(1)
        view[0] = (-view[0, 0], 0, width - view[0, 2])
    return Shown(image=image, view=view.astype(np.float32))


def lay(shown: list[Shown], *, side: int) -> tuple[Tensor, Tensor]:
    """Return uint8 [N, side, side, 3] with grey beside the pictures, and int32 [N, 2] (h, w)."""
    canvas = torch.full((len(shown), side, side, 3), PADDING, dtype=torch.uint8)
    sizes = torch.zeros(len(shown), 2, dtype=torch.int32)
    for i, one in enumerate(shown):
        h, w, _ = one.image.shape
        canvas[i, :h, :w] = one.image
        sizes[i, 0], sizes[i, 1] = h, w
    return canvas, sizes


def carry(boxes_R4: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Carry boxes float32 [R, 4] along a view [2, 3]; corners are ordered again after a flip."""
    scale, shift = np.array([view[0, 0], view[1, 1]]), view[:, 2]
    corners = boxes_R4.reshape(-1, 2, 2) * scale + shift
    return np.concatenate([corners.min(1), corners.max(1)], 1).astype(np.float32)


def back(boxes_R4: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Carry boxes float32 [R, 4] of a canvas back to the original picture."""
    inverse = np.array(
        [
            [1 / view[0, 0], 0, -view[0, 2] / view[0, 0]],
            [0, 1 / view[1, 1], -view[1, 2] / view[1, 1]],
        ]
    )
    return carry(boxes_R4, inverse)


def _side(view: View, *, seed: int, step: int) -> int:
    if isinstance(view, PhotoView):
        return int(generator(seed, SIZES, step).choice(view.sizes))
    return view.size
