import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.drawn.palette import PALETTES, TEXTURES, color, mix, wave

GRID = np.linspace(-1, 1, 41, dtype=np.float32)
U, V = GRID[None, :], GRID[:, None]


def shares(texture: str, *, seed: int) -> np.ndarray:
    plane = mix(texture, u=U, v=V, frequency=2.8, rng=np.random.default_rng(seed))
    return np.broadcast_to(plane, (41, 41))


@pytest.mark.parametrize("texture", TEXTURES)
def test_a_texture_is_a_share_in_single_precision(texture):
    plane = shares(texture, seed=3)
    assert plane.dtype == np.float32
    assert plane.min() >= (-0.13 if texture == "plain" else 0)  # plain shades a little each way
    assert plane.max() <= 1
    if texture != "plain":
        assert 0.1 < plane.mean() < 0.9
        assert plane.std() > 0.3


def test_textures_differ_from_each_other():
    planes = {name: shares(name, seed=0) for name in TEXTURES}
    for a in TEXTURES:
        for b in TEXTURES:
            if a < b:
                assert np.abs(planes[a] - planes[b]).mean() > 0.1, (a, b)


def test_stripes_run_down_and_bands_across():
    assert np.ptp(shares("striped", seed=1), axis=0).max() == 0
    assert np.ptp(shares("banded", seed=1), axis=1).max() == 0


def test_rings_are_round():
    plane = shares("ringed", seed=1)
    np.testing.assert_array_equal(plane, plane.T)
    np.testing.assert_allclose(plane, plane[::-1], atol=1e-4)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_a_wave_is_a_sine_of_turns(turns):
    got = wave(np.array(turns, np.float32))
    np.testing.assert_allclose(got, [math.sin(2 * math.pi * t) for t in turns], atol=2e-3)


def test_colors_wrap_their_hue_and_clip_the_rest():
    np.testing.assert_allclose(color(1.0, saturation=1, value=1), (1, 0, 0))
    np.testing.assert_allclose(color(-2 / 3, saturation=1, value=1), (0, 1, 0), atol=1e-6)
    np.testing.assert_array_equal(color(0.3, saturation=-1, value=2), (1, 1, 1))


def test_palettes_look_different():
    first = np.stack(
        [color(p.first[0], saturation=p.first[1], value=p.first[2]) for p in PALETTES.values()]
    )
    gaps = np.linalg.norm(first[:, None] - first[None], axis=-1) + np.eye(len(first))
    assert gaps.min() > 0.15
