import numpy as np
from PIL import Image

from components.data.drawn.sheet import write_sheet
from components.data.drawn.world import World


def test_a_sheet_shows_photos_above_scenes(tmp_path):
    write_sheet(World(kinds=2), path=tmp_path / "sheet.png", photos=12, scenes=6)
    with Image.open(tmp_path / "sheet.png") as page:
        assert page.format == "PNG"
        assert page.size == (1120, 2 * 126 + 2 * 224)
        pixels = np.asarray(page)
    assert (pixels[252:] == (255, 235, 0)).all(-1).sum() > 500  # lines of boxes
    assert pixels[10:100, 10:100].std() > 5


def test_a_sheet_of_few_photos_shows_those_there_are(tmp_path):
    world = World(kinds=2, test_photos_per_class=1)
    write_sheet(world, path=tmp_path / "sheet.png", photos=100, scenes=0)
    with Image.open(tmp_path / "sheet.png") as page:
        assert page.size == (1120, 10 * 126)
