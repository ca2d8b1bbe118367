import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.augment import Look, back, canvas_of, carry, lay, look_of, show
from components.data.sample import PADDING
from components.data.views import PhotoView, PlainView, SceneView, View

VIEWS: dict[str, View] = {
    "scene": SceneView(size=96, scale=(0.7, 1.0), exposure=0.1, level=0.02),
    "photo": PhotoView(sizes=(48, 64, 80), crop=0.6),
    "plain": PlainView(size=96),
}


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(8, 900),
    height=st.integers(8, 900),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    row=st.integers(0, 10**6),
    name=st.sampled_from(sorted(VIEWS)),
)
def test_boxes_go_there_and_back(
    width: int, height: int, corners: tuple[float, ...], row: int, name: str
) -> None:
    x1, x2 = sorted((corners[0] * width, corners[2] * width))
    y1, y2 = sorted((corners[1] * height, corners[3] * height))
    boxes = np.array([[x1, y1, x2, y2]], np.float32)
    look = look_of(VIEWS[name], width=width, height=height, seed=1, step=2, epoch=0, row=row)
    shown = show(np.zeros((height, width, 3), np.uint8), look)
    there = carry(boxes, shown.view)
    assert (there[:, 2:] >= there[:, :2]).all()
    np.testing.assert_allclose(back(there, shown.view), boxes, atol=1e-3)
    side = canvas_of(VIEWS[name], seed=1, step=2)
    assert max(shown.image.shape[:2]) <= side
    assert side % VIEWS[name].pad_to == 0


@pytest.mark.parametrize("name", sorted(VIEWS))
@pytest.mark.parametrize("row", range(12))
def test_a_rectangle_is_found_where_its_box_is_carried(name: str, row: int) -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    box = np.array([[60, 45, 96, 75]], np.float32)
    picture[45:75, 60:96] = 255
    look = look_of(VIEWS[name], width=160, height=120, seed=3, step=row, epoch=0, row=row)
    shown = show(picture, look)
    bright = shown.image[..., 0].numpy() > 127
    ys, xs = np.nonzero(bright)
    found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    h, w, _ = shown.image.shape
    wanted = carry(box, shown.view)[0].clip(0, [w, h, w, h])
    assert np.abs(found - wanted).max() <= 1.5


def test_a_flip_is_a_mirror() -> None:
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    shown = show(picture, Look(window=(0, 0, 6, 4), side=6, flip=True))
    np.testing.assert_array_equal(shown.image.numpy(), picture[:, ::-1])
    assert carry(np.array([[0, 1, 2, 3]], np.float32), shown.view).tolist() == [[4, 1, 6, 3]]


def test_half_of_the_looks_are_flipped() -> None:
    looks = [
        look_of(VIEWS["scene"], width=9, height=9, seed=0, step=0, epoch=0, row=r).flip
        for r in range(400)
    ]
    assert 160 < sum(looks) < 240


def test_light_is_gain_about_grey_and_an_offset() -> None:
    picture = np.full((8, 8, 3), 100, np.uint8)
    shown = show(picture, Look(window=(0, 0, 8, 8), side=8, gain=1.2, offset=0.1))
    assert shown.image.unique().tolist() == [round((100 - 127.5) * 1.2 + 127.5 + 25.5)]


def test_draws_are_keyed_by_sample_and_sizes_by_step() -> None:
    def look(step: int, epoch: int, row: int) -> Look:
        return look_of(VIEWS["photo"], width=90, height=80, seed=5, step=step, epoch=epoch, row=row)

    assert look(1, 0, 7) == look(1, 0, 7)
    assert len({look(1, epoch, row).window for epoch in range(3) for row in range(5)}) == 15
    assert look(4, 0, 7).window == look(9, 0, 7).window
    assert {look(3, 0, row).side for row in range(20)} == {look(3, 0, 0).side}
    assert {canvas_of(VIEWS["photo"], seed=5, step=s) for s in range(40)} == {48, 64, 80}


def test_a_plain_picture_is_whole_and_beside_it_is_grey() -> None:
    picture = np.full((30, 60, 3), 7, np.uint8)
    look = look_of(PlainView(size=40), width=60, height=30, seed=9, step=9, epoch=9, row=9)
    canvas, sizes = lay([show(picture, look)], side=64)
    assert sizes.tolist() == [[20, 40]]
    assert (canvas[0, :20, :40] == 7).all()
    rest = torch.ones(64, 64, dtype=torch.bool)
    rest[:20, :40] = False
    assert (canvas[0][rest] == PADDING).all()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 300), (300, 1)])
def test_the_thinnest_pictures(width: int, height: int) -> None:
    for view in VIEWS.values():
        look = look_of(view, width=width, height=height, seed=0, step=0, epoch=0, row=0)
        assert min(show(np.zeros((height, width, 3), np.uint8), look).image.shape) >= 1
