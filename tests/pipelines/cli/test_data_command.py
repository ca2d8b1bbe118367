"""`vocabox data`: what it is given, what a sheet shows, how a check ends, in how much memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.data.drawn.world import World, boxed_classes
from tests.pipelines.cli.small import call, own_data
from tests.pipelines.runs.tiny import page

ROOT = Path(__file__).parents[3]
PICTURES = 40_000
MOST = 300 * 2**20 * PICTURES // 118_000  # bytes of own memory; COCO's train2017 may take 300 MB
PROGRAM = """
import sys
from pathlib import Path
import PIL.BmpImagePlugin, PIL.JpegImagePlugin, PIL.PngImagePlugin, PIL.WebPImagePlugin
from components.data import check_sets
from pipelines.cli import data_command, data_given
from pipelines.cli.entry import main
def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
before = memory("VmRSS")
try:
    main(["data", "check", *sys.argv[1:]])
finally:
    print("own", memory("VmHWM") - before, file=sys.stderr)
"""


def _page(folder: Path) -> str:
    own_data(folder / "data")
    (folder / "own.yaml").write_text((ROOT / "configs" / "own_data.yaml").read_text())
    return str(folder / "own.yaml")


def test_a_config_is_checked_with_all_its_sources(tmp_path: Path) -> None:
    result = call("data", "check", _page(tmp_path), "--deep")
    assert result.exit_code == 0, result.output
    for name in ("sources.boxes.0", "sources.labels.0", "sources.test.0", "sources.test.1"):
        assert f"{name}" in result.stdout
    assert result.stdout.endswith("0 errors, 0 left out, 0 warnings, 0 notes.\n")


def test_what_a_config_names_may_be_wrong_and_is_listed_all_the_same(tmp_path: Path) -> None:
    page = _page(tmp_path)
    (tmp_path / "data" / "boxes.json").unlink()
    (tmp_path / "data" / "labels.csv").write_text("image;labels\na.jpg;x\n")
    result = call("data", "check", page, "--json", "--set", "sources.max_bad_fraction=0.5")
    assert result.exit_code == 2
    events = [json.loads(line) for line in result.stdout.splitlines()]
    found = {event["check"] for event in events if event["event"] == "finding"}
    assert {"file.missing", "csv.columns", "label.unknown_class"} == found
    assert [event["event"] for event in events].count("source") == 4
    last = events[-1]
    assert (last["event"], last["status"], last["code"]) == ("finished", "failed", 2)


def test_what_vocabox_draws_is_not_checked() -> None:
    result = call("data", "check", str(ROOT / "configs" / "first_run.yaml"))
    assert result.exit_code == 0
    assert "There is no source of files in it" in result.stdout


def test_classes_that_are_drawn_count_where_files_are_scored(tmp_path: Path) -> None:
    """As for `check`: a drawn source that trains knows its classes, and no others."""
    page = _page(tmp_path)
    drawn = "{kind: drawn, part: train_%s, level: fine}"
    sets = ("draw={seed: 0}", f"sources.boxes=[{drawn % 'scenes'}]",
            f"sources.labels=[{drawn % 'photos'}]", "sources.test.1.source.level=fine")  # fmt: skip
    codes = [call("check", page, *sets).exit_code]
    said = call("data", "check", page, *(f"--set={setting}" for setting in sets))
    assert codes == [said.exit_code] == [2]
    assert "none of its classes is learnt by anything; got 'fine:fish'" in said.stdout
    name = boxed_classes(World())[0].name
    for file in (tmp_path / "data").glob("test_*.json"):
        file.write_text(file.read_text().replace('"fish"', json.dumps(name)))
    assert call("check", page, *sets).exit_code == 0
    said = call("data", "check", page, *(f"--set={setting}" for setting in sets))
    assert said.exit_code == 0, said.output


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("notes.txt --images .", "the kind of labels cannot be told from the name"),
        ("gone.txt --images .", "gone.txt: no such file or folder; got "),
        ("gone.json", "gone.json: no such file or folder; got "),
        ("gone.csv gone.json", "gone.csv: no such file or folder; got "),
        ("boxes.json", "boxes.json: the folder of pictures is not named. Add --images DIR."),
        ("own.yaml boxes.json", "a config names its own files"),
        ("own.yaml --images .", "a config names its own files"),
        ("boxes.json --images . --set box_formt=xyxy", "Did you mean 'box_format'?"),
        ("boxes.json --images . --set box_format=cxcywh", "box_format"),
        ("boxes.json --images . --classes gone.txt", "no list that can be read"),
        ("", "missing argument 'CONFIG_OR_FILES...'"),
        ("gone.yaml", "gone.yaml"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path: Path, line: str, words: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for name in ("boxes.json", "notes.txt"):
            Path(name).write_text("{}")
        result = call("data", "check", *line.split())
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        result = call("data", "check", "boxes.json", "--images", "pictures")
    assert result.exit_code == 2
    assert f"nothing is there; got {tmp_path}/boxes.json. Check the path." in result.stdout
    assert f"nothing is there; got {tmp_path}/pictures. Check the path." in result.stdout


def test_progress_is_said_on_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.cli.data_check.EVERY", 0.0)
    assert "sources.boxes.0: 1 pictures" in call("data", "check", _page(tmp_path)).stderr


def test_many_boxes_are_checked_in_little_memory(tmp_path: Path) -> None:
    """40,000 pictures and 160,000 boxes: a share of the memory that COCO's 118,000 may take."""
    with (tmp_path / "boxes.json").open("w") as file:
        file.write('{"categories": [{"id": 1, "name": "fish"}], "annotations": [')
        file.writelines(
            f'{"," if i else ""}{{"id": {i}, "image_id": {i % PICTURES}, "category_id": 1, '
            f'"bbox": [{i % 50}.5, 2, 3, 4], "iscrowd": 0, "area": 12, "segmentation": '
            f"[[1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5]]}}"
            for i in range(4 * PICTURES)
        )
        file.write('], "images": [')
        file.writelines(
            f'{"," if i else ""}{{"id": {i}, "file_name": "{i:06d}.jpg", "width": 90, "height": 9}}'
            for i in range(PICTURES)
        )
        file.write("]}")
    (tmp_path / "pictures").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "boxes.json"),
         "--images", str(tmp_path / "pictures")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    assert f"error image.missing x {PICTURES:,}" in ran.stdout
    own = int(ran.stderr.split()[-1])
    assert own < MOST, f"{own >> 20} MB"


def _sheet(folder: Path, name: str, *settings: str) -> bytes:
    out = folder / name
    result = call("data", "show", str(page(folder)), *settings, "--count", "2", "--out", str(out))
    assert result.exit_code == 0, result.output
    return out.read_bytes()


def test_a_setting_on_the_line_changes_what_is_shown(tmp_path: Path) -> None:
    same = _sheet(tmp_path, "same.png", "draw.seed=3")  # as on the page
    assert _sheet(tmp_path, "other.png", "draw.seed=4") != same


def test_a_wrong_setting_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = call("data", "show", str(page(tmp_path)), "draw.sead=4", "--out", str(out))
    assert result.exit_code == 2
    assert "Did you mean 'seed'?" in result.stderr
    assert not out.exists()


def test_packed_shards_take_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shards").mkdir()
    Path("shards/record.json").write_text("{}")
    result = call("data", "show", "shards", "draw.seed=4")
    assert result.exit_code == 2
    assert "KEY=VALUE: packed shards have no settings to change; got draw.seed=4." in result.stderr


def test_a_sheet_is_a_picture(tmp_path: Path) -> None:
    config = str(ROOT / "configs" / "first_run.yaml")
    refused = call("data", "show", config, "--out", str(tmp_path / "sheet.txt"))
    assert refused.exit_code == 2
    assert "--out: a sheet is a picture; got" in refused.stderr
