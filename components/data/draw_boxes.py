"""Boxes, names and scores drawn on a picture; a name can do nothing but be read."""

import colorsys
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LONGEST_NAME = 40
INK = (255, 255, 255)
QUALITY = 88


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """One detection to draw."""

    corners: tuple[float, float, float, float]  # xyxy px of the picture
    class_id: str
    score: float | None = None
    colour: tuple[int, int, int] | None = None  # None: the colour of its class


def draw_boxes(picture: np.ndarray, boxes: Sequence[Box], *, least_side: int = 320) -> Image.Image:
    """Return a picture with its boxes; small pictures are enlarged so that names can be read.

    Args:
        picture: uint8 [H, W, 3].
        boxes: the best are drawn last, on top.
        least_side: px of the long side of what is returned.
    """
    image = Image.fromarray(picture)
    factor = max(1, -(-least_side // max(image.size)))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(12)
    for box in sorted(boxes, key=lambda b: b.score or 0.0):
        x1, y1, x2, y2 = (v * factor for v in box.corners)
        if x2 <= x1 or y2 <= y1:
            continue
        colour = box.colour or colour_of(box.class_id)
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=2)
        text = label_of(box)
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        y = max(0.0, y1 - (bottom - top) - 4)
        x = max(0.0, min(x1, image.width - (right - left) - 4))
        pen.rectangle((x, y, x + right - left + 4, y + bottom - top + 4), fill=colour)
        pen.text((x + 2, y + 2 - top), text, fill=INK, font=font)
    return image


def label_of(box: Box) -> str:
    """Return the name after the level, with control characters written out, and the score."""
    shown = written_out(box.class_id.partition(":")[2] or box.class_id)[:LONGEST_NAME]
    return shown if box.score is None else f"{shown} {box.score:.2f}"


def written_out(text: str) -> str:
    """Return a text in which characters that would not be seen stand as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def colour_of(class_id: str) -> tuple[int, int, int]:
    """Return the colour of a class: the same in every picture, dark enough for white text."""
    digest = hashlib.sha256(class_id.encode()).digest()
    red, green, blue = colorsys.hsv_to_rgb(digest[0] / 256, 0.75, 0.45 + digest[1] / 256 * 0.15)
    return round(red * 255), round(green * 255), round(blue * 255)


def jpeg(image: Image.Image, *, quality: int = QUALITY) -> bytes:
    """Return a picture as JPEG bytes; colour at full resolution, or thin lines smear."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
