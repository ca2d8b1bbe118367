"""Labels of a table that are separated otherwise than the page says: B55."""

import json
from itertools import combinations, islice

import pytest

from components.data.check_table import Findings
from components.data.readers import SOURCES, CsvReader
from tests.bad_inputs.doors import Doors
from tests.components.data.small_sets import jpeg
from tests.pipelines.settings.golden import same

COARSE = (
    "sources.test=[{name: coarse, size: 64, source: {kind: coco, annotations: test_coarse.json, "
    "images: pictures, level: coarse}}]"
)


def _table(cells: list[str]) -> str:
    return "image,labels\n" + "".join(f'{i}.jpg,"{cell}"\n' for i, cell in enumerate(cells))


def _tagged(between: str) -> str:
    """Return a table of 30 pictures whose cells name three of eight classes."""
    return _table(
        [between.join(f"tag{i}" for i in row) for row in islice(combinations(range(8), 3), 30)]
    )


def _found(doors: Doors, table: str, **settings: str) -> Findings:
    files = {"table": doors.file(table, "labels.csv"), "images": doors.folder}
    found = Findings()
    SOURCES["csv"](CsvReader(level="fine", **settings), files, found)
    return found


@pytest.mark.parametrize("between", [" ", ", ", "; ", "/", "|"])
def test_B55_labels_separated_otherwise_than_the_page_says(between: str, doors: Doors) -> None:
    right = between.strip() or " "
    wrong = "," if right == "|" else "|"
    (told,) = _found(doors, _tagged(between), separator=wrong).first["W", "label.separator"]
    assert f"With separator: {right!r} there are 8." in told.do
    assert not _found(doors, _tagged(between), separator=right).counts


@pytest.mark.parametrize(
    "cells",
    [
        [f"{colour} {kind}" for colour in ("red", "blue") for kind in ("car", "bus", "van")] * 9,
        [f"great white {i}" for i in range(300)],  # one picture a class, as in a list of species
        [f"dog, {i}" for i in range(300)],
        ["cat dog", "dog owl", "owl cat"],
        [],
    ],
)
def test_B55_names_of_several_words_are_no_sign_of_it(cells: list[str], doors: Doors) -> None:
    assert ("W", "label.separator") not in _found(doors, _table(cells)).kinds


def test_B55_check_and_data_check_ask_for_it(doors: Doors, write_golden: bool) -> None:
    doors.page(table=_tagged(" "))
    for i in range(30):
        jpeg(doors.folder / "pictures" / f"{i}.jpg", shade=100 + i)
    doors.told("own.yaml", "--set", COARSE, golden="B55_other_separator", code=0)
    said = doors.early("check", COARSE, code=0)
    golden = "errors/B55_other_separator.txt"
    same(said, as_file=golden, folder=doors.folder, write=write_golden)
    lines = doors.early("check", COARSE, "--json", code=0).splitlines()
    told = [json.loads(line) for line in lines]
    assert [line["event"] for line in told] == ["warning", "finished"]
    assert told[0]["where"] == "sources.labels.0, labels.csv"
    assert (told[1]["problems"], told[1]["warnings"]) == (0, 1)
