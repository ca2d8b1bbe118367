"""Baselines against what section 5.2 says, one class at a time with plain numbers."""

import math

import pytest
import torch
from torch import Tensor

from components.transfer.methods import Transfer
from components.transfer.rows import ClassRows, make

D, G, K = 6, 4, 9
SOURCE = torch.randn(K, D, generator=torch.Generator().manual_seed(1)) + 1
SHARED = torch.tensor([2, 7, 4, 0])


def built(method: str, *, features: int = G, source: Tensor = SOURCE, **more) -> ClassRows:
    rows = make(Transfer(method=method, **more), source_KD=source, inputs=source.shape[1],
                features=features, shared_C=SHARED, seed=0)  # fmt: skip
    with torch.no_grad():
        for parameter in rows.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    return rows.eval()


def cosine(a: int, b: int) -> float:
    means = [sum(column) / K for column in SOURCE.T.tolist()]
    x, y = ([v - m for v, m in zip(SOURCE[i].tolist(), means, strict=True)] for i in (a, b))
    lengths = math.sqrt(sum(v * v for v in x)) * math.sqrt(sum(v * v for v in y))
    return sum(v * w for v, w in zip(x, y, strict=True)) / lengths


def near(novel: int) -> list[int]:
    """Return places among the shared, nearest first."""
    return sorted(range(4), key=lambda s: -cosine(novel, int(SHARED[s])))


def test_nn_takes_the_nearest_shared_row() -> None:
    rows = built("nearest")
    made, own = rows.rows(SOURCE), rows.mapping.rows_SG
    for k in range(K):
        place = SHARED.tolist().index(k) if k in SHARED.tolist() else near(k)[0]
        assert torch.equal(made[k], own[place])


def test_a_class_that_is_another_ones_twin_keeps_its_own_row() -> None:
    source = torch.arange(float(K * D)).reshape(K, D) % 7
    source[7] = 2 * source[2]  # the same direction: the nearest of both is class 2
    source[8] = 0
    source[8] = -source.sum(0)  # means of exactly 0
    rows = built("nearest", source=source)
    assert torch.equal(rows.rows(source)[SHARED], rows.mapping.rows_SG)
    assert not torch.equal(rows.mapping.rows_SG[0], rows.mapping.rows_SG[1])


@pytest.mark.parametrize("features", [G, D])
@pytest.mark.parametrize("method", ["lsda", "lsda_visual"])
def test_lsda_adds_the_mean_shift_of_the_nearest(method: str, features: int) -> None:
    rows = built(method, features=features, neighbors=3)
    base = SOURCE if features == D else SOURCE @ rows.mapping.project.weight.T
    made, shifts = rows.rows(SOURCE), rows.mapping.shifts_SG
    for k in range(K):
        if k in SHARED.tolist():
            wanted = base[k] + shifts[SHARED.tolist().index(k)]
        else:
            three = near(k)[:3]
            shares = [1.0] * 3
            if method == "lsda_visual":
                shares = [max(cosine(k, int(SHARED[s])), 1e-6) for s in three]
            total = sum(shares)
            mean = sum(shifts[s] * (w / total) for s, w in zip(three, shares, strict=True))
            wanted = base[k] + mean
        assert torch.allclose(made[k], wanted, atol=1e-5)


def test_more_neighbors_than_shared_classes_are_all_of_them() -> None:
    assert built("lsda", neighbors=50).rows(SOURCE).shape == (K, G)


def test_zsd_is_a_cosine_with_fixed_rows() -> None:
    rows = built("zsd")
    x = torch.randn(5, G, generator=torch.Generator().manual_seed(2))
    project, temperature = rows.adapter.last.project, rows.adapter.last.temperature.item()
    found = rows.logits(x)
    means = SOURCE.mean(0)
    for r in range(5):
        v = (project.weight @ x[r] + project.bias).tolist()
        for c, k in enumerate(SHARED.tolist()):
            e = (SOURCE[k] - means).tolist()
            dot = sum(a * b for a, b in zip(v, e, strict=True))
            lengths = math.sqrt(sum(a * a for a in v)) * math.sqrt(sum(b * b for b in e))
            wanted = temperature * dot / lengths + rows.bias.item()
            assert found[r, c].item() == pytest.approx(wanted, rel=1e-4)
    assert rows.outputs == D
    assert torch.allclose(rows.rows(SOURCE).norm(dim=1), torch.ones(K))


def test_a_residual_of_features_is_two_layers_added() -> None:
    rows = built("residual_feature", features=D)
    x = torch.randn(5, D, generator=torch.Generator().manual_seed(2))
    norm, first, _, _, last = rows.adapter.last.layers
    h = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    h = ((h * norm.weight + norm.bias) @ first.weight.T + first.bias).clamp(min=0)
    assert torch.allclose(rows.adapt(x), x + h @ last.weight.T + last.bias, atol=1e-4)


def test_layers_come_before_the_rest() -> None:
    rows = built("zsd", features=5, layers=(7, 3))
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
    first, _, second, _ = rows.adapter.layers
    h = (x @ first.weight.T + first.bias).clamp(min=0)
    h = (h @ second.weight.T + second.bias).clamp(min=0)
    assert torch.allclose(rows.adapt(x), rows.adapter.last(h), atol=1e-5)
    assert rows.adapt(x).shape == (4, D)
    assert {id(p) for p in rows.adapter.parameters()} <= {id(p) for p in rows.rest_parameters()}
