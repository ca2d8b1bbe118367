"""A picture twice: what is there on the left, what was found on the right; colours judge.

Green is found or right, orange is missed, red is wrong. Shapes: boxes are xyxy px of the picture.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from components.data.draw_boxes import Box, draw_boxes

GOOD, MISSED, WRONG = (22, 120, 66), (196, 92, 0), (190, 40, 40)
WIDE, TALL = 300, 450  # px, that each half fits into
_GAP = 4  # px between them


def side_by_side(picture: np.ndarray, truths: Sequence[Box], found: Sequence[Box]) -> Image.Image:
    """Return both halves as one picture, as large as fits whatever the picture's own size.

    Args:
        picture: uint8 [H, W, 3].
        truths: drawn on the left.
        found: drawn on the right.
    """
    image = Image.fromarray(picture)
    zoom = min(WIDE / image.width, TALL / image.height)
    size = (max(1, round(image.width * zoom)), max(1, round(image.height * zoom)))
    how = Image.Resampling.LANCZOS if zoom < 1 else Image.Resampling.BICUBIC
    pixels = np.asarray(image.resize(size, how))
    sheet = Image.new("RGB", (2 * size[0] + _GAP, size[1]), (255, 255, 255))
    for i, boxes in enumerate((truths, found)):
        half = draw_boxes(pixels, [_zoomed(box, zoom) for box in boxes], least_side=1)
        sheet.paste(half, (i * (size[0] + _GAP), 0))
    return sheet


def _zoomed(box: Box, zoom: float) -> Box:
    x1, y1, x2, y2 = box.corners
    return replace(box, corners=(x1 * zoom, y1 * zoom, x2 * zoom, y2 * zoom))
