"""The one shape check says what was expected and what was got."""

import numpy as np
import pytest

from components.shapes import ShapeError, expect


def test_a_right_shape_passes() -> None:
    expect("boxes", np.zeros((3, 4)), "R 4")
    expect("scores", np.zeros((3, 7)), "P K", P=3)


@pytest.mark.parametrize(
    ("shape", "sizes", "got"),
    [
        ("R 4", {}, (3, 5)),
        ("R 4", {}, (4,)),
        ("R", {}, (3, 4)),
        ("P K", {"P": 2}, (3, 7)),
        ("", {}, (1,)),
    ],
)
def test_a_wrong_shape_is_named(shape: str, sizes: dict[str, int], got: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="x: expected shape"):
        expect("x", np.zeros(got), shape, **sizes)


def test_the_message_holds_both_shapes() -> None:
    with pytest.raises(ShapeError, match=r"expected shape \[P, K\], P=2; got \[3, 7\]"):
        expect("scores", np.zeros((3, 7)), "P K", P=2)
