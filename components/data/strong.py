"""A picture as a student sees it: other colours, blurred, parts erased. Boxes stay where they are.

Dissertation (paper 2), section 3.3.1. Nothing here moves a pixel to another place, and erasing
does not take a box away: a part of an object that is hidden is still that object's.
Every number is drawn from the generator given, so that a resumed run sees the same pixels.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as pixels

from components.data.views import Erase, Strong

TRIES = 10  # at a rectangle that fits the picture
REACH = 3  # deviations on each side that a blur looks at


def strengthen(image: Tensor, cfg: Strong, draw: np.random.Generator) -> Tensor:
    """Return the picture changed.

    Args:
        image: uint8 [h, w, 3]; it is not written to.
        cfg: how often, and how much.
        draw: keyed by the picture and the moment.
    """
    x = image.permute(2, 0, 1)
    if draw.random() < cfg.jitter:
        x = _jittered(x, cfg, draw)
    if draw.random() < cfg.grey:
        x = pixels.rgb_to_grayscale(x, num_output_channels=3)
    if draw.random() < cfg.blur:
        sigma = draw.uniform(*cfg.sigma)
        side = 2 * math.ceil(REACH * sigma) + 1
        fits = [min(side, 2 * length - 1) for length in (x.shape[2], x.shape[1])]
        x = pixels.gaussian_blur(x, kernel_size=fits, sigma=[sigma, sigma])
    for part in cfg.erase:
        if draw.random() < part.share:
            x = _erased(x, part, draw)
    return x.permute(1, 2, 0).contiguous()


def _jittered(x: Tensor, cfg: Strong, draw: np.random.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue, in a drawn order."""
    changes: list[tuple[Callable[[Tensor, float], Tensor], float, float]] = [
        (pixels.adjust_brightness, 1.0, cfg.brightness),
        (pixels.adjust_contrast, 1.0, cfg.contrast),
        (pixels.adjust_saturation, 1.0, cfg.saturation),
        (pixels.adjust_hue, 0.0, cfg.hue),
    ]
    for i in draw.permutation(len(changes)):
        change, center, spread = changes[i]
        amount = float(draw.uniform(center - spread, center + spread))
        x = change(x, amount) if spread else x
    return x


def _erased(x: Tensor, part: Erase, draw: np.random.Generator) -> Tensor:
    """Fill one rectangle with noise; as it is where none that was drawn fits."""
    height, width = x.shape[1:]
    for _ in range(TRIES):
        area = draw.uniform(*part.area) * height * width
        low, high = part.ratio
        ratio = math.exp(draw.uniform(math.log(low), math.log(high)))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < h <= height and 0 < w <= width:
            top, left = draw.integers(height - h + 1), draw.integers(width - w + 1)
            noise = draw.integers(0, 256, (x.shape[0], h, w), dtype=np.uint8)
            x = x.clone()
            x[:, top : top + h, left : left + w] = torch.from_numpy(noise)
            return x
    return x
