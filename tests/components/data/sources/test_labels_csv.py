from pathlib import Path
from typing import Any

import pytest

from components.data.labelled import Labelled, Supervision
from components.data.readers import Columns, CsvReader, pictures_of
from components.data.sources.label_problems import DataError


def read(tmp_path: Path, content: str | bytes, **settings: Any) -> list[Labelled]:
    place = tmp_path / "labels.csv"
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    files = {"table": place, "images": tmp_path}
    return list(pictures_of(CsvReader(level="fine", **settings), files))


def test_present_absent_and_names_that_look_like_nothing(tmp_path: Path) -> None:
    a, b, c = read(tmp_path, "\ufeffimage,labels\na.jpg,NA|null|-None\n\nb.jpg, x | x \nc.jpg,\n")
    assert (a.present, a.absent) == (("fine:NA", "fine:null"), ("fine:None",))
    assert (b.present, b.path) == (("fine:x",), tmp_path / "b.jpg")
    assert [x.supervision for x in (a, b, c)] == [
        Supervision.LABELLED, Supervision.LABELLED, Supervision.UNLABELLED,
    ]  # fmt: skip


def test_columns_separator_and_rows_kept(tmp_path: Path) -> None:
    rows = 'split,tags,file\ntrain,"a;b, c",1.jpg\nval,d,2.jpg\n'
    columns = Columns(image="file", labels="tags", split="split")
    (a,) = read(tmp_path, rows, columns=columns, separator=";", where={"split": ("train",)})
    assert (a.source_name, a.present) == ("1.jpg", ("fine:a", "fine:b, c"))


def test_a_class_present_and_absent_is_unknown(tmp_path: Path) -> None:
    a, b = read(tmp_path, "image,labels\na.jpg,x|-x|y\nb.jpg,x|-x\n")
    assert (a.present, a.absent, b.present, b.absent) == (("fine:y",), (), (), ())
    assert (a.supervision, b.supervision) == (Supervision.LABELLED, Supervision.UNLABELLED)


def test_line_ends_of_every_system(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        rows = read(tmp_path, end.join(["image,labels", 'a.jpg,"x|y"', "b.jpg,z", ""]))
        assert [x.present for x in rows] == [("fine:x", "fine:y"), ("fine:z",)]


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("\n", "no column 'image', 'labels'; got no header"),
    "no header": (
        "a.jpg,x\n",
        "no column 'image', 'labels'; got 'a.jpg', 'x'. The first line names",
    ),
    "semicolons": ("image;labels\na;b\n", "Separate cells by commas"),
    "column twice": ("image,labels,labels\n", r"a column stands twice; got \['labels'\]"),
    "ragged": ("image,labels\na.jpg\n", "line 2: the header has 2 columns; got 1"),
    "no name": ("image,labels\n,x\n", "line 2: no picture is named"),
    "row twice": ("image,labels\na,x\na,y\n", "line 3: the picture stands on line 2 too; got 'a'"),
    "above": ("image,labels\n../a,x\n", "line 2: a picture must lie under its folder"),
    "minus": ("image,labels\na,x|-\n", "line 2: a minus without a class"),
    "no row": ("image,labels\n", "no picture in it; got a header and no row"),
    "quote": ('image,labels\n"a,x\n', "not CSV; got"),
    "latin": ("image,labels\na,caf\u00e9\n".encode("latin-1"), "not UTF-8; got byte 18"),
    "long": (f"image,labels\na,{'x' * 200_000}\n", "not CSV; got field larger"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_a_bad_table_is_told_in_words(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    assert all("; got " in problem for problem in caught.value.problems)


def test_a_filter_that_takes_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no row is left of 1; got where {'labels': .*Loosen it"):
        read(tmp_path, "image,labels\na,x\n", where={"labels": ("y",)})
