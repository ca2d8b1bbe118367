import numpy as np
import pytest

from components.data.drawn.brush import Pose, paint, pose
from components.data.drawn.kinds import class_table

TABLE = class_table(10)
STRAIGHT = Pose(x=30, y=30, matrix=(25, 0, 0, 25))


def coverage(fine, at: Pose) -> tuple[np.ndarray, object]:
    """How much of each pixel is covered, seen by painting over black and over white."""
    over, painted = [], None
    for tone in (0, 1):
        canvas = np.full((60, 60, 3), tone, np.float32)
        painted = paint(canvas, fine=fine, at=at, jitter=1.0, rng=np.random.default_rng(5))
        over.append(canvas)
    return 1 - (over[1] - over[0]).mean(-1), painted


@pytest.mark.parametrize("fine", TABLE[::4], ids=lambda fine: fine.outline)
def test_the_box_is_tight_on_what_is_painted(fine):
    rng = np.random.default_rng(7)
    for x, y in ((30, 30), (5, 8), (57, 40)):
        covered, painted = coverage(fine, pose(rng, x=x, y=y, side=44, jitter=1))
        if painted is None:
            assert covered.max() == 0
            continue
        rows, columns = np.nonzero(covered > 0.5 + 1e-4)
        assert painted.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        x0, y0, x1, y1 = painted.window
        inside = np.zeros((60, 60), bool)
        inside[y0:y1, x0:x1] = painted.mask
        np.testing.assert_array_equal(inside, covered > 0.5 + 1e-4)


def test_the_background_shows_through_the_handle_of_a_mug():
    mug = next(fine for fine in TABLE if fine.outline == "mug")
    covered, _ = coverage(mug, STRAIGHT)
    assert covered[32, round(30 + 25 * 0.65)] == pytest.approx(0, abs=1e-5)
    assert covered[32, 20] == pytest.approx(1)


def test_what_lies_outside_the_canvas_is_nothing_and_changes_nothing():
    for x in (-80, 140, -22):
        canvas = np.full((60, 60, 3), 0.5, np.float32)
        at = Pose(x=x, y=30, matrix=(20, 0, 0, 20))
        carp = TABLE[0]
        assert paint(canvas, fine=carp, at=at, jitter=1.0, rng=np.random.default_rng(0)) is None
        assert (canvas == 0.5).all()


def test_a_pose_without_jitter_keeps_angles_and_size():
    a, b, c, d = pose(np.random.default_rng(0), x=0, y=0, side=40, jitter=0).matrix
    assert (abs(a), b, c, d) == (20, 0, 0, 20)


def test_a_pose_keeps_the_area_of_its_frame():
    rng = np.random.default_rng(1)
    for _ in range(20):
        a, b, c, d = pose(rng, x=0, y=0, side=40, jitter=1).matrix
        assert abs(a * d - b * c) == pytest.approx(400)
