"""A sheet of samples with their boxes and labels drawn on them: look at data before training.

Shapes: R boxes of one picture, xyxy in its pixels.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from components.data.decode import PictureError, decode, picture_bytes
from components.data.draw_boxes import written_out
from components.data.drawn.pictures import photo, photo_classes, scene, truth
from components.data.drawn.world import World
from components.data.labelled import Labelled
from components.data.shards import Shards

SIDE = 224  # px, of a tile
CAPTION = 14  # px, below it
COLUMNS = 6
_PAPER, _INK, _LINE = (24, 24, 24), (230, 230, 230), (255, 235, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One picture and what is known of it; no pixels where it could not be read."""

    pixels: np.ndarray | None  # uint8 [H, W, 3]
    boxes: np.ndarray  # float32 [R, 4]
    names: tuple[str, ...] = ()  # one a box
    caption: str = ""


def write_contact_sheet(samples: Iterable[Sample], *, out: Path) -> int:
    """Draw samples as tiles on one page, write it, and return how many there were."""
    listed = list(samples)
    contact_sheet(listed).save(out)
    return len(listed)


def contact_sheet(samples: Iterable[Sample]) -> Image.Image:
    """Draw samples as tiles on one page."""
    tiles = [_tile(sample) for sample in samples]
    rows = max(1, -(-len(tiles) // COLUMNS))
    page = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + CAPTION)), _PAPER)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, COLUMNS)
        page.paste(tile, (column * SIDE, row * (SIDE + CAPTION)))
    return page


def of_labelled(pictures: Iterable[Labelled], *, count: int) -> Iterator[Sample]:
    """Yield samples of a source, spread evenly; one that cannot be read says so in its caption."""
    listed = list(pictures)
    for one in (listed[place] for place in _spread(count, len(listed))):
        caption = ", ".join(_name(label) for label in one.present) or one.source_name
        names = tuple(_name(label) for label in one.classes)
        try:
            pixels = decode(picture_bytes(one.path))
        except PictureError as error:
            pixels, caption = None, f"{one.source_name}: {error}"
        yield Sample(pixels=pixels, boxes=one.boxes, names=names, caption=caption)


def of_shards(path: Path, *, count: int) -> Iterator[Sample]:
    """Yield samples of packed shards, spread evenly over them."""
    shards = Shards.open(path)
    classes = shards.vocabulary.names
    for row in _spread(count, len(shards)):
        target = shards.target(row)
        yield Sample(
            pixels=decode(shards.read(row)),
            boxes=target.boxes,
            names=tuple(classes[i] for i in target.labels),
            caption=", ".join(classes[i] for i in target.present) or shards.source_name(row),
        )


def of_drawn(world: World, *, part: str, count: int) -> Iterator[Sample]:
    """Yield samples of a part of a drawn world, spread evenly over its classes."""
    if part.endswith("photos"):
        for index in _spread(count, len(photo_classes(world, part))):
            picture = photo(world, part=part, index=index)
            caption = picture.things[0].fine.name
            yield Sample(pixels=picture.pixels, boxes=np.zeros((0, 4)), caption=caption)
        return
    for index in range(count):
        picture = scene(world, part=part, index=index)
        told = truth(world, part=part, things=picture.things)
        boxes = np.array([thing.box for thing in told], np.float32).reshape(-1, 4)
        names = tuple(thing.fine.name for thing in told)
        yield Sample(pixels=picture.pixels, boxes=boxes, names=names, caption=f"{part} {index}")


def _spread(count: int, total: int) -> list[int]:
    """Return at most `count` positions, evenly over `total`."""
    return [place * total // count for place in range(count)] if count < total else [*range(total)]


def _name(class_id: str) -> str:
    return class_id.partition(":")[2] or class_id


def _tile(sample: Sample) -> Image.Image:
    """Return a sample in a square, its boxes and their names on it, its caption below."""
    tile = Image.new("RGB", (SIDE, SIDE + CAPTION), _PAPER)
    pen = ImageDraw.Draw(tile)
    if sample.pixels is not None:
        height, width = sample.pixels.shape[:2]
        zoom = (SIDE - 2) / max(height, width)
        size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
        tile.paste(Image.fromarray(sample.pixels).resize(size, Image.Resampling.LANCZOS), (1, 1))
        for box, name in zip(sample.boxes * zoom + 1, sample.names, strict=True):
            x0, y0, x1, y1 = (float(side) for side in box)
            pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=_LINE)
            pen.text((x0 + 2, max(y0, 0)), written_out(name)[:38], fill=_INK, font_size=10)
    pen.text((2, SIDE + 1), written_out(sample.caption)[:38], fill=_INK, font_size=10)
    return tile
