"""What is left out is named with its reason; what is odd and usable is counted and taken."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.labelled import Labelled
from components.data.quarantine import Looked, look_at_all, refuse
from components.data.sources.label_problems import DataError
from tests.components.data.small_sets import jpeg, known, packed

ORIENTATION = 0x0112


def _turned(pixels: np.ndarray, tag: int) -> tuple[bytes, np.ndarray]:
    """Return a PNG that a viewer shows as `pixels`, and its pixels as they are stored."""
    stored = np.ascontiguousarray({
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.swapaxes(0, 1), 6: np.rot90(pixels, 1), 7: np.rot90(pixels, 2).swapaxes(0, 1),
        8: np.rot90(pixels, -1),
    }[tag])  # fmt: skip
    exif, memory = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = tag
    Image.fromarray(stored).save(memory, "PNG", exif=exif)
    return memory.getvalue(), stored


def _bad(folder: Path) -> list[Labelled]:
    """Write pictures that cannot be used, each for another reason, and name one that is not."""
    whole = jpeg(folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[:-200])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_bytes(b"<!doctype html><html>not found</html>")
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "blue")]
    frames[0].save(folder / "moving.png", save_all=True, append_images=frames[1:])
    (folder / "folder.jpg").mkdir()
    names = ("cut.jpg", "empty.jpg", "page.jpg", "moving.png", "folder.jpg", "gone.jpg")
    return [known(folder / name) for name in names]


def _looked(tmp_path: Path, samples: list[Labelled]) -> Looked:
    return look_at_all(samples, quarantine=tmp_path / "left.jsonl", say=lambda _: None)


def test_B63_to_B66_pictures_are_left_out_each_with_its_reason(tmp_path: Path) -> None:
    found = _looked(tmp_path, [*_bad(tmp_path), known(jpeg(tmp_path / "good.jpg"))])
    lines = [json.loads(line) for line in (tmp_path / "left.jsonl").read_text().splitlines()]
    assert lines == found.left
    assert {line["source_name"]: line["check"] for line in lines} == {
        "cut.jpg": "image.truncated",
        "empty.jpg": "image.undecodable",
        "page.jpg": "image.undecodable",
        "moving.png": "image.animated",
        "folder.jpg": "file.unreadable",
        "gone.jpg": "image.missing",
    }
    assert str(tmp_path) not in json.dumps(lines)
    assert [one.sample.source_name for one in found.usable] == ["good.jpg"]
    assert found.seen == 7


def test_B40_above_the_share_the_reasons_and_the_first_pictures_are_named(tmp_path: Path) -> None:
    good = known(jpeg(tmp_path / "good.jpg"))
    found = _looked(tmp_path, [*_bad(tmp_path), *[good] * 6])
    refuse(found, name="set", most=0.5)
    with pytest.raises(
        DataError, match="set: too many pictures cannot be used; got 6 of 12"
    ) as got:
        refuse(found, name="set", most=0.49)
    first, *named = got.value.problems
    assert "(image.undecodable 2, " in first
    assert "raise sources.max_bad_fraction from 0.49" in first
    assert [line.partition(":")[0] for line in named] == [
        "cut.jpg", "empty.jpg", "page.jpg", "moving.png", "folder.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("frame", ["stored", "upright"])
def test_B69_boxes_follow_a_turned_picture_when_its_sides_are_swapped(
    tmp_path: Path, tag: int, frame: str
) -> None:
    """A white rectangle marks the box; its frame is what the label file's size says."""
    shown = np.zeros((30, 50, 3), np.uint8)
    shown[4:15, 7:29] = 255
    data, stored = _turned(shown, tag)
    (tmp_path / "a.png").write_bytes(data)
    marked = stored if frame == "stored" and tag > 4 else shown
    ys, xs = np.nonzero(marked[..., 0])
    box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    sample = known(tmp_path / "a.png", box, width=marked.shape[1], height=marked.shape[0])
    shards = packed(tmp_path / "out", [sample])
    assert shards.size(0) == (50, 30)
    assert shards.target(0).boxes.tolist() == [[7, 4, 29, 15]]
    assert shards.record["noted"] == ({} if tag == 1 else {"image.exif": 1})


def test_B34_boxes_are_clipped_and_counted(tmp_path: Path) -> None:
    boxes = [(-0.5, 0, 10, 10), (20, 10, 55, 30.5), (5, 5, 5.5, 5), (0, 0, 40, 30)]
    shards = packed(tmp_path / "out", [known(jpeg(tmp_path / "a.jpg"), *boxes)])
    assert shards.record["noted"] == {"box.clipped": 1, "box.outside": 1, "box.thin": 1}
    got = shards.target(0).boxes.tolist()
    assert got == [[0, 0, 10, 10], [20, 10, 40, 30], [5, 5, 5.5, 5], [0, 0, 40, 30]]


def test_B34_boxes_outside_stop_packing_whatever_may_be_left_out(tmp_path: Path) -> None:
    boxes = [(41.5, 0, 60, 10), (0, 0, 5, 5), (0, -9, 5, -2)]
    with pytest.raises(DataError, match="the box lies outside its picture of 40 x 30 px") as got:
        packed(tmp_path / "out", [known(jpeg(tmp_path / "a.jpg"), *boxes)], max_bad_fraction=1.0)
    assert len(got.value.problems) == 2


def test_B68_B70_B71_what_is_odd_is_taken_and_counted(tmp_path: Path) -> None:
    jpeg(tmp_path / "jpeg.png", width=5)
    jpeg(tmp_path / "fine.JPEG")
    Image.new("CMYK", (20, 20)).save(tmp_path / "print.jpg")
    names = ("jpeg.png", "fine.JPEG", "print.jpg")
    shards = packed(tmp_path / "out", [known(tmp_path / name) for name in names])
    assert shards.record["noted"] == {"image.suffix": 1, "image.small": 1, "image.mode": 1}
    assert len(shards) == 3


def test_pictures_of_formats_we_do_not_read_are_listed_and_not_lost(tmp_path: Path) -> None:
    from components.data.readers import FoldersReader, pictures_of

    jpeg(tmp_path / "photos" / "fish" / "a.jpg")
    Image.new("RGB", (9, 9)).save(tmp_path / "photos" / "fish" / "b.GIF")
    (tmp_path / "photos" / "fish" / "notes.txt").write_text("x")
    samples = list(pictures_of(FoldersReader(level="fine"), {"images": tmp_path / "photos"}))
    found = _looked(tmp_path, samples)
    assert [line["source_name"] for line in found.left] == ["fish/b.GIF"]
    assert "not one of JPEG, PNG, WEBP, BMP" in found.left[0]["text"]
