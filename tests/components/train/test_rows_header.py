"""What is known of rows before they are read is what reading them finds."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from components.models.choices import NETWORKS, Small, trunk_width
from components.models.two_stage import build
from components.train.checkpoint import ALL_PARTS, Record, save_model
from components.train.convert_file import convert_file
from components.train.rows_header import RowsHeader, packaged_header, rows_header
from components.train.source_file import imagenet_classes, open_source
from components.train.weights_file import WeightsError
from components.vocab.classes import Vocabulary, VocabularyError

IDS = ["bird:n1", "bird:n2", "kite"]
NONE = Vocabulary(ids=(), names=())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_width_is_that_of_the_feature(name: str) -> None:
    detector = build(NETWORKS[name], boxed=NONE, labelled=NONE)
    width = trunk_width(NETWORKS[name])
    assert width == (detector.add_trunk_feature().width if width else None)
    assert bool(width) == (detector.row.trunk_feature is not None)


def test_a_packaged_classifier() -> None:
    said = packaged_header("efficientnet-lite0")
    assert (said.rows, said.width, said.feature) == (1000, 1280, "trunk")
    assert said.classes == imagenet_classes()


def same(place: Path, *, classes: Path | None = None) -> RowsHeader:
    """Return what is said of rows, after it was compared with the rows themselves."""
    said, opened = rows_header(place, classes=classes), open_source(place, classes=classes)
    weights = opened.weights
    assert [said.rows, said.width] == list(weights.weight.shape)
    assert said.feature == opened.feature
    assert said.classes is not None
    assert sorted(said.classes.ids) == sorted(weights.vocabulary.ids)
    return said


def test_files_and_folders(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file, listed = tmp_path / "r.safetensors", tmp_path / "classes.txt"
    save_file(resnet18(weights=None, num_classes=3).state_dict(), file)
    listed.write_text("\n".join(IDS))
    convert_file(file, classes=listed, out=tmp_path / "made", network="resnet18")
    assert same(tmp_path / "made").names_classes
    assert not same(file, classes=listed).names_classes
    labelled = Vocabulary.of(["fine:a", "fine:b"])
    detector = build(Small(), boxed=NONE, labelled=labelled)
    torch.nn.init.normal_(detector.scores.labelled.weight)
    record = Record(backbone=Small(), boxed=NONE, labelled=labelled, size=64, parts=ALL_PARTS)
    (tmp_path / "model").mkdir()
    save_model(tmp_path / "model", detector, record)
    assert same(tmp_path / "model").feature == "head"


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float16(), 2)])
def test_tables(tmp_path: Path, kind: pa.DataType) -> None:
    vectors = pa.array([[1, 2], [3, 5], [7, 4]], pa.list_(pa.float32())).cast(kind)
    table = pa.table({"id": IDS, "vector": vectors, "name": ["a", None, ""]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    said = same(tmp_path / "t.parquet")
    assert said.classes == open_source(tmp_path / "t.parquet").weights.vocabulary


def test_what_is_not_told_is_left_open_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    for content in (b"id", b"PAR1 and no more", b""):
        (tmp_path / "t.parquet").write_bytes(content)
        with pytest.raises(WeightsError, match=r"t\.parquet: not a readable Parquet file; got"):
            rows_header(tmp_path / "t.parquet", classes=None)
    bad = pa.array([b"\xff"]).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"id": bad, "vector": [[1.0]]}), tmp_path / "v.parquet")
    assert rows_header(tmp_path / "v.parquet", classes=None) == RowsHeader(feature=None)
    pq.write_table(pa.table({"id": ["a", "a"], "vector": [[1.0], [1, 2]]}), tmp_path / "u.parquet")
    assert rows_header(tmp_path / "u.parquet", classes=None) == RowsHeader(rows=2, feature=None)
    assert rows_header(tmp_path, classes=None) == RowsHeader()
    file = tmp_path / "r.safetensors"
    save_file({"conv.weight": torch.ones(3, 2)}, file)
    assert rows_header(file, classes=None) == RowsHeader(names_classes=False)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(VocabularyError, match="no class"):
        rows_header(file, classes=tmp_path / "empty.txt")
    file.write_bytes(b"torn")
    with pytest.raises(WeightsError, match="not a readable"):
        rows_header(file, classes=None)
