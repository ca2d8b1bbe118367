import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from components.data.drawn.files import draw, picture_path
from components.data.drawn.kinds import class_table
from components.data.drawn.pictures import photo, photo_classes, scene, truth
from components.data.drawn.world import PARTS, World, boxed_classes

ROOT = Path(__file__).parents[4]
TINY = World(
    kinds=2,
    photos_per_class=4,
    train_scenes=70,
    tune_scenes=5,
    test_scenes=6,
    test_photos_per_class=2,
    unlabelled=3,
    photo_size=48,
    scene_size=64,
    novel_in_scenes=0.5,
)
COUNTS = {
    "train_scenes": 70,
    "tune_scenes": 5,
    "test_scenes": 6,
    "test_photos": 48,
    "unlabelled": 3,
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("drawn")
    draw(TINY, out=out, processes=1, say=lambda _done, _total: None)
    return out


def digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("part", COUNTS)
def test_pycocotools_reads_every_part_with_boxes(drawn, part, capsys):
    files = PARTS[part].files
    coco = COCO(drawn / files["annotations"])
    assert len(coco.imgs) == COUNTS[part]
    for image in coco.imgs.values():
        with Image.open(drawn / files["images"] / image["file_name"]) as opened:
            assert opened.size == (image["width"], image["height"])
            assert opened.mode == "RGB"
        for note in coco.imgToAnns[image["id"]]:
            x, y, w, h = note["bbox"]
            assert 0 <= x < x + w <= image["width"]
            assert 0 <= y < y + h <= image["height"]
            assert note["area"] == w * h
            assert note["category_id"] in coco.cats
    assert bool(coco.anns) == (part != "unlabelled")


def test_boxes_on_disk_are_those_of_the_pictures(drawn, capsys):
    coco = COCO(drawn / "train_scenes/annotations.json")
    names = {i: c["name"] for i, c in coco.cats.items()}
    for index in (0, 1, 69):
        things = scene(TINY, part="train_scenes", index=index).things
        told = truth(TINY, part="train_scenes", things=things)
        expected = [(t.fine.name, t.box) for t in told]
        notes = coco.imgToAnns[index + 1]
        got = [(names[n["category_id"]], n["bbox"]) for n in notes]
        assert [(n, (x, y, x + w, y + h)) for n, (x, y, w, h) in got] == expected


def test_categories_are_fine_classes_under_their_kinds(drawn):
    for part, listed in (
        ("train_scenes", boxed_classes(TINY)),
        ("test_scenes", class_table(2)),
        ("test_photos", class_table(2)),
        ("tune_scenes", class_table(2)),
    ):
        rows = json.loads((drawn / PARTS[part].files["annotations"]).read_text())["categories"]
        assert [(r["name"], r["supercategory"]) for r in rows] == [(f.name, f.kind) for f in listed]
        assert all(class_table(2)[r["id"] - 1].name == r["name"] for r in rows)


def test_a_test_photo_has_one_true_box(drawn, capsys):
    coco = COCO(drawn / "test_photos/annotations.json")
    classes = photo_classes(TINY, "test_photos")
    for number, notes in coco.imgToAnns.items():
        (note,) = notes
        assert coco.cats[note["category_id"]]["name"] == classes[number - 1].name


def test_photos_lie_in_the_folder_of_their_class(drawn):
    folders = sorted(p.name for p in (drawn / "train_photos").iterdir())
    assert folders == sorted(fine.name for fine in class_table(2))
    for folder in folders:
        assert len(list((drawn / "train_photos" / folder).glob("*.jpg"))) == 4


def test_the_table_of_labels_tells_what_the_folders_tell(drawn):
    with (drawn / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 96
    for row in rows:
        assert Path(row["image"]).parent.name == row["labels"]
        assert row["split"] == "train"
        assert (drawn / PARTS["train_labels"].files["images"] / row["image"]).is_file()


def test_the_table_of_classes_says_which_are_boxed(drawn):
    with (drawn / "classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["class"] for r in rows] == [fine.name for fine in class_table(2)]
    assert {r["class"] for r in rows if r["boxed"] == "yes"} == {
        fine.name for fine in boxed_classes(TINY)
    }


def test_files_hold_the_pictures_up_to_jpeg(drawn):
    for part, painter, index in (("train_photos", photo, 17), ("test_scenes", scene, 3)):
        with Image.open(drawn / picture_path(TINY, part=part, index=index)) as opened:
            got = np.asarray(opened).astype(int)
        assert np.abs(got - painter(TINY, part=part, index=index).pixels).mean() < 4


def test_two_processes_write_the_same_bytes_and_say_how_far_they_are(drawn, tmp_path):
    said = []
    draw(TINY, out=tmp_path, processes=2, say=lambda done, total: said.append((done, total)))
    assert digest(tmp_path) == digest(drawn)
    assert said[0] == (0, 228)
    assert said[-1] == (228, 228)
    assert said == sorted(said)
    assert len(said) > 3


def test_an_error_of_a_process_reaches_the_caller(tmp_path):
    (tmp_path / "train_scenes").mkdir()
    (tmp_path / "train_scenes/images").mkdir()
    (tmp_path / "train_scenes/images/000003.jpg").mkdir()  # a folder where a picture goes
    with pytest.raises(IsADirectoryError):
        draw(TINY, out=tmp_path, processes=2, say=lambda _done, _total: None)


def test_a_killed_caller_leaves_no_process_behind(tmp_path):
    script = tmp_path / "big.py"
    script.write_text(
        "import multiprocessing, pathlib\n"
        "from components.data.drawn.files import draw\n"
        "from components.data.drawn.world import World\n"
        "def say(done, total):\n"
        "    if done:\n"
        "        print(*(c.pid for c in multiprocessing.active_children()), flush=True)\n"
        "if __name__ == '__main__':\n"
        f"    draw(World(), out=pathlib.Path({str(tmp_path)!r}), processes=2, say=say)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    ) as caller:
        assert caller.stdout is not None
        pids = [int(word) for word in caller.stdout.readline().split()]
        caller.send_signal(signal.SIGKILL)
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
