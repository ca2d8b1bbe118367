import io
import json
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from components.data.labelled import Supervision
from components.data.pack_shards import pack
from components.data.shards import Shards
from components.data.sources.label_problems import DataError
from components.vocab.classes import Vocabulary, VocabularyError
from tests.components.data.small_sets import jpeg, known, packed, photos


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    samples = photos(tmp_path / "p", 30)
    packed(tmp_path / "a", samples)
    packed(tmp_path / "b", samples)
    assert _bytes_of(tmp_path / "a") == _bytes_of(tmp_path / "b")


def test_webdataset_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.data.pack_shards.SHARD_SAMPLES", 8)
    samples = [*photos(tmp_path / "p", 20), known(jpeg(tmp_path / "box.jpg"), (1, 2, 30, 20))]
    shards = packed(tmp_path / "out", samples)
    names = [f"{tmp_path}/out/{s['file']}" for s in shards.record["shards"]]
    assert [s["samples"] for s in shards.record["shards"]] == [8, 8, 5]
    theirs = list(webdataset.WebDataset(names, shardshuffle=False, empty_check=False))
    assert len(theirs) == len(shards) == 21
    for row, sample in enumerate(theirs):
        facts, target = json.loads(sample["json"]), shards.target(row)
        assert sample["jpg"] == shards.read(row)
        assert (facts["width"], facts["height"]) == shards.size(row)
        assert facts["boxes"] == target.boxes.tolist()
        assert facts["classes"] == [shards.vocabulary.ids[c] for c in target.labels]
        assert facts["present"] == [shards.vocabulary.ids[c] for c in target.present]


def test_the_record_says_what_is_there(tmp_path: Path) -> None:
    samples = [*photos(tmp_path / "p", 5), known(jpeg(tmp_path / "b.jpg"), (1, 2, 9, 9))]
    record = packed(tmp_path / "out", samples).record
    assert (record["samples"], record["boxes"]) == (6, 1)
    assert record["images_by_supervision"] == {"labelled": 5, "boxed": 1}
    assert record["order"] == {"shuffled": True, "seed": 1}
    assert str(tmp_path) not in json.dumps(record)


def test_packing_mixes_a_set_that_is_sorted(tmp_path: Path) -> None:
    samples = photos(tmp_path / "p", 40)
    names = [s.source_name for s in samples]
    straight = packed(tmp_path / "straight", samples, shuffle=False)
    mixed = packed(tmp_path / "mixed", samples)
    other = packed(tmp_path / "other", samples, seed=2)
    orders = [[s.source_name(r) for r in range(40)] for s in (straight, mixed, other)]
    assert orders[0] == names
    assert sorted(orders[1]) == sorted(names)
    assert orders[1] not in (names, orders[2])


def test_boxes_are_clipped_and_thin_ones_kept(tmp_path: Path) -> None:
    samples = [known(jpeg(tmp_path / "a.jpg"), (-3, 2, 45, 9), (5, 5, 5, 9), (0, 0, 40, 30))]
    target = packed(tmp_path / "out", samples).target(0)
    assert target.boxes.tolist() == [[0, 2, 40, 9], [5, 5, 5, 9], [0, 0, 40, 30]]
    assert target.labels.tolist() == [0, 1, 2]
    assert target.supervision is Supervision.BOXED


@pytest.mark.parametrize("box", [(41, 2, 50, 9), (1, -9, 5, -1), (40, 0, 44, 9)])
def test_a_box_outside_its_picture_is_an_error(tmp_path: Path, box: tuple[float, ...]) -> None:
    samples = [known(jpeg(tmp_path / "a.jpg"), box)]
    with pytest.raises(DataError, match=r"a.jpg: the box lies outside its picture of 40 x 30 px"):
        packed(tmp_path / "out", samples)


def _turned(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(jpeg(path).read_bytes())).save(path, exif=exif)
    return path


def test_boxes_of_turned_pictures_follow_the_size_in_the_label_file(tmp_path: Path) -> None:
    path, box = _turned(tmp_path / "a.jpg"), (2, 3, 10, 7)
    samples = [
        known(path, box, width=40, height=30, source_id="stored"),
        known(path, box, width=30, height=40, source_id="upright"),
        known(path, box, source_id="unsaid"),
    ]
    shards = packed(tmp_path / "out", samples, shuffle=False)
    assert shards.target(0).boxes.tolist() == [[30 - 7, 2, 30 - 3, 10]]
    assert shards.target(1).boxes.tolist() == [[*box]]
    assert shards.target(2).boxes.tolist() == [[*box]]
    assert shards.size(0) == (30, 40)
    assert shards.read(0) == path.read_bytes(), "pictures are stored untouched"


def test_what_cannot_be_used_is_listed(tmp_path: Path) -> None:
    samples = photos(tmp_path / "p", 20)
    samples[3].path.write_bytes(samples[3].path.read_bytes()[:-20])
    samples[5].path.unlink()
    samples[7].path.write_text("<html>")
    samples.append(known(jpeg(tmp_path / "z.jpg"), width=41, height=30))
    shards = packed(tmp_path / "out", samples, max_bad_fraction=0.2)
    lines = [json.loads(s) for s in (tmp_path / "out/quarantine.jsonl").read_text().splitlines()]
    assert {(line["source_name"], line["check"]) for line in lines} == {
        ("3.jpg", "image.truncated"), ("5.jpg", "image.missing"),
        ("7.jpg", "image.undecodable"), ("z.jpg", "image.size"),
    }  # fmt: skip
    assert len(shards) == 17
    assert sum(shards.record["quarantined"].values()) == 4


def test_too_many_bad_pictures_stop_the_run(tmp_path: Path) -> None:
    samples = photos(tmp_path / "p", 20)
    for sample in samples[:3]:
        sample.path.unlink()
    message = r"too many pictures cannot be used; got 3 of 20 \(image.missing 3\).*\n0.jpg: no such"
    with pytest.raises(DataError, match=message):
        packed(tmp_path / "out", samples)


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no picture is left; got 0 listed"):
        packed(tmp_path / "out", [])
    with pytest.raises(DataError, match="no picture is left; got 1 listed and 1 left out"):
        packed(tmp_path / "two", [known(tmp_path / "no.jpg")], max_bad_fraction=1)


def test_a_given_vocabulary_decides_the_numbers(tmp_path: Path) -> None:
    samples = photos(tmp_path / "p", 3)
    given = Vocabulary(ids=("fine:z", "fine:y", "fine:x"), names=("z", "y", "x"))
    shards = packed(tmp_path / "out", samples, vocabulary=given, shuffle=False)
    assert [shards.target(r).present.tolist() for r in range(3)] == [[2], [1], [0]]
    with pytest.raises(VocabularyError, match="got 'fine:x'"):
        packed(tmp_path / "two", samples, vocabulary=Vocabulary.of(["fine:y", "fine:z"]))


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    (tmp_path / "out").mkdir()
    pack(photos(tmp_path / "p", 101), out=tmp_path / "out", vocabulary=None, name="n", seed=0,
         shuffle=False, say=told.append)  # fmt: skip
    assert told == sorted(told)
    assert 100 in told
    assert len(np.unique([Shards.open(tmp_path / "out").size(r) for r in range(101)])) > 2
