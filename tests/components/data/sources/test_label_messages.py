"""Every way a label file can be wrong, with the message kept in tests/golden/errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.data.readers import CocoReader, CsvReader
from components.data.sources import coco, labels_csv
from components.data.sources.label_problems import DataError
from tests.pipelines.settings.golden import same

BIG = 20_180_000_003  # an id beyond 32 bits


def _file() -> dict[str, Any]:
    """Return three pictures, two classes, two boxes; ids are sparse, zero or large."""
    return {
        "images": [
            {"id": BIG, "file_name": "b.jpg", "width": 100, "height": 80},
            {"id": 0, "file_name": "sub/a.jpg", "width": 50, "height": 40},
            {"id": 7, "file_name": "empty.jpg"},
        ],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 90, "bbox": [1, 2.5, 10, 20]},
            {"id": 5, "image_id": BIG, "category_id": 1, "bbox": [0, 0, 100, 80], "iscrowd": 1},
            {"image_id": 0, "category_id": 1, "bbox": [49, 39, 1, 0]},
        ],
        "categories": [{"id": 90, "name": "fish"}, {"id": 1, "name": "bird: small"}],
    }


def _with(section: str, *rows: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda found: found | {section: [*found[section], *rows]}


def _box(*numbers: Any) -> dict[str, Any]:
    return {"id": 815, "image_id": 0, "category_id": 1, "bbox": list(numbers)}


def _corners(found: dict[str, Any]) -> dict[str, Any]:
    """Return the file with corners where sides are due."""
    boxes = [_box(20 + i, 15, 45, 35) | {"id": i} for i in range(5)]
    return found | {"annotations": boxes}


DETECTIONS = [{"image_id": 1, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 0.5}]
CAPTIONS = {"images": [], "annotations": [{"image_id": 1, "id": 2, "caption": "a cat"}]}
PANOPTIC = {"annotations": [{"image_id": 0, "segments_info": [], "file_name": "x.png"}]}
BOXES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "B24_truncated_json": lambda found: json.dumps(found)[:300],
    "B25_detections": lambda found: DETECTIONS,
    "B25_captions": lambda found: CAPTIONS,
    "B25_panoptic": lambda found: found | PANOPTIC,
    "B25_a_number": lambda found: 5,
    "B26_sections_missing": lambda found: {"images": found["images"], "annotations": {}},
    "B26_no_category": lambda found: found | {"categories": []},
    "B26_no_picture": lambda found: found | {"images": []},
    "B27_annotation_of_unknown_image": _with(
        "annotations", *({"id": i, "image_id": 40 + i, "category_id": 1, "bbox": [0, 0, 1, 1]}
                         for i in range(50, 80))
    ),
    "B28_annotation_of_unknown_category": _with("annotations", _box() | {"category_id": 2}),
    "B29_ids_twice": lambda found: {name: rows * 2 for name, rows in found.items()},
    "B29_ids_missing": lambda found: found | {
        "images": [{"file_name": "a.jpg"}, {"id": True}, {"id": 1.5}, 3, *found["images"]]
    },
    "B30_two_categories_with_one_name": _with("categories", {"id": 2, "name": "fish"}),
    "B30_categories_without_a_name": _with(
        "categories", {"id": 2}, {"id": 3, "name": " "}, {"id": 4, "name": 7}
    ),
    "B31_box_is_not_four_numbers": _with(
        "annotations", _box(1, 2, 3), _box(1, 2, 3, 4, 5), _box("1", 2, 3, 4), _box(None, 1, 2, 3),
        _box(True, 1, 2, 3), _box() | {"bbox": None}, _box(10**400, 1, 2, 3), 5,
    ),
    "B32_nan": lambda found: json.dumps(found).replace("2.5", "NaN"),
    "B32_infinity": lambda found: json.dumps(found).replace("2.5", "-Infinity"),
    "B32_infinity_in_digits": lambda found: json.dumps(found).replace("2.5", "1e999"),
    "B33_negative_side": _with("annotations", _box(1, 2, -3, 4)),
    "B34_box_outside": _with("annotations", _box(60, 2, 3, 4), _box(-9, 2, 3, 4)),
    "B35_looks_like_corners": _corners,
    "B41_absolute_or_above": _with(
        "images", *({"id": 20 + i, "file_name": name} for i, name in enumerate(
            ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "C:\\a.jpg", "", None, "a\u0000b"]))
    ),
    "B42_depth": lambda found: '{"images": ' + "[" * 100_000,
    "B42_long_number": lambda found: json.dumps(found).replace("2.5", "9" * 1_000_000),
    "B42_key_twice": lambda found: json.dumps(found).replace('"width"', '"id"', 1),
}  # fmt: skip


LABELS = {
    "B55_no_header": "a.jpg,cat\nb.jpg,dog\n",
    "B55_other_delimiter": "image;labels\na.jpg;cat\n",
    "B55_ragged_rows": "image,labels\na.jpg\nb.jpg,cat,dog\nc.jpg,cat\n",
    "B55_column_twice": "image,labels,labels\na.jpg,x,y\n",
    "B55_empty_table": "\n",
    "B55_quote_not_closed": 'image,labels\na.jpg,"cat\n',
    "B55_long_cell": "image,labels\na.jpg," + "x" * 200_000 + "\n",
    "B55_not_utf8": b"image,labels\na.jpg,caf\xe9\n",
    "B56_the_same_picture_twice": "image,labels\na.jpg,x\nb.jpg,x\na.jpg,y\n",
    "B41_table_names_places_outside": "image,labels\n../a.jpg,x\n/b.jpg,x\n,x\n",
    "B50_present_and_absent": "image,labels\na.jpg,x|-x\n",
}


@pytest.mark.parametrize("case", BOXES)
def test_boxes_are_refused_in_the_words_of(case: str, tmp_path: Path, write_golden: bool) -> None:
    found = BOXES[case](_file())
    (tmp_path / "boxes.json").write_text(found if isinstance(found, str) else json.dumps(found))
    files = {"annotations": tmp_path / "boxes.json", "images": tmp_path}
    with pytest.raises(DataError, match=r"boxes\.json") as caught:
        coco.read(CocoReader(level="coarse"), files)
    same(str(caught.value), as_file=f"errors/{case}.txt", folder=tmp_path, write=write_golden)


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_refused_in_the_words_of(case: str, tmp_path: Path, write_golden: bool) -> None:
    text = LABELS[case]
    (tmp_path / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    files = {"table": tmp_path / "labels.csv", "images": tmp_path}
    with pytest.raises(DataError, match=r"labels\.csv") as caught:
        labels_csv.read(CsvReader(level="fine"), files)
    same(str(caught.value), as_file=f"errors/{case}.txt", folder=tmp_path, write=write_golden)


def test_the_file_that_is_spoilt_is_right_before(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps(_file()))
    files = {"annotations": tmp_path / "boxes.json", "images": tmp_path}
    got = list(coco.read(CocoReader(level="coarse"), files))
    assert [one.source_id for one in got] == [str(BIG), "0", "7"]
    assert got[1].classes == ("coarse:fish", "coarse:bird: small")
