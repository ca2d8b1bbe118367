"""What is odd about boxes and pictures is told by its check id, and what is right is not."""

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.data.check_pictures import GLANCES
from components.data.check_sets import check_together
from components.data.check_source import Counted, Given, _overlap, check_source
from components.data.check_table import CHECKS, NOT_CHECKED, SHOWN, Finding, Findings
from components.data.readers import CocoReader, FoldersReader
from tests.components.data.small_sets import jpeg

SIZE = {"width": 40, "height": 30}


def _boxes(
    folder: Path, *boxes: tuple[float, ...], glance: str = "headers", **image: Any
) -> tuple[Counter[str], Counted]:
    """Return what is found in a file of one picture `a.jpg` and these boxes; a fifth number of a
    box is its class.
    """
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"} | image],
        "annotations": [
            {
                "id": i,
                "image_id": 1,
                "category_id": sum(box[4:], 1),
                "bbox": list(box[:4]),
                "iscrowd": 0,
                "area": 1,
            }
            for i, box in enumerate(boxes)
        ],
        "categories": [{"id": 1 + i, "name": f"fish {i}"} for i in range(len({*map(len, boxes)}))],
    }
    (folder / "boxes.json").write_text(json.dumps(content))
    files = {"annotations": folder / "boxes.json", "images": folder}
    given = Given(name="boxes", part="file", reader=CocoReader(level="fine"), files=files)
    return _found(given, glance=glance)


def _found(given: Given, *, glance: str = "headers") -> tuple[Counter[str], Counted]:
    found = Findings()
    counted = check_source(given, glance=GLANCES[glance], found=found, say=lambda _: None)
    sums: Counter[str] = Counter()
    for (_, check), count in found.counts.items():
        sums[check] += count
    return sums, counted


def _folders(root: Path, *, glance: str = "headers") -> Counter[str]:
    reader = FoldersReader(level="fine")
    given = Given(name="photos", part="file", reader=reader, files={"images": root})
    return _found(given, glance=glance)[0]


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg")
    found, counted = _boxes(tmp_path, (1, 2, 3, 4), (5, 6, 7, 8.5), **SIZE, glance="pixels")
    assert not found
    assert (counted.pictures, counted.boxes, dict(counted.used)) == (1, 2, {"fine:fish 0": 2})


def test_boxes_that_stand_twice(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg")
    boxes = [(1, 2, 30, 20), (1, 2, 30, 20.1), (1, 2, 30, 20), (1, 2, 30, 22), (5, 5, 0, 9)]
    found, _ = _boxes(tmp_path, *boxes, (5, 5, 0, 9), **SIZE)
    assert found == {"box.duplicate": 2, "box.thin": 2}


def test_boxes_of_two_classes_may_stand_in_one_place(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg")
    assert not _boxes(tmp_path, (1, 2, 30, 20), (1, 2, 30, 20, 1), **SIZE)[0]


def test_boxes_that_miss_their_picture_are_not_counted(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg")
    found, counted = _boxes(tmp_path, (1, 2, 30, 20), (60, 2, 3, 4), **SIZE)
    assert (found, counted.boxes) == ({"box.outside": 1}, 1)


def test_boxes_that_stand_twice_among_very_many(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg")
    boxes = [(i % 35, i // 35 / 2, 4, 4) for i in range(1200)]
    found, _ = _boxes(tmp_path, *boxes, boxes[7], (0.001, 0, 4, 4), **SIZE)
    assert found["box.duplicate"] == 1  # the one that is equal


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 4), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_overlap_is_that_of_the_pixels(ends: list[tuple[int, ...]]) -> None:
    """Each pixel of a grid is counted: in both, and in either."""
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in ends]
    covered = [{(x, y) for x in range(x1, x2) for y in range(y1, y2)} for x1, y1, x2, y2 in boxes]
    wanted = [[len(a & b) / len(a | b) if a | b else 0 for b in covered] for a in covered]
    assert np.allclose(_overlap(np.array(boxes, np.float32)), wanted)


def test_boxes_that_are_whole_pictures(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg")
    whole, part = [(0, 0, 40, 30 - i / 2) for i in range(3)], [(i, 0, 5, 5) for i in range(3)]
    assert "box.huge_share" not in _boxes(tmp_path, *whole, *part, **SIZE)[0]
    assert _boxes(tmp_path, *whole, *part[1:], **SIZE)[0]["box.huge_share"] == 1


def test_boxes_are_held_against_the_picture_where_the_file_says_no_size(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg")
    boxes = [(1, 1, 9, 9), (35, 1, 9, 9), (1, 25, 9, 5.5), (50, 1, 9, 9)]
    found, _ = _boxes(tmp_path, *boxes)
    assert found == {"box.outside": 2, "box.clipped": 1}


def test_what_is_odd_about_pictures(tmp_path: Path) -> None:
    """All that the header tells; the pixels tell what is cut short."""
    fish = tmp_path / "fish"
    whole = jpeg(fish / "good.jpg").read_bytes()
    jpeg(fish / "named.png", shade=20)
    jpeg(fish / "small.jpg", width=5)
    (fish / "cut.jpg").write_bytes(whole[:-200])
    (fish / "again.jpg").write_bytes(whole)
    (fish / "empty.jpg").touch()
    (fish / "page.jpg").write_text("<html>")
    (fish / "gone.jpg").symlink_to("nowhere")
    Image.new("CMYK", (20, 20)).save(fish / "print.jpg")
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "blue")]
    frames[0].save(fish / "moving.png", save_all=True, append_images=frames[1:])
    exif, turned = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(turned, "PNG", exif=exif)
    (fish / "turned.png").write_bytes(turned.getvalue())
    Image.new("1", (20_000, 20_000)).save(fish / "vast.png")
    told = {
        "image.suffix": 1, "image.small": 1, "dup.exact": 1, "image.undecodable": 2,
        "image.missing": 1, "image.mode": 1, "image.animated": 1, "image.exif": 1,
        "image.too_large": 1,
    }  # fmt: skip
    assert _folders(tmp_path) == told
    assert _folders(tmp_path, glance="pixels") == told | {"image.truncated": 1}


def test_files_that_no_record_names_are_told_once_for_all_sources(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "more/c.PNG", ".hidden.jpg"):
        jpeg(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    _boxes(tmp_path)
    files = {"annotations": tmp_path / "boxes.json", "images": tmp_path}
    first = Given(name="first", part="file", reader=CocoReader(level="fine"), files=files)
    other = Given(name="other", part="file", reader=CocoReader(level="fine"), files=files)
    lists = [Counted(name="", kind="coco", listed=names) for names in ({"./a.jpg"}, {"b.jpg"})]
    found = Findings()
    check_together(list(zip([first, other], lists, strict=True)), known=(), found=found)
    assert [finding.got for finding in found.first["W", "image.unlisted"]] == ["'more/c.PNG'"]
    found = Findings()
    lists[1].listed = set()  # its label file could not be read
    check_together(list(zip([first, other], lists, strict=True)), known=(), found=found)
    assert not found.counts


def test_findings_are_counted_and_the_first_are_kept() -> None:
    told: list[Finding] = []
    found = Findings(told.append)
    for i in range(SHOWN + 3):
        found.add(Finding(check="box.nan", where=f"f, annotation {i}", what="a", got="b", do="C."))
    found.add(Finding(check="box.thin", where="f", what="a", got="b", do="C.", times=5))
    assert found.kinds == [("E", "box.nan"), ("W", "box.thin")]
    assert (found.total("E"), found.total("W"), len(told)) == (SHOWN + 3, 5, SHOWN + 4)
    assert found.errors()[0] == "f, annotation 0: a; got b. C."
    assert found.errors()[SHOWN:] == ["f: 3 more of this kind."]


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_is_made_somewhere(check: str) -> None:
    """A row of the table that no line of code names would promise what is not done."""
    rooms = Path(__file__).parents[3] / "components" / "data"
    texts = [p.read_text() for p in rooms.rglob("*.py") if p.name != "check_table.py"]
    assert any(f'"{check}"' in text for text in texts)
    assert check not in NOT_CHECKED
