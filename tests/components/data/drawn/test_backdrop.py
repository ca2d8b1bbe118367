import numpy as np
import pytest

from components.data.drawn.backdrop import CLUTTER, backdrop, finish


def quiet(side: int, seed: int) -> np.ndarray:
    return backdrop(side, clutter=0, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("side", [32, 72, 129])
def test_a_backdrop_is_a_canvas_in_range(side):
    for seed in range(5):
        canvas = backdrop(side, clutter=8, rng=np.random.default_rng(seed))
        assert canvas.shape == (side, side, 3)
        assert canvas.dtype == np.float32
        assert canvas.min() >= -1e-5
        assert canvas.max() <= 1 + 1e-5


def test_clutter_brings_edges():
    def edges(clutter):
        pages = [backdrop(64, clutter=clutter, rng=np.random.default_rng(s)) for s in range(20)]
        return np.mean([(np.abs(np.diff(p, axis=1)).max(-1) > 0.1).mean() for p in pages])

    assert edges(0) < 0.001
    assert edges(10) > 5 * edges(2) / 2 > 0


@pytest.mark.parametrize("form", CLUTTER)
def test_every_form_is_a_polygon_around_its_place(form):
    make, _patterned = CLUTTER[form]
    points = make(10.0, side=100, rng=np.random.default_rng(2))
    assert points.ndim == 2
    assert points.shape[1] == 2
    assert np.abs(points).max() <= 60


def test_light_off_leaves_noise_only():
    flat = np.full((64, 64, 3), 0.5, np.float32)
    picture = finish(flat, light=0, rng=np.random.default_rng(3))
    assert picture.dtype == np.uint8
    assert abs(picture.mean() - 127) < 1
    assert picture.std() < 12


def test_light_changes_the_level_from_picture_to_picture():
    def levels(light):
        return np.std(
            [
                finish(
                    np.full((32, 32, 3), 0.5, np.float32), light=light, rng=np.random.default_rng(s)
                ).mean()
                for s in range(40)
            ]
        )

    assert levels(1.0) > 10 > 1 > levels(0.0)
