"""A contact sheet of a drawn world: photos with their names, scenes with boxes and names."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from components.data.drawn.pictures import Picture, photo, photo_classes, scene, truth
from components.data.drawn.world import World

_COLUMNS = 10
_TILE = 112  # pixels, a photo
_CAPTION = 14  # pixels below a photo
_SCENE = 2 * _TILE  # pixels, a scene
_INK, _PAPER, _LINE = (230, 230, 230), (24, 24, 24), (255, 235, 0)


def write_sheet(world: World, *, path: Path, photos: int, scenes: int) -> None:
    """Draw test pictures of a world on one page and write it as PNG.

    Args:
        world: what to draw.
        path: the PNG to write.
        photos: how many test photos, at most all there are.
        scenes: how many test scenes.
    """
    rows = -(-photos // _COLUMNS)
    per_row = _COLUMNS * _TILE // _SCENE
    height = rows * (_TILE + _CAPTION) + -(-scenes // per_row) * _SCENE
    page = Image.new("RGB", (_COLUMNS * _TILE, height), _PAPER)
    for place, index in enumerate(_spread(world, photos)):
        picture = photo(world, part="test_photos", index=index)
        row, column = divmod(place, _COLUMNS)
        _paste_photo(page, picture, left=column * _TILE, top=row * (_TILE + _CAPTION))
    for place in range(scenes):
        picture = scene(world, part="test_scenes", index=place)
        row, column = divmod(place, per_row)
        top = rows * (_TILE + _CAPTION) + row * _SCENE
        page.paste(_boxed_scene(world, picture), (column * _SCENE, top))
    page.save(path, format="PNG")


def _spread(world: World, photos: int) -> list[int]:
    """Return indices of test photos in the order of their classes, drawn without repetition."""
    available = len(photo_classes(world, "test_photos"))
    rng = np.random.default_rng(world.seed)
    return sorted(rng.permutation(available)[:photos].tolist())


def _paste_photo(page: Image.Image, picture: Picture, *, left: int, top: int) -> None:
    """Put a photo and the name of its object on the page."""
    size = (_TILE - 2, _TILE - 2)
    tile = Image.fromarray(picture.pixels).resize(size, Image.Resampling.LANCZOS)
    page.paste(tile, (left + 1, top + 1))
    name = picture.things[0].fine.name
    ImageDraw.Draw(page).text((left + 2, top + _TILE), name[:21], fill=_INK, font_size=9)


def _boxed_scene(world: World, picture: Picture) -> Image.Image:
    """Return a scene with a box and a name for every object of the truth."""
    size = (_SCENE - 1, _SCENE - 1)
    tile = Image.fromarray(picture.pixels).resize(size, Image.Resampling.LANCZOS)
    pen, zoom = ImageDraw.Draw(tile), size[0] / picture.pixels.shape[1]
    for thing in truth(world, part="test_scenes", things=picture.things):
        x0, y0, x1, y1 = (side * zoom for side in thing.box)
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=_LINE)
        pen.text((x0 + 2, max(y0, 0)), thing.fine.name, fill=_INK, font_size=9)
    return tile
