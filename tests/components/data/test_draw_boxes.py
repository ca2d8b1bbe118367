import io

import numpy as np
import pytest
from PIL import Image

from components.data.draw_boxes import LONGEST_NAME, Box, colour_of, draw_boxes, jpeg, label_of

GREY = np.full((40, 60, 3), 128, np.uint8)


def box(*corners: float, name: str = "fine:cat", score: float | None = 0.5) -> Box:
    return Box(corners=corners, class_id=name, score=score)  # type: ignore[arg-type]


def test_a_small_picture_is_enlarged_by_a_whole_number_and_a_large_one_is_kept() -> None:
    assert draw_boxes(GREY, []).size == (360, 240)
    large = np.zeros((400, 500, 3), np.uint8)
    assert draw_boxes(large, []).size == (500, 400)
    assert (np.asarray(draw_boxes(GREY, [])) == 128).all()


def test_lines_follow_the_box() -> None:
    drawn = np.asarray(draw_boxes(GREY, [box(10, 20, 50, 35)]))
    colour = colour_of("fine:cat")
    for y, x in ((120, 200), (150, 60), (209, 200), (150, 299)):  # top, left, bottom, right, x 6
        assert tuple(drawn[y, x]) == colour
    assert (drawn[150, 100:280] == 128).all()  # the inside is left alone
    assert (drawn[220:, :] == 128).all()
    assert (GREY == 128).all()


@pytest.mark.parametrize(
    "corners",
    [(-30, -30, 90, 80), (59, 39, 60, 40), (5, 5, 5, 20), (9, 9, 3, 3), (100, 100, 200, 200),
     (5, 5, 20, 5.1), (5, 5, 5.1, 20),
     (0, 0, 60, 40)],
)  # fmt: skip
def test_odd_boxes_do_no_harm(corners: tuple[float, ...]) -> None:
    assert draw_boxes(GREY, [box(*corners)]).size == (360, 240)


def test_a_name_is_read_and_no_more() -> None:
    assert label_of(box(0, 0, 1, 1)) == "cat 0.50"
    assert label_of(box(0, 0, 1, 1, score=None)) == "cat"
    assert label_of(box(0, 0, 1, 1, name="bare", score=None)) == "bare"
    assert label_of(box(0, 0, 1, 1, name="fine:a\nb\x1b[2J", score=None)) == "a\\nb\\x1b[2J"
    assert len(label_of(box(0, 0, 1, 1, name="fine:" + "x" * 999, score=None))) == LONGEST_NAME
    for name in ("fine:<script>alert(1)</script>", "fine:猫 🐈", "fine:"):
        draw_boxes(GREY, [box(10, 10, 40, 30, name=name)])


def test_white_can_be_read_on_every_colour() -> None:
    def light(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    for i in range(500):
        red, green, blue = (light(v / 255) for v in colour_of(f"fine:{i}"))
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert 1.05 / (luminance + 0.05) >= 3, i


def test_jpeg_is_one() -> None:
    with Image.open(io.BytesIO(jpeg(draw_boxes(GREY, [box(1, 1, 9, 9)])))) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (360, 240)
