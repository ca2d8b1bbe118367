import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.data.readers import Coco, Csv, Folders, look_over
from components.data.sources.label_problems import DataError
from tests.components.data.small_sets import jpeg

EMPTY = {"images": [], "annotations": [], "categories": []}


def test_checking_files_needs_no_torch() -> None:
    program = (
        "import sys; from pathlib import Path; from components.data.readers import *; "
        "look_over(Coco(annotations='pyproject.toml', images='tests', level='a'), Path()); "
        "look_over(Folders(images='tests', level='a'), Path()); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'PIL', 'pyarrow')))"
    )
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


def test_all_files_are_looked_at_before_any_is_read(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("")
    source = Coco(annotations="b.json", images="no", level="coarse")
    empty, missing = look_over(source, tmp_path).problems
    assert empty.startswith(f"annotations: the file is empty; got {tmp_path}/b.json")
    assert missing.startswith(f"images: nothing is there; got {tmp_path}/no")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_names_that_are_no_paths(tmp_path: Path, name: str) -> None:
    (problem,) = look_over(Folders(images=name, level="fine"), tmp_path).problems
    assert problem.startswith("images: n")


def test_a_file_where_a_folder_is_due_and_the_reverse(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,labels\n")
    first, second = look_over(Csv(table=".", images="t.csv", level="fine"), tmp_path).problems
    assert first.startswith("table: expected a file; got a folder")
    assert second.startswith("images: expected a folder; got a file")


def test_the_wrong_folder_is_seen_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,labels\na.jpg,x\nb.jpg,y\n")
    source = Csv(table="t.csv", images=".", level="fine")
    (problem,) = look_over(source, tmp_path).problems
    assert problem.startswith("images: none of the 2 listed pictures is there; got folder")
    jpeg(tmp_path / "b.jpg")
    assert look_over(source, tmp_path).problems == []


def test_label_problems_come_back_as_lines(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps(EMPTY))
    (problem,) = look_over(
        Coco(annotations="b.json", images=".", level="coarse"), tmp_path
    ).problems
    assert problem.startswith("b.json: no picture in it")


def test_problems_cross_a_process_boundary() -> None:
    error = copy.copy(DataError(["a", "b"]))
    assert error.problems == ("a", "b")


def test_a_reader_knows_no_places() -> None:
    source = Csv(table="t.csv", images="p", level="fine", separator=";", where={"split": ("a",)})
    assert source.files == {"table": "t.csv", "images": "p"}
    assert (source.reader.separator, source.reader.where) == (";", {"split": ("a",)})
