"""Pictures that cannot be used are left out with their reason; odd ones are taken and counted."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from components.data.shards import Shards
from tests.bad_inputs.bad_pictures import (
    PHOTO,
    coded,
    left_out,
    taken,
    turned,
    write_no_files,
)
from tests.bad_inputs.picture_page import Page
from tests.bad_inputs.probes import probe, probe_each
from tests.components.eval.small_world import model, picture
from tests.pipelines.cli.small import call
from tests.pipelines.settings.golden import same

MB = 2**20


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


def told(page: Page, names: list[str], *, golden: str, write: bool) -> dict[str, Any]:
    """Run with these pictures and a good one; hold what is said and listed against a golden."""
    page.write({"good.jpg": coded(PHOTO, "JPEG")})
    page.labels("good.jpg", *names)
    refused = page.vocabox("run") if names[0] in left_out(page.folder) else None
    said = f"{refused.stderr.partition('After mending')[0]}\n" if refused else ""
    record, listed = page.packed()
    assert refused is None or refused.exit_code == 2
    same(said + listed, as_file=f"errors/{golden}.txt", folder=page.folder, write=write)
    return record


LEFT_OUT = {
    "B63_truncated": ["half.jpg", "half_and_closed.jpg", "half.png", "half.webp"],
    "B64_empty": ["empty.jpg"],
    "B65_page_or_text": ["page.jpg", "text.jpg", "pickle.jpg", "zip.jpg", "program.jpg"],
    "B66_unsupported": ["drawing.svg", "phone.heic", "paper.pdf", "scan.tif", "still.gif"],
    "B67_bombs": ["wide.png", "large.png", "huge.png", "one_bit.png", "lying.jpg",
                  "lying_a_little.jpg", "nothing_behind_it.png", "text_bomb.png"],
    "B68_animated": ["moving.gif", "moving.png", "moving.webp"],
}  # fmt: skip


def _left_out(page: Page, golden: str, *, write: bool) -> None:
    made = left_out(page.folder / "executed")
    page.write({name: made[name][0] for name in LEFT_OUT[golden]})
    record = told(page, LEFT_OUT[golden], golden=golden, write=write)
    checks = [made[name][1] for name in LEFT_OUT[golden]]
    assert record["quarantined"] == {check: checks.count(check) for check in checks}
    assert record["samples"] == 1
    assert not (page.folder / "executed").exists()


def test_B63_truncated(page: Page, write_golden: bool) -> None:
    _left_out(page, "B63_truncated", write=write_golden)


def test_B64_empty(page: Page, write_golden: bool) -> None:
    _left_out(page, "B64_empty", write=write_golden)


def test_B65_page_or_text(page: Page, write_golden: bool) -> None:
    _left_out(page, "B65_page_or_text", write=write_golden)


def test_B66_unsupported(page: Page, write_golden: bool) -> None:
    _left_out(page, "B66_unsupported", write=write_golden)


def test_B67_bombs(page: Page, write_golden: bool) -> None:
    _left_out(page, "B67_bombs", write=write_golden)


def test_B67_is_refused_in_little_memory_and_time(tmp_path: Path) -> None:
    made = left_out(tmp_path / "executed")
    wanted = {tmp_path / n: made[n] for n in (*LEFT_OUT["B67_bombs"], "moving.gif", "half.png")}
    for place, (data, _) in wanted.items():
        place.write_bytes(data)
    found = probe_each("picture", list(wanted), seconds=2)
    assert {place: told.said for place, told in found.items()} == {
        place: check for place, (_, check) in wanted.items()
    }
    assert max(told.peak for told in found.values()) < 300 * MB


def test_B67_the_largest_picture_that_is_read_fits_in_512_MB(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (8_000, 8_000), (9, 9, 9, 9))
    clear.save(tmp_path / "clear.png", compress_level=1)
    found = probe("picture", tmp_path / "clear.png", seconds=30)
    assert found.said == [8_000, 8_000, 3]
    assert found.peak < 512 * MB


def test_B68_animated(page: Page, write_golden: bool) -> None:
    _left_out(page, "B68_animated", write=write_golden)


def _taken(page: Page, check: str, *, golden: str, write: bool) -> Shards:
    made = {name: data for name, (data, counted) in taken().items() if counted == check}
    page.write(made)
    record = told(page, list(made), golden=golden, write=write)
    assert record["quarantined"] == {}
    assert record["noted"] == {check: len(made)}
    assert record["samples"] == len(made) + 1
    (place,) = page.folder.rglob("quarantine.jsonl")
    return Shards.open(place.parent)


def test_B68_other_colours(page: Page, write_golden: bool) -> None:
    _taken(page, "image.mode", golden="B68_other_colours", write=write_golden)


def test_B69_turned_by_exif(page: Page, write_golden: bool) -> None:
    """The picture is upright in the index; its boxes are tested in test_quarantine."""
    shards = _taken(page, "image.exif", golden="B69_turned_by_exif", write=write_golden)
    sizes = {shards.source_name(row): shards.size(row) for row in range(len(shards))}
    assert sizes.pop("good.jpg") == PHOTO.size
    assert sizes == {
        f"turned_{tag}.jpg": PHOTO.size if tag < 5 else PHOTO.size[::-1] for tag in range(2, 9)
    }


def test_B70_suffix_says_another_format(page: Page, write_golden: bool) -> None:
    _taken(page, "image.suffix", golden="B70_suffix", write=write_golden)


def test_B71_one_pixel_and_narrow(page: Page, write_golden: bool) -> None:
    _taken(page, "image.small", golden="B71_small", write=write_golden)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that another user may look into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_B63_to_B71_forty_pictures_are_packed_in_little_memory(open_folder: Path) -> None:
    """As a user who is not root: one of them may not be read."""
    photos = open_folder / "photos"
    photos.mkdir()
    bad, odd = left_out(open_folder / "executed"), taken()
    wanted = {name: check for name, (_, check) in bad.items()}
    for name, (data, _) in {**bad, **odd}.items():
        (photos / name).write_bytes(data)
    wanted |= write_no_files(photos)
    (photos / "closed.jpg").write_bytes(coded(PHOTO, "JPEG"))
    (photos / "closed.jpg").chmod(0)
    wanted["closed.jpg"] = "file.unreadable"
    names = sorted({*wanted, *odd})
    (open_folder / "names.json").write_text(json.dumps(names))
    found = probe("folder", open_folder, seconds=20)
    lines = (open_folder / "out" / "quarantine.jsonl").read_text().splitlines()
    listed = {line["source_name"]: line for line in map(json.loads, lines)}
    assert {name: line["check"] for name, line in listed.items()} == wanted
    assert len(wanted) >= 25
    assert all(line["text"] for line in listed.values())
    assert "root:" not in str(listed)
    assert found.said["samples"] == len(odd)
    assert not (open_folder / "executed").exists()
    assert found.peak < 300 * MB, f"{found.peak / MB:.0f} MB"


def test_B65_what_is_no_file_does_not_hold_a_run_up(page: Page) -> None:
    wanted = write_no_files(page.photos)
    page.write({"good.jpg": coded(PHOTO, "JPEG")})
    (page.photos / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"nobody lists it")
    page.labels("good.jpg", *wanted)
    record, _ = page.packed()
    checks = list(wanted.values())
    assert record["quarantined"] == {check: checks.count(check) for check in checks}


def test_B66_a_name_that_is_not_unicode_is_refused(page: Page) -> None:
    folder = page.folder / "classes" / "fish"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(coded(PHOTO, "JPEG"))
    settings = ["sources.labels=[{kind: folders, images: classes, level: coarse}]"]
    refused = page.vocabox("check", *settings)
    assert refused.exit_code == 2
    assert "a name is not Unicode; got 'fish/caf\\udce9.jpg'. Write it in UTF-8." in refused.stderr


@pytest.mark.parametrize("good", [True, False])
def test_B63_to_B66_predict_goes_on(tmp_path: Path, write_golden: bool, good: bool) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    model(tmp_path / "model")
    bad = left_out(tmp_path / "executed")
    for name, (data, _) in bad.items():
        (photos / name).write_bytes(data)
    (photos / "folder.jpg").mkdir()
    os.mkfifo(photos / "pipe.jpg")
    if good:
        picture(photos / "good.jpg")
        (photos / "turned.jpg").write_bytes(turned(6))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        ended = call("predict", "model", "photos", "--json")
        words = call("predict", "model", "photos", "--out", "again.json")
    assert ended.exit_code == words.exit_code == (0 if good else 1)
    said = json.loads(ended.stdout.splitlines()[-1])
    assert said["pictures"] == 2 * good
    listed = {Path(line["picture"]).name for line in said["bad"]}
    assert listed == {*bad, "folder.jpg", "pipe.jpg"}
    assert not (tmp_path / "executed").exists()
    if not good:
        golden = "errors/B66_predict_finds_no_picture.txt"
        same(words.stderr, as_file=golden, folder=tmp_path, write=write_golden)
