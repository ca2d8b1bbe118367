import math

import pytest
from torch import nn

from components.train.optimizer import freeze, optimizer_for, rate, set_rate


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
