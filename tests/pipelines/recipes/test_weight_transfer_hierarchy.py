"""A page's hierarchy is read whole before anything runs: what is wrong with it is a problem."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.drawn.world import boxed_classes
from pipelines.runs.loading import load
from pipelines.settings.problems import SettingsError
from tests.components.data.sources.small_wordnet import data_noun
from tests.pipelines.cli.test_entry import ASK, ROOT
from tests.pipelines.recipes.tiny_transfer import page

KINDS = {"edges": "table", "openimages": "tree", "wordnet": "folder"}


def asked(kind: str, name: str) -> tuple[str, ...]:
    return (f"hierarchy.kind={kind}", f"hierarchy.{KINDS[kind]}={name}")


def told(folder: Path, kind: str, name: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(page(folder), asked(kind, name))
    return [str(problem) for problem in caught.value.problems]


def table(folder: Path, *edges: str) -> str:
    (folder / "edges.csv").write_text("\n".join(["child,parent", *edges, ""]))
    return "edges.csv"


def boxed(folder: Path) -> list[str]:
    """Return the classes that the page draws boxes of."""
    return [f"fine:{kind.name}" for kind in boxed_classes(load(page(folder)).cfg.draw)]


def test_a_hierarchy_of_none_of_the_boxed_classes(tmp_path: Path) -> None:
    (said,) = told(tmp_path, "edges", table(tmp_path, "no such,class"))
    classes = len(boxed(tmp_path))
    assert said.startswith(f"hierarchy: none of the {classes} classes is in it; got 'fine:"), said


def test_a_hierarchy_of_the_boxed_classes_is_fine(tmp_path: Path) -> None:
    child, parent = boxed(tmp_path)[:2]
    load(page(tmp_path), asked("edges", table(tmp_path, f"{child},{parent}")))


def test_every_wrong_row_is_a_problem_of_the_table(tmp_path: Path) -> None:
    said = told(tmp_path, "edges", table(tmp_path, "dog,dog", "cat,animal", "cat,animal", ",x"))
    assert said == [
        "hierarchy.table, edges.csv, line 2: a class is its own parent; got 'dog'. Remove the row.",
        "hierarchy.table, edges.csv, line 4: the edge stands on line 3 too; got 'cat' under "
        "'animal'. Remove one.",
        "hierarchy.table, edges.csv, line 5: no child; got 'x'. Name the class, or remove the row.",
    ]


def test_a_cycle_an_empty_file_and_a_folder(tmp_path: Path) -> None:
    (said,) = told(tmp_path, "edges", table(tmp_path, "a,b", "b,a"))
    assert said.startswith("hierarchy.table, edges.csv: ")
    (tmp_path / "empty.csv").touch()
    (said,) = told(tmp_path, "edges", "empty.csv")
    assert said.startswith("hierarchy.table: the file is empty; got ")
    (tmp_path / "folder").mkdir()
    (said,) = told(tmp_path, "edges", "folder")
    assert said.startswith("hierarchy.table: expected a file; got a folder")


def test_files_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "tree.json").write_text('{"LabelName": "a"')
    (tmp_path / "data.noun").write_bytes(data_noun(version="3.1")[0])
    wrong = [("edges", "cut.parquet"), ("openimages", "tree.json"), ("wordnet", "data.noun")]
    for kind, name in wrong:
        (said,) = told(tmp_path, kind, name)
        assert said.startswith(f"hierarchy.{KINDS[kind]}, "), said
        assert f"{name}: " in said
        assert "; got " in said


def test_a_locked_zip_of_wordnet_is_told_before_anything_trains(tmp_path: Path) -> None:
    place = tmp_path / "wordnet.zip"
    with zipfile.ZipFile(place, "w") as packed:
        packed.writestr("wordnet/data.noun", data_noun()[0])
    raw = bytearray(place.read_bytes())
    raw[6] = raw[raw.index(b"PK\x01\x02") + 8] = 1
    place.write_bytes(raw)
    (said,) = told(tmp_path, "wordnet", "wordnet.zip")
    assert said.startswith("hierarchy.folder, wordnet.zip: no wordnet/data.noun that can be read")


@pytest.mark.parametrize("parquet", [False, True])
def test_looking_at_a_hierarchy_imports_no_torch(tmp_path: Path, parquet: bool) -> None:
    child, parent = boxed(tmp_path)[:2]
    name = table(tmp_path, f"{child},{parent}")
    if parquet:
        name = "edges.parquet"
        pq.write_table(pa.table({"child": [child], "parent": [parent]}), tmp_path / name)
    line = ["check", str(page(tmp_path)), *asked("edges", name)]
    code = ASK.format(heavy=("torch", "ray", "mlflow"))
    done = subprocess.run(
        [sys.executable, "-c", code, *line], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr.strip().partition(" ")[2] == "[]"
