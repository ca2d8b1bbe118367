"""A folded network says what the one with its normalisations said."""

import copy

import pytest
import torch
from torch import nn

from components.models.folding import fold_norms


def _shaken(module: nn.Module) -> nn.Module:
    """Give every normalisation statistics of its own."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module.eval()


def test_a_folded_pair_equals_the_equation() -> None:
    torch.manual_seed(0)
    net = _shaken(nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU()))
    x = torch.rand(2, 3, 8, 8)
    wanted = net(x)
    conv, norm = net[0], net[1]
    by_hand = conv(x)
    for k in range(5):
        s = (norm.running_var[k] + norm.eps).sqrt()
        by_hand[:, k] = norm.weight[k] * (by_hand[:, k] - norm.running_mean[k]) / s + norm.bias[k]
    torch.testing.assert_close(wanted, by_hand.relu())
    assert fold_norms(net) == 1
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    torch.testing.assert_close(net(x), wanted, rtol=1e-5, atol=1e-6)


def test_nothing_to_fold_changes_nothing() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4), nn.BatchNorm2d(4))
    assert fold_norms(net) == 0


def test_the_packaged_trunk_keeps_its_activations() -> None:
    timm = pytest.importorskip("timm", reason="extra pretrained is not installed")
    torch.manual_seed(0)
    net = timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(2, 3, 4)
    )
    net = _shaken(net)
    folded = copy.deepcopy(net)
    assert fold_norms(folded) == 48
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(net(x), folded(x), strict=True):
            assert (a - b).abs().max() <= 1e-3 * a.abs().max()
