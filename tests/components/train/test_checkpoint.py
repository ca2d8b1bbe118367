import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from components.models.choices import Resnet, Small
from components.models.two_stage import build
from components.train.checkpoint import (
    ALL_PARTS,
    POOLED_PARTS,
    STAGE1_PARTS,
    ModelError,
    Record,
    continue_from,
    load_model,
    read_tensors,
    save_model,
)
from components.train.tensors import fit_tensors
from components.train.weights_file import DamagedError, WeightsError
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import batch

BOXED = Vocabulary.of(["fine:b", "fine:c"])
LABELLED = Vocabulary.of(["coarse:x", "fine:a", "fine:b"])


def _saved(folder: Path, *, parts=ALL_PARTS, labelled=LABELLED, dtype="float32", seed=3):
    folder.mkdir()
    detector = build(Small(), boxed=BOXED, labelled=labelled, seed=seed)
    detector.to(getattr(torch, dtype))
    record = Record(
        backbone=Small(), boxed=BOXED, labelled=labelled, size=96, parts=parts, dtype=dtype,
        training={"steps": 7},
    )  # fmt: skip
    save_model(folder, detector, record)
    return detector, record


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loaded_model_is_the_one_saved(tmp_path: Path, dtype: str) -> None:
    detector, record = _saved(tmp_path / "a", dtype=dtype)
    loaded, found = load_model(tmp_path / "a")
    assert found == record
    assert not loaded.training
    scenes = batch([0, 1], size=64, objects=2)
    for a, b in zip(detector.regions(scenes), loaded.regions(scenes), strict=True):
        assert torch.equal(a.boxes, b.boxes)
        assert torch.equal(a.labelled, b.labelled)
    assert Vocabulary.read(tmp_path / "a" / "vocabulary.json").ids == (
        "fine:b", "fine:c", "coarse:x", "fine:a",
    )  # fmt: skip


def test_equal_weights_give_equal_bytes_and_hold_no_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _saved(tmp_path / name)
    for file in sorted((tmp_path / "a").iterdir()):
        data = file.read_bytes()
        assert data == (tmp_path / "b" / file.name).read_bytes()
        assert str(tmp_path).encode() not in data
    assert len(list((tmp_path / "a").iterdir())) == 3


def test_what_is_missing_changed_or_newer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model.safetensors; got a folder that is no model"):
        load_model(tmp_path)
    _saved(tmp_path / "a")
    weights = tmp_path / "a" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(DamagedError, match="changed since it was written; got sha256"):
        load_model(tmp_path / "a")
    _saved(tmp_path / "b")
    record = tmp_path / "b" / "model.json"
    record.write_text(record.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ModelError, match="version 1 is read here; got 2"):
        load_model(tmp_path / "b")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 1}', '{"version": 1, "digests": 3}'])
def test_a_record_that_cannot_be_used_is_damage(tmp_path: Path, text: str) -> None:
    _saved(tmp_path / "a")
    (tmp_path / "a" / "model.json").write_text(text)
    with pytest.raises(DamagedError, match=r"model\.json: changed since it was written; got "):
        load_model(tmp_path / "a")


def test_weights_of_another_network_are_refused_with_ten_differences(tmp_path: Path) -> None:
    _saved(tmp_path / "a")
    record = tmp_path / "a" / "model.json"
    body = json.loads(record.read_text())
    body["backbone"] = {"kind": "resnet", "depth": 18, "weights": "none", "frozen_stages": 2}
    record.write_text(json.dumps(body))
    with pytest.raises(WeightsError, match=r"got \d+ missing: .* and \d+ more; \d+ unexp") as e:
        load_model(tmp_path / "a")
    missing, unexpected = str(e.value).split("got ")[1].split("; ")[:2]
    assert missing.count(", ") == unexpected.count(", ") == 9


def test_each_kind_of_difference_is_named() -> None:
    layer = torch.nn.Linear(2, 3)
    before = layer.weight.clone()
    tensors = {"weight": torch.zeros(3, 3), "extra": torch.zeros(1), "head.w": torch.zeros(1)}
    with pytest.raises(WeightsError) as e:
        fit_tensors(layer, tensors, where="x.safetensors", left_out=("head.",))
    assert str(e.value) == (
        "x.safetensors: the tensors do not fit the network; got 1 missing: bias; "
        "1 unexpected: extra; 1 of another shape: weight [3, 3] for [3, 2]. "
        "Use the backbone they were made for."
    )
    assert torch.equal(before, layer.weight)  # nothing was loaded


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    for name, data in (("b", b""), ("c", b"[" * 400), ("d", b"<!DOCTYPE html>" * 9)):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=r"not a readable \.safetensors file"):
            read_tensors(path)
    with pytest.raises(WeightsError, match=r"gone.safetensors: cannot be read; got No such file"):
        read_tensors(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("parts", [STAGE1_PARTS, POOLED_PARTS, ALL_PARTS])
def test_only_the_trained_parts_move_on(tmp_path: Path, parts: tuple[str, ...]) -> None:
    start, _ = _saved(tmp_path / "a", parts=parts)
    fresh = build(Small(), boxed=BOXED, labelled=LABELLED, seed=9)
    before = {k: v.clone() for k, v in fresh.state_dict().items()}
    assert continue_from(fresh, tmp_path / "a", backbone=Small()) == parts
    old = start.state_dict()
    for name, tensor in fresh.state_dict().items():
        part = name.split(".")[1] if name.startswith("scores.") else name.split(".")[0]
        assert torch.equal(tensor, (old if part in parts else before)[name]), name


def test_classes_move_on_by_id(tmp_path: Path) -> None:
    start, _ = _saved(tmp_path / "a", parts=STAGE1_PARTS)
    wanted = Vocabulary.of(["fine:b", "fine:new", "coarse:x"])
    fresh = build(Small(), boxed=BOXED, labelled=wanted, seed=9)
    before = fresh.scores.labelled.weight.clone()
    continue_from(fresh, tmp_path / "a", backbone=Small())
    for i, name in enumerate(wanted.ids):
        row = fresh.scores.labelled.weight[i]
        if name in LABELLED.ids:
            assert torch.equal(row, start.scores.labelled.weight[LABELLED.index(name)])
        else:
            assert torch.equal(row, before[i])


def test_another_backbone_cannot_be_gone_on_from(tmp_path: Path) -> None:
    _saved(tmp_path / "a")
    other = build(Resnet(), boxed=BOXED, labelled=LABELLED)
    with pytest.raises(ModelError, match="another backbone"):
        continue_from(other, tmp_path / "a", backbone=Resnet())


def test_a_file_may_hold_more_than_a_trunk_takes(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 1)
    save_file(
        {"weight": torch.ones(1, 2), "bias": torch.zeros(1), "fc.w": torch.zeros(9)}, tmp_path / "t"
    )
    fit_tensors(layer, read_tensors(tmp_path / "t"), where="t", left_out=("fc.",))
    assert layer.weight.tolist() == [[1, 1]]
