import json
from pathlib import Path
from typing import Any

import pytest

from components.data.labelled import CROWD, Labelled, Supervision
from components.data.readers import CocoReader, pictures_of
from components.data.sources.label_problems import DataError

BOX = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4.5]}
GOOD: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a.jpg", "width": 40, "height": 30}],
    "annotations": [BOX],
    "categories": [{"id": 3, "name": "fish"}],
}


def read(tmp_path: Path, content: Any, **settings: Any) -> list[Labelled]:
    place = tmp_path / "boxes.json"
    place.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    files = {"annotations": place, "images": tmp_path}
    return list(pictures_of(CocoReader(level="coarse", **settings), files))


def test_corners_classes_and_ids(tmp_path: Path) -> None:
    large = 20180000003
    content = GOOD | {
        "images": [*GOOD["images"], {"id": large, "file_name": "sub/b.jpg"}],
        "annotations": [
            BOX,
            {"id": 0, "image_id": large, "category_id": 3, "bbox": [5, 5, 0, 9], "iscrowd": 1},
        ],
    }
    a, b = read(tmp_path, content)
    assert a.boxes.tolist() == [[1, 2, 4, 6.5]]
    assert (a.classes, a.width, a.height) == (("coarse:fish",), 40, 30)
    assert (b.source_id, b.width, b.flags.tolist()) == (str(large), None, [CROWD])
    assert b.boxes.tolist() == [[5, 5, 5, 14]], "a thin box is kept"
    assert b.path == tmp_path / "sub/b.jpg"


def test_corners_as_they_stand(tmp_path: Path) -> None:
    (a,) = read(tmp_path, GOOD, box_format="xyxy")
    assert a.boxes.tolist() == [[1, 2, 3, 4.5]]


@pytest.mark.parametrize(
    ("unannotated", "supervision"),
    [("no_box", Supervision.BOXED), ("unlabelled", Supervision.UNLABELLED)],
)
def test_pictures_without_annotation_are_what_the_setting_says(
    tmp_path: Path, unannotated: str, supervision: Supervision
) -> None:
    (a,) = read(tmp_path, GOOD | {"annotations": []}, unannotated=unannotated)
    assert (a.supervision, a.boxes.shape) == (supervision, (0, 4))


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    assert len(read(tmp_path, "\ufeff" + json.dumps(GOOD))) == 1


def _with(section: str, *things: Any) -> dict[str, Any]:
    return GOOD | {section: list(things)}


def _box(*numbers: Any, **more: Any) -> dict[str, Any]:
    return _with("annotations", BOX | {"bbox": list(numbers)} | more)


IMAGE, CLASS = GOOD["images"][0], GOOD["categories"][0]
BAD: dict[str, tuple[Any, str]] = {
    "cut": (json.dumps(GOOD)[:60], r"not JSON: .*; got line 1, column \d+, byte \d+ of 60"),
    "nan": (json.dumps(_box(float("nan"), 0, 1, 1)), "JSON knows; got NaN"),
    "key twice": ('{"images": [], "images": []}', "stands twice in one object; got 'images'"),
    "deep": ("[" * 100_000, "nested too deep"),
    "long integer": ("9" * 10_000, "an integer is too long"),
    "number": (3, "expected COCO instances; got int"),
    "list": ([1], "expected COCO instances; got a list"),
    "results": ([{"image_id": 1, "category_id": 1, "score": 0.5}], "got detection results"),
    "captions": (
        {"images": [], "annotations": [{"image_id": 1, "caption": "x"}]},
        "annotations hold no bbox; .* It looks like captions",
    ),
    "odd annotations": ({"annotations": [3]}, "images, categories must be lists"),
    "section of a type": (GOOD | {"images": {}}, "images must be lists that are there"),
    "no picture": (_with("images"), "no picture in it"),
    "no category": (_with("categories"), "no categories; got categories: "),
    "category without name": (_with("categories", {"id": 3}), "category 3: no name; got None"),
    "name twice": (
        _with("categories", CLASS, {"id": 4, "name": "fish"}),
        "category 4: category 3 has this name too; got 'fish'",
    ),
    "half a character": (_with("categories", {"id": 3, "name": "\ud800"}), "not Unicode"),
    "unknown picture": (_box(0, 0, 1, 1, image_id=8), "annotation 1: its picture .* image_id 8"),
    "odd id": (_box(0, 0, 1, 1, image_id=[7]), "its picture is not in images"),
    "unknown class": (_box(0, 0, 1, 1, category_id=9), "its class .* category_id 9"),
    "id twice": (_with("images", IMAGE, IMAGE), "images: an id stands twice; got 1 such ids: 7"),
    "no id": (_with("images", {"file_name": "a.jpg"}), r"images\[0\]: no id"),
    "no object": (_with("annotations", 5), r"annotations\[0\]: expected an object; got 5"),
    "three numbers": (_box(1, 2, 3), "bbox is not four finite numbers"),
    "text": (_box(1, 2, 3, "4"), "bbox is not four finite numbers"),
    "infinite": (json.dumps(GOOD).replace("4.5", "1e999"), "bbox is not four finite numbers"),
    "huge": (_box(0, 0, 1, 10**400), "bbox is not four finite numbers"),
    "null": (_with("annotations", BOX | {"bbox": None}), "not four finite numbers; got None"),
    "negative": (_box(9, 9, -1, 4), "a side is negative; got .* set box_format: xyxy"),
    "outside": (_box(41, 2, 5, 5), "annotation 1: the box lies outside its picture of 40 x 30 px"),
    "no file": (_with("images", {"id": 7}), "image 7: no file_name; got None"),
    "absolute": (_with("images", IMAGE | {"file_name": "/etc/a.jpg"}), "must lie under its folder"),
    "above": (_with("images", IMAGE | {"file_name": "../a.jpg"}), "must lie under its folder"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=str)
def test_a_bad_file_is_told_in_words(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    assert all("; got " in problem for problem in caught.value.problems)


def test_a_box_partly_outside_is_no_problem(tmp_path: Path) -> None:
    (a,) = read(tmp_path, _box(35, 2, 30, 5))
    assert a.boxes.tolist() == [[35, 2, 65, 7]]


def test_corners_taken_for_sides_are_named(tmp_path: Path) -> None:
    boxes = [BOX | {"id": i, "bbox": [20, 15, 39, 29]} for i in range(9)]
    with pytest.raises(DataError, match=r"9 of 9 boxes leave their picture.*Set box_format: xyxy"):
        read(tmp_path, _with("annotations", *boxes))


def test_all_problems_at_once_and_no_flood(tmp_path: Path) -> None:
    bad = [BOX | {"id": i, "bbox": None} for i in range(50)]
    content = _with("annotations", *bad) | {"categories": [CLASS, {"id": 4, "name": ""}]}
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    problems = caught.value.problems
    assert len(problems) == 22
    assert "category 4: no name" in problems[0]
    assert problems[-1] == "boxes.json: 30 more of this kind."
