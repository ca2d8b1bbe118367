"""Tables and class folders that are wrong or odd: B55 to B58, B60, and what filters leave, B59."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.data.readers import CsvReader, FoldersReader, pictures_of
from components.data.sources.label_problems import DataError
from tests.bad_inputs.doors import Doors, instances, pictures
from tests.components.data.small_sets import jpeg
from tests.pipelines.cli.small import call
from tests.pipelines.settings.golden import same

ROWS = "image,labels\na.jpg,cat\nb.jpg,dog|-cat\n"


@pytest.fixture
def refused(doors: Doors) -> Callable[..., None]:
    def check(content: str | bytes, golden: str, **settings: Any) -> None:
        reader = CsvReader(level="fine", **settings)
        doors.refused(content, golden=golden, name="labels.csv", reader=reader)

    return check


def _drawn(folder: Path, *names: str) -> None:
    for i, name in enumerate(names):
        jpeg(folder / name, shade=10 + i)


def test_the_table_that_is_spoilt_is_right_before(doors: Doors) -> None:
    _drawn(doors.folder, "a.jpg", "b.jpg")
    doors.file(ROWS, "labels.csv")
    doors.told("labels.csv", "--images", ".", golden="a_table", code=0)


def test_B55_what_is_no_such_table(refused: Callable[..., None]) -> None:
    refused("a.jpg,cat\nb.jpg,dog\n", "B55_no_header")
    refused("image;labels\na.jpg;cat\n", "B55_other_delimiter")
    refused("image\tlabels\na.jpg\tcat\n", "B55_tabs")
    refused("image,labels\na.jpg\nb.jpg,cat,dog\nc.jpg,cat\n", "B55_ragged_rows")
    refused("image,labels,labels\na.jpg,x,y\n", "B55_column_twice")
    refused("\n", "B55_empty_table")
    refused('image,labels\na.jpg,"cat\n', "B55_quote_not_closed")
    refused("image,labels\na.jpg," + "x" * 200_000 + "\n", "B55_long_cell")
    refused(b"image,labels\na.jpg,caf\xe9\n", "B55_not_utf8")
    refused("image,labels\na.jpg,cat\n".encode("utf-16"), "B55_utf16")


def test_B55_a_byte_order_mark_is_passed(doors: Doors) -> None:
    doors.file(ROWS.encode("utf-8-sig"), "labels.csv")
    files = {"table": doors.folder / "labels.csv", "images": doors.folder}
    assert [one.source_name for one in pictures_of(CsvReader(level="fine"), files)] == [
        "a.jpg",
        "b.jpg",
    ]


def test_B56_pictures_that_are_missing_or_named_twice(
    doors: Doors, refused: Callable[..., None]
) -> None:
    _drawn(doors.folder, "a.jpg", "b.jpg")
    refused("image,labels\na.jpg,x\nb.jpg,x\na.jpg,y\n", "B56_the_same_picture_twice")
    refused("image,labels\na.jpg,x\na.jpg,x\n", "B56_the_same_row_twice")
    twice = "image,labels\na.jpg,x\n./a.jpg,y\nsub//c.jpg,x\nsub/./c.jpg,x\n"
    refused(twice, "B56_the_same_picture_under_two_names")
    (doors.folder / "b.jpg").unlink()
    doors.file(ROWS, "labels.csv")
    doors.told("labels.csv", "--images", ".", golden="B56_a_picture_is_missing", code=2)


def test_B41_names_that_lead_elsewhere(refused: Callable[..., None]) -> None:
    refused("image,labels\n../a.jpg,x\n/b.jpg,x\n,x\n", "B41_table_names_places_outside")


def test_B50_present_and_absent_is_unknown_and_listed(doors: Doors) -> None:
    _drawn(doors.folder, "a.jpg")
    doors.file("image,labels\na.jpg,x|-x|y\n", "labels.csv")
    doors.told("labels.csv", "--images", ".", golden="B50_present_and_absent", code=0)


def test_B57_what_lies_in_class_folders(doors: Doors) -> None:
    root = doors.folder / "photos"
    _drawn(root, "cat/a.jpg", "cat/b.jpg", "dog/c.jpg", "lost.jpg", "dog/more/d.jpg")
    (root / "emu").mkdir()
    litter = ("cat/.hidden.jpg", "cat/.DS_Store", "dog/Thumbs.db", ".git", "notes.md")
    for name in (*litter, "dog/notes.txt"):
        (root / name).write_text("x")
    doors.told("photos", golden="B57_class_folders", code=0)
    got = [one.source_name for one in pictures_of(FoldersReader(level="fine"), {"images": root})]
    assert got == ["cat/a.jpg", "cat/b.jpg", "dog/c.jpg"]


def test_B57_folders_without_any_picture(doors: Doors) -> None:
    root = doors.folder / "photos"
    root.mkdir()
    doors.told("photos", golden="B57_no_class_folder", code=2)
    (root / "emu").mkdir()
    doors.told("photos", golden="B57_only_empty_folders", code=2)
    with pytest.raises(DataError, match="no picture is left; got 1 empty class folders"):
        pictures_of(FoldersReader(level="fine"), {"images": root})


def test_B57_links_that_lead_out_of_the_class_folders(doors: Doors, write_golden: bool) -> None:
    root, private = doors.folder / "photos", doors.folder / "private"
    _drawn(doors.folder, "photos/cat/a.jpg", "private/secret_1.jpg")
    (private / "secret_2.txt").write_text("x")
    for link in ("linked", "cat/more", "cat/notes.txt"):
        (root / link).symlink_to(private / "secret_2.txt" if "notes" in link else private)
    (root / "puma").symlink_to("cat")  # stays in the folder of images
    said = doors.told("photos", golden="B57_links_that_lead_out", code=2)
    assert "secret" not in said
    with pytest.raises(DataError) as caught:
        pictures_of(FoldersReader(level="fine"), {"images": root})
    golden = "errors/B57_links_that_lead_out.txt"
    same(str(caught.value), as_file=golden, folder=doors.folder, write=write_golden)
    (root / "linked").unlink()
    got = [one.source_name for one in pictures_of(FoldersReader(level="fine"), {"images": root})]
    assert got == ["cat/a.jpg", "puma/a.jpg"]


def test_B58_labels_in_no_list_of_classes(doors: Doors) -> None:
    pictures(doors.folder)
    _drawn(doors.folder, "a.jpg", "b.jpg", "photos/gecko/a.jpg", "photos/gekco/b.jpg")
    doors.file("gecko\ncat\nbird: small\n", "classes.txt")
    doors.file("image,labels\na.jpg,gekco|cat\nb.jpg,xylophone|gekco\n", "labels.csv")
    doors.file(instances(), "boxes.json")
    line = ("labels.csv", "boxes.json", "--images", ".", "--classes", "classes.txt")
    doors.told(*line, golden="B58_label_in_no_list", code=2)
    doors.told("photos", "--classes", "classes.txt", golden="B58_folder_in_no_list", code=2)


def test_B62_wnid_in_no_list(doors: Doors) -> None:
    """A folder of ImageNet is named by its wnid, which is the class's name here."""
    _drawn(doors.folder, "photos/n01440764/a.jpg", "photos/n01443538/b.jpg")
    doors.file("n01440764\nn01443537\n", "wnids.txt")
    doors.told("photos", "--classes", "wnids.txt", golden="B62_wnid_in_no_list", code=2)


def test_B58_scored_classes_that_no_source_for_training_knows(
    doors: Doors, write_golden: bool
) -> None:
    doors.page(table="image,labels\nb.jpg,bird: small|-fisch\n")
    doors.told("own.yaml", golden="B58_scored_class_unknown", code=2)
    said = [doors.early(command, code=2) for command in ("check", "run")]
    assert said[0] == said[1]
    golden = "errors/B58_scored_class_unknown.txt"
    same(said[0], as_file=golden, folder=doors.folder, write=write_golden)


def test_B58_a_test_read_as_another_level_is_one_error(doors: Doors, write_golden: bool) -> None:
    doors.page(table="image,labels\nb.jpg,carp|pike\n")
    doors.told("own.yaml", golden="B58_no_scored_class_known", code=2)
    golden = "errors/B58_no_scored_class_known.txt"
    said = doors.early("check", code=2)
    same(said, as_file=golden, folder=doors.folder, write=write_golden)


def test_B60_class_without_a_sample_in_train(doors: Doors, write_golden: bool) -> None:
    doors.page(table="image,labels\nb.jpg,bird: small|-fish\n")
    doors.told("own.yaml", golden="B60_class_without_a_sample", code=0)
    golden = "errors/B60_class_without_a_sample.txt"
    said = doors.early("check", code=0)
    same(said, as_file=golden, folder=doors.folder, write=write_golden)


def test_B59_a_table_that_is_empty_after_filters(doors: Doors, write_golden: bool) -> None:
    rows = "image,labels,split,size\n" + "".join(
        f"{i}.jpg,x,{'train' if i < 7 else 'val'},{'small' if i % 2 else 'large'}\n"
        for i in range(10)
    )
    files = {"table": doors.file(rows, "labels.csv"), "images": doors.folder}
    reader = CsvReader(level="fine", where={"split": ("val",), "size": ("tiny",)})
    with pytest.raises(DataError) as caught:
        pictures_of(reader, files)
    place = "errors/B59_empty_after_filters.txt"
    same(str(caught.value), as_file=place, folder=doors.folder, write=write_golden)


def test_B59_data_check_counts_what_filters_took(doors: Doors) -> None:
    doors.file("image,labels,split\n1.jpg,x,train\n2.jpg,x,val\n", "labels.csv")
    settings = ("--set", "where.split=[test]", "--set", "columns.split=split")
    doors.told("labels.csv", "--images", ".", *settings, golden="B59_empty_after_filters", code=2)


def test_programs_read_every_finding_and_a_last_line(tmp_path: Path, write_golden: bool) -> None:
    pictures(tmp_path)
    found = instances()
    found["annotations"] += [
        {"id": i, "image_id": 0, "category_id": 1, "bbox": [i, 2, 0, 9]} for i in range(20, 28)
    ]
    Doors(tmp_path, write=False).file(found, "boxes.json")
    result = call(
        "data", "check", str(tmp_path / "boxes.json"), "--images", str(tmp_path), "--json"
    )
    assert result.exit_code == 0
    place = "data_check/as_json.txt"
    same(result.stdout, as_file=place, folder=tmp_path, write=write_golden)
