import os
from pathlib import Path

import pytest

from components.data.labelled import Labelled
from components.data.readers import FoldersReader, pictures_of
from components.data.sources.label_problems import DataError
from tests.components.data.small_sets import jpeg


def read(root: Path) -> list[Labelled]:
    return list(pictures_of(FoldersReader(level="fine"), {"images": root}))


def test_a_folder_is_a_class_in_natural_order(tmp_path: Path) -> None:
    for name in ("2/10.jpg", "2/9.JPG", "10/a.jpg", "²/01.png", "²/1.png"):
        jpeg(tmp_path / name)
    (tmp_path / "2/.hidden.jpg").write_text("x")
    (tmp_path / "2/Thumbs.db").write_text("x")
    (tmp_path / ".git").mkdir()
    found = read(tmp_path)
    assert [x.source_name for x in found] == [
        "2/9.JPG", "2/10.jpg", "10/a.jpg", "²/01.png", "²/1.png",
    ]  # fmt: skip
    assert found[0].present == ("fine:2",)
    assert found[0].boxes.shape == (0, 4)


def test_links_are_followed_and_lost_ones_are_listed(tmp_path: Path) -> None:
    jpeg(tmp_path / "elsewhere" / "a.jpg")
    root = tmp_path / "photos"
    (root / "fish").mkdir(parents=True)
    (root / "fish" / "a.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    (root / "fish" / "b.jpg").symlink_to(tmp_path / "gone.jpg")
    assert [x.source_name for x in read(root)] == ["fish/a.jpg", "fish/b.jpg"]


def test_pictures_without_class_folders(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="expected one folder a class; got no folder in it"):
        read(tmp_path)


def test_empty_class_folders_are_listed_unless_all_are(tmp_path: Path) -> None:
    (tmp_path / "bird").mkdir()
    with pytest.raises(DataError, match="no picture is left; got 1 empty class folders"):
        read(tmp_path)
    jpeg(tmp_path / "fish" / "a.jpg")
    assert [x.source_name for x in read(tmp_path)] == ["fish/a.jpg"]


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    Path(os.fsdecode(folder), "a.jpg").write_text("x")
    with pytest.raises(DataError, match="a name is not Unicode"):
        read(tmp_path)
