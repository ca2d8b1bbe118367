"""What is known of rows before anything is trained."""

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
from components.train.rows_header import RowsHeader, packaged_header
from components.train.source_file import header_of, imagenet_classes, open_source
from components.vocab.classes import Vocabulary

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
    assert (said.width, said.feature, said.layers) == (1280, "trunk", True)
    assert said.classes == imagenet_classes()


def same(place: Path, *, classes: Path | None = None) -> RowsHeader:
    """Return what is said of rows that were read."""
    opened = open_source(place, classes=classes)
    said = header_of(opened)
    assert said.width == opened.weights.weight.shape[1]
    assert said.classes == opened.weights.vocabulary
    return said


def test_files_folders_and_tables(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file, listed = tmp_path / "r.safetensors", tmp_path / "classes.txt"
    save_file(resnet18(weights=None, num_classes=3).state_dict(), file)
    listed.write_text("\n".join(IDS))
    convert_file(file, classes=listed, out=tmp_path / "made", network="resnet18")
    for place, ids in ((tmp_path / "made", None), (file, listed)):
        said = same(place, classes=ids)
        assert (said.width, said.feature, said.layers) == (512, "trunk", False)
    above = {"fc.weight": torch.randn(3, 4), "conv_head.weight": torch.randn(4, 2, 1, 1)}
    save_file(above, file)
    assert same(file, classes=listed).layers
    labelled = Vocabulary.of(["fine:a", "fine:b"])
    detector = build(Small(), boxed=NONE, labelled=labelled)
    torch.nn.init.normal_(detector.scores.labelled.weight)
    record = Record(backbone=Small(), boxed=NONE, labelled=labelled, size=64, parts=ALL_PARTS)
    (tmp_path / "model").mkdir()
    save_model(tmp_path / "model", detector, record)
    assert same(tmp_path / "model").feature == "head"
    table = pa.table({"id": IDS, "vector": [[1.0, 2.0], [3.0, 5.0], [7.0, 4.0]]})
    pq.write_table(table, tmp_path / "t.parquet")
    said = same(tmp_path / "t.parquet")
    assert (said.width, said.feature, said.layers) == (2, None, False)
