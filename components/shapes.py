"""Checks at public doors: shapes, in the letters they are named by, and finite numbers.

N images, R regions or boxes, P proposals, A anchors, C boxed classes, F labelled classes, K classes
asked for, D features. A number stands for itself.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol


class Shaped(Protocol):
    """A tensor or an array."""

    @property
    def shape(self) -> Sequence[int]:
        """Return the sizes of its dimensions."""
        ...


class ShapeError(ValueError):
    """A tensor has another shape than its door expects."""


class NotFiniteError(ValueError):
    """NaN or infinity where a number is due."""


def expect_finite(name: str, value: Any, *, do: str) -> None:
    """Raise NotFiniteError where a tensor or an array holds NaN or infinity; `do` ends the text."""
    good = abs(value) < math.inf
    if not bool(good.all()):
        wrong = int((~good).sum())
        raise NotFiniteError(f"{name}: not finite; got NaN or infinity {wrong} times. {do}")


def expect(name: str, value: Shaped, shape: str, **sizes: int) -> None:
    """Raise ShapeError unless a tensor has a shape: two words "P K" for scores, with P bound.

    Args:
        name: of the argument, for the message.
        value: a tensor or an array.
        shape: one word a dimension: a number, or a letter that `sizes` may bind.
        sizes: the size of a letter; a letter that is not bound may have any size.
    """
    words, got = shape.split(), list(value.shape)
    wanted = [int(word) if word.isdigit() else sizes.get(word) for word in words]
    fits = len(got) == len(words) and all(
        size is None or size == g for size, g in zip(wanted, got, strict=True)
    )
    if not fits:
        bound = ", ".join(f"{letter}={size}" for letter, size in sizes.items())
        raise ShapeError(
            f"{name}: expected shape [{', '.join(words)}]{', ' + bound if bound else ''}; "
            f"got {got}. Give the tensor that the docstring describes."
        )
