import pytest
import torch
from torch import nn

from components.models.backbone import BACKBONES, row_of
from components.models.choices import Lite0, Resnet, Small

CHOICES = [
    Small(),
    Resnet(),
    Resnet(depth=50),
    Resnet(weights="some.safetensors"),
    Lite0(),
    Lite0(weights="efficientnet-lite0"),
]


def _trunk(cfg):
    if cfg.kind == "lite0":
        pytest.importorskip("timm")
    return row_of(cfg).trunk(cfg)


@pytest.mark.parametrize("cfg", CHOICES, ids=str)
def test_maps_have_the_strides_and_channels_that_the_row_names(cfg) -> None:
    trunk, row = _trunk(cfg), row_of(cfg)
    maps = trunk(torch.rand(2, 3, 64, 96))
    assert list(maps) == list(trunk.channels)
    for stride, x in maps.items():
        assert x.shape == (2, trunk.channels[stride], 64 // int(stride), 96 // int(stride))
    merged = row.pyramid(trunk.channels, width=row.width)(maps)
    assert {s: x.shape[-2:] for s, x in merged.items()} == {
        s: x.shape[-2:] for s, x in maps.items()
    }
    assert {x.shape[1] for x in merged.values()} == {row.width}
    assert set(row.anchors) <= set(merged) >= set(row.roi_levels)


@pytest.mark.parametrize("cfg", CHOICES, ids=str)
def test_no_statistics_move_in_training(cfg) -> None:
    trunk = _trunk(cfg).train()
    before = {k: v.clone() for k, v in trunk.named_buffers()}
    trunk(torch.rand(2, 3, 64, 64))
    assert all(torch.equal(before[k], v) for k, v in trunk.named_buffers())
    assert not any(m.training for m in trunk.modules() if isinstance(m, nn.BatchNorm2d))


def test_nothing_moves_in_a_trunk_that_is_fixed_whole_though_nobody_sets_its_mode() -> None:
    pytest.importorskip("timm", reason="the extra `pretrained` is not installed")
    cfg = Lite0(weights="file", frozen_stages=8)
    trunk = row_of(cfg).trunk(cfg)
    before = {k: v.clone() for k, v in trunk.state_dict().items()}
    trunk(torch.rand(2, 3, 64, 64))
    assert all(torch.equal(before[k], v) for k, v in trunk.state_dict().items())
    assert not any(p.requires_grad for p in trunk.parameters())


@pytest.mark.parametrize("cfg", [CHOICES[3], CHOICES[5]], ids=str)
def test_first_stages_stay_fixed_only_with_weights(cfg) -> None:
    fixed = {n for n, p in _trunk(cfg).named_parameters() if not p.requires_grad}
    assert any("conv1" in n or "conv_stem" in n for n in fixed)
    free = type(cfg)(weights="none")
    assert not any("conv" in n for n, p in _trunk(free).named_parameters() if not p.requires_grad)


def test_the_small_trunk_takes_sides_that_stride_16_does_not_divide() -> None:
    trunk, row = _trunk(Small()), BACKBONES["small"]
    maps = row.pyramid(trunk.channels, width=row.width)(trunk(torch.rand(1, 3, 40, 40)))
    assert [x.shape[-1] for x in maps.values()] == [10, 5, 3]


def test_without_weights_all_of_lite0_is_trained_and_pictures_do_not_depend_on_their_batch() -> (
    None
):
    pytest.importorskip("timm", reason="the extra `pretrained` is not installed")
    trunk = row_of(Lite0()).trunk(Lite0()).double().train()
    kinds = {type(module) for module in trunk.modules()}
    assert torch.nn.GroupNorm in kinds
    assert not any(issubclass(kind, torch.nn.BatchNorm2d) for kind in kinds)
    assert all(p.requires_grad for p in trunk.parameters())
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        both, one = trunk(images), trunk(images[:1])
    for stride, x in one.items():
        torch.testing.assert_close(both[stride][:1], x)
