"""COCO files that are wrong or odd, B24 to B41; those made to hurt, B42, are in test_hostile.py."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from components.data.check_table import Findings
from components.data.labelled import Supervision
from components.data.readers import SOURCES, CocoReader, pictures_of
from tests.bad_inputs.doors import BIG, Doors, instances, pictures

Content = dict[str, Any]
DETECTIONS = [{"image_id": 1, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 0.5}]
CAPTIONS = {"images": [], "annotations": [{"image_id": 1, "id": 2, "caption": "a cat"}]}
PANOPTIC = {"annotations": [{"image_id": 0, "segments_info": [], "file_name": "x.png"}]}


@pytest.fixture
def refused(doors: Doors) -> Callable[..., None]:
    def check(content: Any, golden: str, **settings: Any) -> None:
        reader = CocoReader(level="coarse", **settings)
        doors.refused(content, golden=golden, name="boxes.json", reader=reader)

    return check


def _more(section: str, *rows: Any) -> Content:
    found = instances()
    return found | {section: [*found[section], *rows]}


def _box(*numbers: Any, **more: Any) -> Content:
    box = {"id": 815, "image_id": 0, "category_id": 1, "bbox": list(numbers)}
    return box | {"iscrowd": 0, "area": 1} | more


def _found(doors: Doors, content: Any, **settings: Any) -> Findings:
    files = {"annotations": doors.file(content, "boxes.json"), "images": doors.folder}
    found = Findings()
    SOURCES["coco"](CocoReader(level="coarse", **settings), files, found)
    return found


def test_the_file_that_is_spoilt_is_right_before(doors: Doors) -> None:
    pictures(doors.folder)
    doors.file(instances(), "boxes.json")
    assert doors.check("boxes.json", "--images", ".")[0] == 0
    assert not _found(doors, instances()).kinds


def test_B24_truncated_json(refused: Callable[..., None]) -> None:
    whole = json.dumps(instances())
    refused(whole[:500], "B24_truncated_json")
    refused(whole[:-1], "B24_the_last_brace_is_missing")


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_cut_at_any_place_is_noticed(doors: Doors, cut: int) -> None:
    whole = json.dumps(instances(), indent=1)
    found = _found(doors, whole[: len(whole) * cut // 60])
    assert found.kinds == [("E", "json.syntax")]


def test_B25_what_is_no_instances_file(refused: Callable[..., None]) -> None:
    refused(DETECTIONS, "B25_detections")
    refused(CAPTIONS, "B25_captions")
    refused(instances() | PANOPTIC, "B25_panoptic")
    refused("5", "B25_a_number")


def test_B26_sections_that_are_missing_or_empty(refused: Callable[..., None]) -> None:
    refused({"images": instances()["images"], "annotations": {}}, "B26_sections_missing")
    refused(instances() | {"categories": []}, "B26_no_category")
    refused(instances() | {"images": []}, "B26_no_picture")


def test_B27_annotation_of_unknown_image(refused: Callable[..., None]) -> None:
    rows = [_box(0, 0, 1, 1, id=i, image_id=40 + i) for i in range(50, 80)]
    refused(_more("annotations", *rows), "B27_annotation_of_unknown_image")


def test_B28_annotation_of_unknown_category(refused: Callable[..., None]) -> None:
    row = _box(0, 0, 1, 1, category_id=2)
    refused(_more("annotations", row), "B28_annotation_of_unknown_category")


def test_B29_ids_that_are_no_ids(refused: Callable[..., None]) -> None:
    refused({name: rows * 2 for name, rows in instances().items()}, "B29_ids_twice")
    rows = [{"file_name": "a.jpg"}, {"id": True}, {"id": 1.5}, 3]
    refused(_more("images", *rows), "B29_ids_missing")


def test_B29_ids_of_every_kind_that_stand_twice(doors: Doors) -> None:
    ids = [7, "7", 10**30, None, 7, "7", 10**30, None, -1, 10**31]
    rows = [_box(0, 0, 5, 5, id=own) for own in ids]
    found = _found(doors, instances() | {"annotations": rows})
    (twice,) = found.first["E", "id.duplicate"]
    assert twice.got == f"3 such ids: 7, 7, {10**30}"


def test_B30_two_categories_with_one_name(doors: Doors, refused: Callable[..., None]) -> None:
    """Two names that no box uses are listed; a box whose class they name is an error."""
    pictures(doors.folder)
    refused(_more("categories", {"id": 2, "name": "fish"}), "B30_two_categories_with_one_name")
    rows = [{"id": 2}, {"id": 3, "name": " "}, {"id": 4, "name": 7}]
    refused(_more("categories", *rows), "B30_categories_without_a_name")
    unused = _more("categories", {"id": 2, "name": "crane"}, {"id": 3, "name": "crane"})
    doors.file(unused, "boxes.json")
    doors.told("boxes.json", "--images", ".", golden="B30_names_twice_and_unused", code=0)


def test_B31_box_is_not_four_numbers(refused: Callable[..., None]) -> None:
    boxes = [(1, 2, 3), (1, 2, 3, 4, 5), ("1", 2, 3, 4), (None, 1, 2, 3), (True, 1, 2, 3)]
    rows = [_box(*box, id=i) for i, box in enumerate(boxes, 90)]
    rows = [*rows, _box(id=97) | {"bbox": None}, _box(10**400, 1, 2, 3, id=98), 5]
    refused(_more("annotations", *rows), "B31_box_is_not_four_numbers")


@pytest.mark.parametrize(
    ("number", "golden"),
    [("NaN", "B32_nan"), ("-Infinity", "B32_infinity"), ("1e999", "B32_infinity_in_digits")],
)
def test_B32_numbers_that_are_none(
    refused: Callable[..., None], number: str, golden: str
) -> None:  # fmt: skip
    refused(json.dumps(instances()).replace("2.5", number), golden)


def test_B33_sides_that_are_negative_or_thin(doors: Doors, refused: Callable[..., None]) -> None:
    pictures(doors.folder)
    refused(_more("annotations", _box(1, 2, -3, 4)), "B33_negative_side")
    thin = _more(
        "annotations", _box(1, 2, 0, 9), _box(1, 2, 0.5, 9, id=816), _box(1, 2, 1, 1, id=9)
    )
    refused(thin, "B33_thin_is_refused_by_the_setting", thin="error")
    doors.file(thin, "boxes.json")
    doors.told("boxes.json", "--images", ".", golden="B33_thin", code=0)
    kept = pictures_of(
        CocoReader(level="coarse"),
        {"annotations": doors.folder / "boxes.json", "images": doors.folder},
    )
    assert [len(one.boxes) for one in kept] == [1, 5, 0]


def test_B34_box_leaves_its_picture(doors: Doors, refused: Callable[..., None]) -> None:
    pictures(doors.folder)
    outside = _more("annotations", _box(60, 2, 3, 4), _box(-9, 2, 3, 4, id=816))
    refused(outside, "B34_box_outside")
    boxes = [_box(-1, 2, 20, 4), _box(40, 30, 12, 5, id=816), _box(-0.25, 0, 5, 5, id=817)]
    doors.file(_more("annotations", *boxes), "boxes.json")
    doors.told("boxes.json", "--images", ".", golden="B34_clipped", code=0)


def test_B35_numbers_that_are_corners_or_shares(refused: Callable[..., None]) -> None:
    corners = [_box(20 + i, 15, 45, 35, id=i) for i in range(5)]
    refused(instances() | {"annotations": corners}, "B35_looks_like_corners")
    sides = _more("annotations", _box(20, 15, 5, 9))
    refused(sides, "B35_sides_where_corners_are_set", box_format="xyxy")
    all_sides = [_box(20 + i, 15, 5 + i % 2 * 20, 9, id=i) for i in range(5)]
    refused(instances() | {"annotations": all_sides}, "B35_looks_like_sides", box_format="xyxy")
    shares = [_box(0.1, 0.2, 0.5, 1, id=i) for i in range(3)]
    refused(instances() | {"annotations": shares}, "B35_shares_of_the_picture")


def test_B35_few_boxes_outside_are_no_proof(doors: Doors) -> None:
    boxes = [_box(20 + i, 15, 45, 35, id=i) for i in range(4)]
    found = _found(doors, instances() | {"annotations": boxes})
    assert ("W", "box.outside") in found.kinds
    assert not found.errors()
    corners = [_box(20 + i, 15, 45, 35, id=i) for i in range(5)]
    assert not _found(doors, instances() | {"annotations": corners}, box_format="xyxy").errors()


@pytest.mark.parametrize(
    "other",
    [[], [(1, 2, -3, 9)], [(60, 2, 5, 4)]],  # too few; no side either; outside its picture so
)
def test_B35_negative_sides_that_are_no_proof_are_told_one_by_one(
    doors: Doors, other: list[tuple[float, ...]]
) -> None:
    boxes = [(20, 15, 5, 9)] * (5 if other else 4) + other
    rows = [_box(*box, id=i, image_id=0) for i, box in enumerate(boxes)]
    found = _found(doors, instances() | {"annotations": rows}, box_format="xyxy")
    assert found.counts["E", "box.order"] == len(boxes)


def test_B36_iscrowd_or_area_missing(doors: Doors) -> None:
    pictures(doors.folder)
    bare = [{k: v for k, v in row.items() if k not in ("iscrowd", "area")}
            for row in instances()["annotations"]]  # fmt: skip
    doors.file(instances() | {"annotations": bare}, "boxes.json")
    doors.told("boxes.json", "--images", ".", golden="B36_iscrowd_or_area_missing", code=0)


def test_B37_ids_of_any_size_are_exact(doors: Doors) -> None:
    """2**53 and 2**53 + 1 are one number to a float; text and number are two ids."""
    ids: list[Any] = [0, -1, 2**53, 2**53 + 1, BIG, 10**30, 10**30 + 1, "7", 7]
    files = {"annotations": doors.folder / "boxes.json", "images": doors.folder}
    content = {
        "annotations": [_box(0, 0, 5, 5, id=own, image_id=own, category_id=own) for own in ids],
        "images": [{"id": own, "file_name": f"{i}.jpg"} for i, own in enumerate(ids)],
        "categories": [{"id": own, "name": f"class {i}"} for i, own in enumerate(ids)],
    }
    doors.file(content, "boxes.json")
    got = list(pictures_of(CocoReader(level="coarse"), files))
    assert [one.source_id for one in got] == [str(own) for own in ids]
    assert [one.classes for one in got] == [(f"coarse:class {i}",) for i in range(len(ids))]


def test_B38_width_and_height_differ_from_the_picture(doors: Doors) -> None:
    pictures(doors.folder)
    found = instances()
    found["images"][0] |= {"width": 80, "height": 100}
    found["images"][1] |= {"width": 55}
    found["annotations"][1] |= {"bbox": [0, 0, 80, 100]}
    doors.file(found, "boxes.json")
    doors.told("boxes.json", "--images", ".", golden="B38_other_sizes", code=2)


@pytest.mark.parametrize(
    ("setting", "supervision"),
    [("no_box", Supervision.BOXED), ("unlabelled", Supervision.UNLABELLED)],
)
def test_B39_image_without_annotation_is_what_the_setting_says(
    doors: Doors, setting: str, supervision: Supervision
) -> None:
    pictures(doors.folder)
    doors.file(instances(), "boxes.json")
    files = {"annotations": doors.folder / "boxes.json", "images": doors.folder}
    *_, empty = pictures_of(CocoReader(level="coarse", unannotated=setting), files)  # type: ignore[arg-type]
    assert (empty.source_name, empty.supervision) == ("empty.jpg", supervision)
    line = ("boxes.json", "--images", ".", "--set", f"unannotated={setting}")
    doors.told(*line, golden=f"B39_{setting}", code=0)


def test_B40_pictures_are_missing(doors: Doors) -> None:
    pictures(doors.folder)
    rows = [{"id": 100 + i, "file_name": f"gone/{i:02d}.jpg"} for i in range(25)]
    doors.file(_more("images", *rows), "boxes.json")
    doors.told("boxes.json", "--images", ".", golden="B40_pictures_are_missing", code=2)


def test_B41_file_names_that_lead_elsewhere(refused: Callable[..., None]) -> None:
    names = ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "C:\\a.jpg", "", None, "a\0b"]
    rows = [{"id": 20 + i, "file_name": name} for i, name in enumerate(names)]
    refused(_more("images", *rows), "B41_absolute_or_above")


@pytest.mark.parametrize(("width", "height"), [("40", 30), (0, 30), (40.5, 30), (40, -1)])
def test_B38_sides_that_are_no_numbers_of_pixels(doors: Doors, width: Any, height: Any) -> None:
    found = instances()
    found["images"][0] |= {"width": width, "height": height}
    doors.file(found, "boxes.json")
    pictures(doors.folder)
    code, said = doors.check("boxes.json", "--images", ".")
    assert code == 2
    assert f"width and height are no whole numbers of pixels; got {width!r} x {height!r}" in said


def test_B29_two_images_of_one_file(doors: Doors) -> None:
    found = instances()
    found["images"].append(found["images"][0] | {"id": 99, "file_name": "./b.jpg"})
    doors.file(found, "boxes.json")
    pictures(doors.folder)
    code, said = doors.check("boxes.json", "--images", ".")
    assert code == 2
    assert f"boxes.json, image 99: image {BIG} has this file_name too; got './b.jpg'" in said
