"""Label files made to hurt: refused with words, and in little memory."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.data.readers import CocoReader
from tests.bad_inputs.doors import Doors, instances
from tests.bad_inputs.probes import Told, probe_each

MOST = 200 * 2**20  # bytes of own memory


def _write(place: Path, parts: Iterator[str]) -> None:
    with place.open("w", encoding="utf-8") as file:
        file.writelines(parts)


def _again(text: str, size: int, *, before: str = "", after: str = "") -> Iterator[str]:
    """Yield `size` MB of a text between two others, piece by piece."""
    yield before
    block = text * (2**20 // len(text.encode()))
    yield from (block for _ in range(size))
    yield after


HOSTILE = {
    "one long text": (_again("x", 70, before='{"info": "'), "json.too_long"),
    "one long text in a record": (_again("x", 70, before='{"images": [{"a": "'), "json.too_long"),
    "one long text of wide characters": (_again("\U0001f41f", 70, before='["'), "json.too_long"),
    "a long text that turns wide": (
        _again("x", 60, before='["', after="\U0001f41f" * 2**20), "json.too_long",
    ),
    "many small objects in one value": (
        _again("{},", 60, before='{"images": [[', after="{}]]}"), "json.too_long",
    ),
    "many keys": (
        (f'{"," if i else "{"}"{i}":0' for i in range(10**6)), "json.too_long",
    ),
    "nothing but space": (_again(" ", 70), "json.syntax"),
    "nothing but lists": (_again("[", 3), "json.too_deep"),
    "one long number": (_again("7", 3, before="["), "json.too_long"),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Return, of each file, the checks that its reading fails, and the memory that it took."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (parts, _) in HOSTILE.items():
        _write(folder / f"{name}.json", parts)
    _write(folder / "table.csv", _again("x", 40, before="image,labels\na.jpg,"))
    found = probe_each("labels", sorted(folder.iterdir()), seconds=30)
    return {place.name: one for place, one in found.items()}


@pytest.mark.parametrize("case", HOSTILE)
def test_B42_hostile_json_is_refused_in_little_memory(told: dict[str, Told], case: str) -> None:
    found = told[f"{case}.json"]
    assert found.said[0] == HOSTILE[case][1]
    assert found.peak < MOST, f"{found.peak >> 20} MB"


@pytest.mark.parametrize(
    ("golden", "spoilt"),
    [
        ("B42_depth", '{"images": ' + "[" * 100_000),
        ("B42_depth_that_python_reads", '{"images": [' + "[" * 101 + "]" * 101 + "]}"),
        ("B42_long_number", json.dumps(instances()).replace("2.5", "9" * 1_000_000)),
        ("B42_key_twice", json.dumps(instances()).replace('"width"', '"id"', 1)),
        ("B42_section_twice", json.dumps(instances())[:-1] + ', "images": []}'),
    ],
)
def test_B42_one_message_each(doors: Doors, golden: str, spoilt: str) -> None:
    doors.refused(spoilt, golden=golden, name="boxes.json", reader=CocoReader(level="coarse"))


def test_B55_a_table_of_one_long_line_is_refused_in_little_memory(
    told: dict[str, Told],
) -> None:
    found = told["table.csv"]
    assert found.said[0] == "csv.syntax"
    assert found.peak < MOST // 4, f"{found.peak >> 20} MB"
