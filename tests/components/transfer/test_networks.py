import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.transfer.methods import Transfer
from components.transfer.networks import Net, activations, decoder, encoder, groups_of
from components.transfer.rows import make

PLUS, PLAIN = Net(), Net(norm="none")


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_are_the_papers() -> None:
    """methods.md 7(d): 2,048 channels throughout."""
    both = count(encoder(2048, 2048, net=PLUS)), count(decoder(2048, 2048, net=PLUS))
    assert both == (8_394_752, 8_394_752)
    assert sum(both) == 16_789_504
    assert count(encoder(2048, 2048, net=PLAIN)) == 8_392_704
    assert count(encoder(2048, 2048, net=Net(half=2))) == 4_198_400


def slow(layers: nn.Sequential, row: list[float], *, groups: int) -> list[float]:
    """Linear without bias, GroupNorm, LeakyReLU of slope .01, linear: one row with floats."""
    first, norm, last = layers[0], layers[1], layers[-1]
    h = [sum(w * v for w, v in zip(ws, row, strict=True)) for ws in first.weight.tolist()]
    size = len(h) // groups
    for g in range(groups):
        part = h[g * size : (g + 1) * size]
        mean = sum(part) / size
        variance = sum((v - mean) ** 2 for v in part) / size
        for i, v in enumerate(part, start=g * size):
            h[i] = (v - mean) / math.sqrt(variance + 1e-5)
    h = [v * s + b for v, s, b in zip(h, norm.weight.tolist(), norm.bias.tolist(), strict=True)]
    h = [v if v > 0 else 0.01 * v for v in h]
    outs = zip(last.weight.tolist(), last.bias.tolist(), strict=True)
    return [sum(w * v for w, v in zip(ws, h, strict=True)) + b for ws, b in outs]


@pytest.mark.parametrize("half", [encoder, decoder])
def test_a_normed_network_is_the_figure_written_as_a_loop(half) -> None:
    torch.manual_seed(0)
    layers = half(32, 48, net=PLUS)  # two groups of 16
    nn.init.normal_(layers[1].weight)
    nn.init.normal_(layers[1].bias)
    nn.init.normal_(layers[-1].bias)
    nn.init.normal_(layers[-1].weight)
    x = torch.randn(3, 32 if half is encoder else 48)
    wanted = [slow(layers, row, groups=2) for row in x.tolist()]
    assert torch.allclose(layers(x), torch.tensor(wanted), atol=1e-4)


def test_the_plain_network_is_two_layers_with_a_slope_of_a_tenth() -> None:
    torch.manual_seed(0)
    layers, x = encoder(5, 3, net=PLAIN), torch.randn(4, 5)
    h = x @ layers[0].weight.T + layers[0].bias
    h = torch.where(h > 0, h, 0.1 * h)
    assert torch.allclose(layers(x), h @ layers[-1].weight.T + layers[-1].bias, atol=1e-6)


def test_msra_starts_the_plain_network() -> None:
    torch.manual_seed(0)
    layers = encoder(1024, 1024, net=PLAIN)
    wanted = math.sqrt(2 / (1 + 0.1**2) / 1024)
    for layer in (layers[0], layers[-1]):
        assert layer.weight.std().item() == pytest.approx(wanted, rel=0.01)
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(2048, 32), (1280, 32), (512, 32), (256, 16), (128, 8), (48, 2), (1000, 8), (17, 1), (1, 1)],
)
def test_groups_are_32_or_as_many_as_fit(channels: int, groups: int) -> None:
    assert groups_of(channels) == groups
    nn.GroupNorm(groups, channels)


def test_a_start_is_0_and_its_mirror_nearly() -> None:
    torch.manual_seed(0)
    t, g = encoder(64, 32, net=PLUS), decoder(64, 32, net=PLUS)
    x = torch.randn(7, 64)
    assert not t(x).any()
    for parameter in (t[1].weight, t[1].bias, t[-1].bias, g[1].bias, g[-1].bias):
        assert not parameter.any()
    assert bool((g[1].weight == 1).all())
    assert g[-1].weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert g(t(x)).shape == x.shape


def _first_gradient(layers: nn.Sequential) -> float:
    """Return the largest gradient of the norm's scale after one step's loss of the scores."""
    x_KD, features = torch.randn(6, 64), torch.randn(9, 32)
    loss = functional.binary_cross_entropy_with_logits(features @ layers(x_KD).T, torch.ones(9, 6))
    loss.backward()
    assert isinstance(layers[1].weight.grad, Tensor)
    return float(layers[1].weight.grad.abs().max())


def test_a_scale_of_0_is_alive_with_leaky_relu_and_dead_with_relu() -> None:
    """Trap 1."""
    torch.manual_seed(0)
    layers = encoder(64, 32, net=PLUS)
    assert isinstance(layers[2], nn.LeakyReLU)
    assert _first_gradient(layers) > 0
    layers[2] = nn.ReLU()
    layers.zero_grad()
    assert _first_gradient(layers) == 0


def test_activations_are_those_before_the_last_layer() -> None:
    torch.manual_seed(0)
    layers = encoder(32, 8, net=Net(dropout=0.5))
    nn.init.ones_(layers[1].weight)
    x = torch.randn(3, 32)
    layers.eval()
    assert torch.allclose(layers[-1](activations(layers, x)), layers(x))


def test_the_first_reconstruction_costs_eight_and_a_half() -> None:
    """7(d): 20 x E smooth L1 of N(0, 1) against 0 = 20 x .4245; and every score is .01."""
    source = torch.randn(400, 256, generator=torch.Generator().manual_seed(0)) * 3 + 1
    rows = make(Transfer(method="ae_wtn"), source_KD=source, inputs=256, features=256,
                shared_C=torch.arange(40), seed=0)  # fmt: skip
    scored = rows(torch.randn(5, 256))
    assert scored.penalty.item() == pytest.approx(8.49, abs=0.05)
    assert scored.penalty.item() / 20 == pytest.approx(0.4245, abs=0.003)
    assert torch.allclose(scored.logits.sigmoid(), torch.full((5, 40), 0.01), atol=1e-7)
