"""Every number of the list of bad inputs that vocabox claims to meet has a test named after it."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLAIMED = (
    *range(1, 23),
    *range(24, 43),
    *range(55, 72),
    84,
    85,
    *range(87, 94),
    100,
    *range(103, 110),
)
NAMED = re.compile(r"^\s*def (test_\w+)\(", re.MULTILINE)


def numbers(name: str) -> set[int]:
    """Return the numbers that a test's name claims: B63, B68_B70, or B63_to_B66."""
    found: set[int] = set()
    for first, last in re.findall(r"B(\d+)(?:_to_B(\d+))?(?=_)", name):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_names_tell_their_numbers() -> None:
    assert numbers("test_B07_tag") == {7}
    assert numbers("test_B63_to_B66_are_left_out") == {63, 64, 65, 66}
    assert numbers("test_B68_B70_B71_taken") == {68, 70, 71}
    assert not numbers("test_Boxes_3")


@pytest.mark.parametrize("number", CLAIMED)
def test_there_is_a_test_of(number: int) -> None:
    names = (
        name for file in TESTS.rglob("test_*.py") for name in NAMED.findall(file.read_text("utf-8"))
    )
    assert any(number in numbers(name) for name in names if name.startswith("test_B")), (
        f"B{number}: no test begins with test_B{number}_."
    )
