import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from components.train.optimizer import Optimizers, freeze, optimizer_for, rate, set_rate


def _model() -> nn.ModuleDict:
    return nn.ModuleDict(
        {"trunk": nn.Linear(2, 3), "head": nn.Linear(3, 4), "idle": nn.Linear(1, 1)}
    )


@pytest.mark.parametrize(("slow", "wanted"), [(1e-4, 1e-4), (None, 1e-2)])
def test_the_trunk_has_its_own_rate_and_what_is_frozen_is_left_out(slow, wanted) -> None:
    model = _model()
    freeze([model["idle"]])
    found = optimizer_for(model, trunk=model["trunk"], lr=1e-2, backbone_lr=slow, weight_decay=0.1)
    groups = [({id(p) for p in g["params"]}, g["peak"]) for g in found.param_groups]
    assert groups == [
        ({id(p) for p in model["head"].parameters()}, 1e-2),
        ({id(p) for p in model["trunk"].parameters()}, wanted),
    ]
    assert set_rate(found, 0.5) == 0.5e-2
    assert [g["lr"] for g in found.param_groups] == [0.5e-2, wanted * 0.5]


def test_the_rate_rises_and_falls_as_half_a_cosine() -> None:
    shares = [rate(i, steps=100, warmup=10) for i in range(100)]
    for i, share in enumerate(shares):
        assert share == pytest.approx(min(1, (i + 1) / 10) * (1 + math.cos(math.pi * i / 100)) / 2)
    assert max(shares) == shares[9]
    assert shares[-1] < 0.001
    assert rate(0, steps=5, warmup=0) == 1


def test_a_trunk_that_is_all_frozen_makes_no_group() -> None:
    model = _model()
    freeze([model["trunk"]])
    found = optimizer_for(model, trunk=model["trunk"], lr=1e-2, backbone_lr=1e-3, weight_decay=0)
    assert len(found.param_groups) == 1


def test_several_step_as_one_and_each_is_clipped_apart() -> None:
    model = _model()
    own = torch.optim.SGD([{"params": list(model["idle"].parameters()), "lr": 0.5, "peak": 0.5}])
    both = optimizer_for(
        model, trunk=model["trunk"], lr=1e-2, backbone_lr=None, weight_decay=0, kind="sgd",
        apart=[own],
    )  # fmt: skip
    assert [p is q for p, q in zip(both.parts[1].param_groups[0]["params"],
            model["idle"].parameters(), strict=True)]  # fmt: skip
    assert sum(len(g["params"]) for g in both.param_groups) == len(list(model.parameters()))
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    for parameter in model["idle"].parameters():
        parameter.grad = torch.full_like(parameter, 1e3)
    quiet = [p.grad.clone() for p in model["head"].parameters()]
    assert both.clip(1.0) > 1e3
    for parameter, before in zip(model["head"].parameters(), quiet, strict=True):
        assert torch.equal(parameter.grad, before)
    norm = torch.stack([p.grad.norm() for p in model["idle"].parameters()]).norm()
    assert norm == pytest.approx(1.0, rel=1e-4)
    before = [p.detach().clone() for p in model.parameters()]
    set_rate(both, 1.0)
    both.step()
    assert all(not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert "momentum_buffer" in both.state_of(next(model["head"].parameters()))
    both.zero_grad()
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_gradient_that_is_not_finite_shows_in_whichever_part(wrong: int) -> None:
    parameters = [nn.Parameter(torch.zeros(3)) for _ in range(2)]
    for i, p in enumerate(parameters):
        p.grad = torch.full((3,), math.nan if i == wrong else 1.0)
    both = Optimizers([AdamW([parameters[0]]), SGD([parameters[1]], 0.1)])
    assert math.isnan(both.clip(5.0))
