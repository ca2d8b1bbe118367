"""Pictures that cannot be used are left out with their reason; odd ones are taken and counted."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from PIL import Image

from components.data.shards import Shards
from tests.bad_inputs.bad_pictures import (
    ORIENTATION,
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


LEFT_OUT = {
    "B63_truncated": ["half.jpg", "half_and_closed.jpg", "half.png", "half.webp"],
    "B64_empty": ["empty.jpg"],
    "B65_page_or_text": ["page.jpg", "text.jpg", "pickle.jpg", "zip.jpg", "program.jpg"],
    "B66_unsupported": ["drawing.svg", "phone.heic", "paper.pdf", "scan.tif", "still.gif"],
    "B67_bombs": ["wide.png", "large.png", "huge.png", "one_bit.png", "lying.jpg",
                  "progressive.jpg", "scans.jpg", "canvas.webp", "lying_a_little.jpg",
                  "nothing_behind_it.png", "text_bomb.png"],
    "B68_animated": ["moving.gif", "moving.png", "moving.webp"],
}  # fmt: skip


TAKEN = {
    "B68_other_colours": "image.mode",
    "B69_turned_by_exif": "image.exif",
    "B70_suffix": "image.suffix",
    "B71_small": "image.small",
}


class Run:
    """All of these pictures and a good one, packed once: first refused, then let through."""

    def __init__(self, folder: Path) -> None:
        page = Page(folder)
        self.flag, self.good = folder / "executed", "good.jpg"
        self.bad, self.odd = left_out(self.flag), taken()
        self.no_files = write_no_files(page.photos)
        page.write({self.good: coded(PHOTO, "JPEG")})
        page.write({name: data for name, (data, _) in {**self.bad, **self.odd}.items()})
        (page.photos / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"nobody lists it")
        names = [name for group in LEFT_OUT.values() for name in group]
        assert sorted(names) == sorted(self.bad)
        page.labels(self.good, *names)
        self.refused = page.vocabox("run")
        page.labels(self.good, *names, *self.no_files, *self.odd)
        self.packed, self.folder = page.packed(), folder

    def same(self, golden: str, names: Collection[str], *, write: bool) -> None:
        """Hold what is said of these pictures against a golden."""
        text = self.packed.words(names)
        same(text, as_file=f"errors/{golden}.txt", folder=self.folder, write=write)

    def left_out(self, golden: str, *, write: bool) -> None:
        """Hold what is said of pictures that are left out against their golden, and checks."""
        self.same(golden, LEFT_OUT[golden], write=write)
        found = {line["source_name"]: line["check"] for line in self.packed.left}
        for name in LEFT_OUT[golden]:
            assert found[name] == self.bad[name][1]

    def taken(self, golden: str, *, write: bool) -> None:
        """Hold what is said of odd pictures that are taken against their golden, and count them."""
        names = [name for name, (_, check) in self.odd.items() if check == TAKEN[golden]]
        self.same(golden, names, write=write)
        assert self.packed.record["noted"][TAKEN[golden]] == len(names)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("pictures"))


def test_B63_to_B71_are_counted_in_the_records_of_set_and_node(run: Run) -> None:
    left = Counter([check for _, check in run.bad.values()]) + Counter(run.no_files.values())
    noted = Counter(check for _, check in run.odd.values())
    assert run.packed.record["quarantined"] == run.packed.notes["quarantined"] == left
    assert run.packed.record["noted"] == run.packed.notes["noted"] == noted
    assert run.packed.record["samples"] == run.packed.notes["units"]["images"] == len(run.odd) + 1
    assert {line["source_name"] for line in run.packed.left} == {*run.bad, *run.no_files}
    assert not run.flag.exists()


def test_B63_to_B71_data_check_names_each(run: Run) -> None:
    table, photos = str(run.folder / "labels.csv"), str(run.folder / "photos")
    found = call("data", "check", table, "--images", photos, "--deep", "--json")
    assert found.exit_code == 2, found.output
    told = [json.loads(line) for line in found.stdout.splitlines()]
    named = {line["where"].partition(", ")[2]: line["check"] for line in told if "where" in line}
    wanted = {name: check for name, (_, check) in {**run.bad, **run.odd}.items()} | run.no_files
    assert {name: named.get(name) for name in wanted} == wanted


def test_B63_to_B68_too_many_stop_a_run(run: Run, write_golden: bool) -> None:
    assert run.refused.exit_code == 2
    said = run.refused.stderr.partition("After mending")[0]
    same(said, as_file="errors/B63_too_many.txt", folder=run.folder, write=write_golden)


def test_B63_truncated(run: Run, write_golden: bool) -> None:
    run.left_out("B63_truncated", write=write_golden)


def test_B64_empty(run: Run, write_golden: bool) -> None:
    run.left_out("B64_empty", write=write_golden)


def test_B65_page_or_text(run: Run, write_golden: bool) -> None:
    run.left_out("B65_page_or_text", write=write_golden)


def test_B66_unsupported(run: Run, write_golden: bool) -> None:
    run.left_out("B66_unsupported", write=write_golden)


def test_B67_bombs(run: Run, write_golden: bool) -> None:
    run.left_out("B67_bombs", write=write_golden)


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


def test_B67_the_largest_pictures_that_are_read_fit_in_512_MB(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.new("RGBA", (8_000, 8_000), (9, 9, 9, 9)).save(tmp_path / "a.png", compress_level=1)
    Image.new("RGB", (8_000, 8_000)).save(tmp_path / "b.jpg", exif=exif)
    for told in probe_each(
        "picture", [tmp_path / "a.png", tmp_path / "b.jpg"], seconds=30
    ).values():
        assert told.said == [8_000, 8_000, 3]
        assert told.peak < 512 * MB, f"{told.peak / MB:.0f} MB"


def test_B68_animated(run: Run, write_golden: bool) -> None:
    run.left_out("B68_animated", write=write_golden)


def test_B68_data_check_says_a_thing_once(tmp_path: Path, write_golden: bool) -> None:
    fish = tmp_path / "photos" / "fish"
    fish.mkdir(parents=True)
    made = left_out(tmp_path / "executed")
    for name in ("moving.png", "text_bomb.png", "page.jpg"):
        (fish / name).write_bytes(made[name][0])
    (fish / "link.jpg").symlink_to("/etc/hostname")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        said = call("data", "check", "photos").stdout
    same(said, as_file="data_check/B68_animated.txt", folder=tmp_path, write=write_golden)


def test_B68_other_colours(run: Run, write_golden: bool) -> None:
    run.taken("B68_other_colours", write=write_golden)


def test_B69_turned_by_exif(run: Run, write_golden: bool) -> None:
    """The picture is upright in the index; its boxes are tested in test_quarantine."""
    run.taken("B69_turned_by_exif", write=write_golden)
    shards = Shards.open(run.packed.place)
    sizes = {shards.source_name(row): shards.size(row) for row in range(len(shards))}
    assert sizes[run.good] == PHOTO.size
    assert {name: size for name, size in sizes.items() if name.startswith("turned")} == {
        f"turned_{tag}.jpg": PHOTO.size if tag < 5 else PHOTO.size[::-1] for tag in range(2, 9)
    }


def test_B70_suffix_says_another_format(run: Run, write_golden: bool) -> None:
    run.taken("B70_suffix", write=write_golden)


def test_B71_one_pixel_and_narrow(run: Run, write_golden: bool) -> None:
    run.taken("B71_small", write=write_golden)


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


@pytest.mark.parametrize(("most", "code"), [("0.33", 2), ("0.34", 0)])
def test_B63_data_check_and_run_leave_out_as_many(tmp_path: Path, most: str, code: int) -> None:
    page = Page(tmp_path)
    page.write({"page.jpg": b"<html>", "good.jpg": coded(PHOTO, "JPEG")})
    page.labels("boxed.png", "good.jpg", "page.jpg")
    setting = f"sources.max_bad_fraction={most}"
    checked = call("data", "check", str(page.folder / "page.yaml"), "--set", setting)
    assert checked.exit_code == code, checked.output
    assert ("sources.labels: too many pictures cannot be used; got 1 of 3" in checked.stdout) == (
        code == 2
    )
    assert page.vocabox("run", setting).exit_code == code


def test_B66_a_name_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    page = Page(tmp_path)
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
