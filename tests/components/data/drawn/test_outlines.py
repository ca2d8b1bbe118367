import math

import numpy as np
import pytest

from components.data.drawn.kinds import KINDS, class_table
from components.data.drawn.outlines import (
    Role,
    around,
    ellipse,
    mirrored,
    polygon,
    rectangle,
    whole,
)
from components.data.drawn.palette import PALETTES, TEXTURES

OUTLINES = {name: o for kind in KINDS.values() for name, o in kind.outlines.items()}


@pytest.mark.parametrize("name", OUTLINES)
def test_an_outline_has_a_body_and_fills_its_frame(name):
    outline = OUTLINES[name]
    assert Role.BODY in {piece.role for piece in outline}
    solid = np.concatenate([p.points for p in outline if p.role != Role.HOLE])
    assert np.abs(solid).max() <= 1.2  # the palm's fronds reach out
    assert np.ptp(solid, axis=0).max() >= 1.5
    assert all(piece.points.shape[1] == 2 and len(piece.points) >= 3 for piece in outline)


def test_the_full_world_has_ten_kinds_of_twelve_classes_with_names_of_their_own():
    table = class_table(10)
    assert len(table) == 120
    assert len({fine.name for fine in table}) == 120
    for kind in KINDS:
        assert sum(fine.kind == kind for fine in table) == 12
    assert "red checked maple leaf" in {fine.name for fine in table}


def test_fewer_kinds_are_the_first_of_all_kinds():
    assert class_table(3) == class_table(10)[:36]


def test_kinds_wear_known_textures_and_palettes_and_no_two_the_same_pairs():
    for kind in KINDS.values():
        assert len(kind.outlines) == 3
        assert set(kind.textures) <= set(TEXTURES)
        assert set(kind.palettes) <= set(PALETTES)
    assert len({kind.textures for kind in KINDS.values()}) == len(KINDS)
    assert len({kind.palettes for kind in KINDS.values()}) == len(KINDS)


def test_a_polygon_is_written_as_in_svg():
    np.testing.assert_array_equal(polygon(".5,0 1,-.25 0,2"), [(0.5, 0), (1, -0.25), (0, 2)])


def test_an_ellipse_satisfies_its_equation_after_turning_back():
    x, y = (ellipse((0.2, -0.1, 0.6, 0.3), turned=0.7) - (0.2, -0.1)).T
    u, v = x * math.cos(0.7) + y * math.sin(0.7), y * math.cos(0.7) - x * math.sin(0.7)
    np.testing.assert_allclose((u / 0.6) ** 2 + (v / 0.3) ** 2, 1)
    assert len(x) == 20


def test_an_arc_holds_both_of_its_ends():
    arc = ellipse((0, 0, 2, 1), arc=(0, math.pi))
    np.testing.assert_allclose(arc[[0, -1]], [(2, 0), (-2, 0)], atol=1e-12)


def test_radii_start_at_the_top_and_go_round_clockwise():
    np.testing.assert_allclose(around([1, 2, 3, 4]), [(0, -1), (2, 0), (0, 3), (-4, 0)], atol=1e-12)


def test_a_whole_is_its_right_half_and_the_mirror_of_it():
    points = whole("0,-1 1,0 0,1")
    np.testing.assert_array_equal(points, [(0, -1), (1, 0), (0, 1), (-1, 0)])
    np.testing.assert_array_equal(mirrored(rectangle((0, 0, 1, 1)))[1], (-1, 0))
