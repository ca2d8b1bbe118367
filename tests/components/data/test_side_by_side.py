import numpy as np
import pytest

from components.data.draw_boxes import Box
from components.data.side_by_side import GOOD, MISSED, WIDE, WRONG, side_by_side


def is_there(sheet: np.ndarray, x: float, y: float, colour: tuple[int, int, int]) -> bool:
    """Whether a line of the colour runs within 2 px of a point."""
    x, y = round(x), round(y)
    near = sheet[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].astype(int)
    return bool((np.abs(near - colour).max(2) == 0).any())


@pytest.mark.parametrize(("width", "height"), [(900, 600), (60, 40), (300, 200)])
def test_boxes_lie_where_they_are_in_a_picture_of_any_size(width: int, height: int) -> None:
    picture = np.full((height, width, 3), 200, np.uint8)
    zoom = WIDE / width
    box = (width * 0.2, height * 0.3, width * 0.8, height * 0.9)
    there = [Box(corners=box, class_id="fine:cat", colour=MISSED)]
    said = [Box(corners=box, class_id="fine:dog", score=0.5, colour=WRONG)]
    sheet = np.asarray(side_by_side(picture, there, said))
    assert sheet.shape == (200, 604, 3)
    middle = (box[1] + box[3]) / 2 * zoom
    for offset, colour in ((0, MISSED), (304, WRONG)):
        assert is_there(sheet, offset + box[0] * zoom, middle, colour)
        assert is_there(sheet, offset + box[2] * zoom - 1, middle, colour)
        assert not is_there(sheet, offset + WIDE / 2, middle, colour)
    assert not is_there(sheet, box[0] * zoom, middle, GOOD)


def test_a_thin_picture_and_nothing_found_are_drawn() -> None:
    assert side_by_side(np.zeros((1, 4000, 3), np.uint8), [], []).size == (604, 1)
    assert side_by_side(np.zeros((4000, 1, 3), np.uint8), [], []).size == (6, 450)
    assert side_by_side(np.zeros((320, 212, 3), np.uint8), [], []).size == (600, 450)
