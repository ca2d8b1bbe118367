"""Strong views: drawn by a key, each kind alone, and no box moved or lost on the way to one."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from components.data.augment import Look, back, carry, show
from components.data.order import generator
from components.data.strong import strengthen
from components.data.views import Erase, Strong

PLAIN = Strong(jitter=0, grey=0, blur=0, erase=())


def picture(h: int = 40, w: int = 60) -> torch.Tensor:
    return torch.from_numpy(generator(h, w).integers(0, 256, (h, w, 3), dtype=np.uint8))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 50))
def test_equal_keys_give_equal_pixels_and_the_picture_is_not_written_to(
    key: int, h: int, w: int
) -> None:
    image = picture(h, w)
    before = image.clone()
    one, two = (strengthen(image, Strong(), generator(key)) for _ in range(2))
    assert one.equal(two)
    assert one.shape == image.shape
    assert one.dtype == torch.uint8
    assert image.equal(before)


def test_nothing_asked_is_nothing_done_and_all_of_it_differs_by_key() -> None:
    image = picture()
    assert strengthen(image, PLAIN, generator(1)).equal(image)
    seen = [strengthen(image, Strong(), generator(key)) for key in range(12)]
    assert len({bytes(one.numpy().tobytes()) for one in seen}) > 10


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_each_change_of_colour_alone(name: str) -> None:
    none = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    cfg = Strong(jitter=1, grey=0, blur=0, erase=(), **none | {name: 0.4})
    image = picture()
    found = strengthen(image, cfg, generator(3))
    assert not found.equal(image)
    grey = image.float().mean(2, keepdim=True).round().byte().expand(-1, -1, 3)
    same = strengthen(grey, cfg, generator(3))
    assert same.equal(grey) == (name in ("saturation", "hue"))  # nothing to change in grey


def test_grey_and_blur() -> None:
    image = picture()
    grey = strengthen(image, Strong(jitter=0, grey=1, blur=0, erase=()), generator(0))
    assert grey[..., 0].equal(grey[..., 1])
    assert grey[..., 0].equal(grey[..., 2])
    blurred = strengthen(image, Strong(jitter=0, grey=0, blur=1, sigma=(2, 2), erase=()),
                         generator(0))  # fmt: skip
    assert blurred.float().std() < image.float().std() / 3
    assert float(blurred.float().mean()) == pytest.approx(float(image.float().mean()), abs=2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.02, 0.3), st.floats(0.1, 8))
def test_erasing_fills_one_rectangle_of_the_size_asked(key: int, area: float, ratio: float) -> None:
    image = torch.full((64, 80, 3), 300 % 256, dtype=torch.uint8)
    part = Erase(share=1, area=(area, area), ratio=(ratio, ratio))
    found = strengthen(image, Strong(jitter=0, grey=0, blur=0, erase=(part,)), generator(key))
    h, w = round((area * 5120 * ratio) ** 0.5), round((area * 5120 / ratio) ** 0.5)
    rows, columns = ((found != image).any(2)).nonzero(as_tuple=True)
    if h > 64 or w > 80 or not h or not w:
        assert not len(rows)
        return
    assert int(rows.max() - rows.min()) + 1 in (h, h - 1)  # noise may equal what it covers
    assert int(columns.max() - columns.min()) + 1 in (w, w - 1)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(20, 90), st.integers(20, 90)),
    st.tuples(st.booleans(), st.booleans()),
    st.tuples(st.integers(16, 64), st.integers(16, 64)),
    st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=4),
)
def test_boxes_go_from_the_teachers_view_to_the_students(
    size: tuple[int, int], flips: tuple[bool, bool], sides: tuple[int, int],
    corners: list[tuple[float, float, float, float]],
) -> None:  # fmt: skip
    """Weak view -> original -> strong view, flipped on either side: the same part of it."""
    h, w = size
    whole = (0.0, 0.0, float(w), float(h))
    weak, strong = (
        show(picture(h, w).numpy(), Look(window=whole, side=side, flip=flip)).view
        for side, flip in zip(sides, flips, strict=True)
    )
    a, b = np.array(corners)[:, :2], np.array(corners)[:, 2:]
    truth = np.concatenate([np.minimum(a, b), np.maximum(a, b)], 1) * [w, h, w, h]
    truth = truth.astype(np.float32)
    seen_by_teacher = carry(truth, weak)
    original = back(seen_by_teacher, weak)
    np.testing.assert_allclose(original, truth, atol=2e-3)
    np.testing.assert_allclose(carry(original, strong), carry(truth, strong), atol=2e-3)
    if flips[1]:
        assert not len(truth) or np.all(carry(truth, strong)[:, 2] >= carry(truth, strong)[:, 0])
