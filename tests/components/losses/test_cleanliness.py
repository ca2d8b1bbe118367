"""Noisy anchors: the worked examples of both forms, and each mistake that is easily made."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torchvision.ops import sigmoid_focal_loss

from components.losses.cleanliness import cleanliness, reweighted_sum, soft_loss
from components.losses.noisy_anchors import Form, NoisyAnchors, SoftLoss

PLACE, SURE = torch.tensor([0.9, 0.6, 0.3]), torch.tensor([0.8, 0.5, 0.1])
FORMS: list[Form] = ["paper", "released"]
share = st.floats(0, 1)


def test_the_worked_example_of_the_equations() -> None:
    found = cleanliness(PLACE, SURE, NoisyAnchors())
    assert found.label.tolist() == pytest.approx([0.875, 0.575, 0.25], abs=1e-6)
    assert found.weight.tolist() == pytest.approx([2.104342, 0.571179, 0.324479], abs=1e-5)


def test_the_worked_example_of_the_published_code() -> None:
    found = cleanliness(PLACE, SURE, NoisyAnchors(form="released"))
    assert found.label.tolist() == pytest.approx([1.0, 0.809524, 0.6], abs=1e-6)
    assert found.weight.tolist() == pytest.approx([2.077713, 0.588778, 0.333509], abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(share, share), min_size=1, max_size=8), share, st.floats(0, 2))
def test_both_forms_are_their_equations(
    pairs: list[tuple[float, float]], alpha: float, gamma: float
) -> None:
    place, sure = (torch.tensor(c, dtype=torch.float64) for c in zip(*pairs, strict=True))
    n = len(pairs)

    def f(x: float) -> float:
        return 1 / (1 - min(x, 1 - 1e-4))

    def over(values: list[float]) -> list[float]:
        mean = sum(values) / n
        return [v / mean if mean else 0.0 for v in values]

    def mix(a: list[float], b: list[float]) -> list[float]:
        return [alpha * x + (1 - alpha) * y for x, y in zip(a, b, strict=True)]

    a, b = place.tolist(), sure.tolist()
    r = [v**gamma for v in mix([f(x) for x in a], [f(x) for x in b])]
    found = cleanliness(place, sure, NoisyAnchors(alpha=alpha, gamma=gamma))
    assert found.label.tolist() == pytest.approx(mix(a, b), abs=1e-12)
    assert found.weight.tolist() == pytest.approx(over(r), rel=1e-9)
    found = cleanliness(place, sure, NoisyAnchors(form="released", alpha=alpha, gamma=gamma))
    s, least = mix(over(a), over(b)), sum(a) / n
    if max(s) - min(s) > 1e-9:
        wanted = [least + (v - min(s)) / (max(s) - min(s)) * (1 - least) for v in s]
        assert found.label.tolist() == pytest.approx(wanted, abs=1e-6)
    assert found.weight.tolist() == pytest.approx(
        mix(over([f(x) for x in a]), over([f(x) for x in b])), rel=1e-9
    )


@pytest.mark.parametrize("form", FORMS)
def test_weights_have_mean_1_and_labels_stay_between_0_and_1(form: Form) -> None:
    torch.manual_seed(0)
    for _ in range(20):
        n = int(torch.randint(1, 9, ()))
        found = cleanliness(torch.rand(n), torch.rand(n), NoisyAnchors(form=form, gamma=1.5))
        assert float(found.weight.mean()) == pytest.approx(1.0, abs=1e-5)
        assert bool(((found.label >= 0) & (found.label <= 1)).all())


@pytest.mark.parametrize("form", FORMS)
def test_the_network_does_not_lower_its_own_targets(form: Form) -> None:
    logits = torch.randn(5, requires_grad=True)
    found = cleanliness(logits.sigmoid(), logits.sigmoid(), NoisyAnchors(form=form))
    assert not found.label.requires_grad
    assert not found.weight.requires_grad


@pytest.mark.parametrize("form", FORMS)
def test_extremes_stay_finite(form: Form) -> None:
    cfg = NoisyAnchors(form=form)
    for type_ in (torch.float16, torch.bfloat16, torch.float32):
        for pair in ([1.0, 0.9999], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]):
            x = torch.tensor(pair, dtype=type_)
            found = cleanliness(x, x.flip(0), cfg)
            assert bool(found.label.isfinite().all())
            assert bool(found.weight.isfinite().all())
    one = cleanliness(torch.tensor([0.4]), torch.tensor([0.2]), cfg)
    assert float(one.weight) == pytest.approx(1.0)
    none = cleanliness(torch.zeros(0), torch.zeros(0), cfg)  # a picture without an object
    assert none.label.shape == none.weight.shape == (0,)
    assert float(reweighted_sum(torch.zeros(0), none.weight, form=form)) == 0


def test_each_part_can_be_turned_off() -> None:
    hard = cleanliness(PLACE, SURE, NoisyAnchors(soft_labels=False))
    assert hard.label.tolist() == [1, 1, 1]
    assert hard.weight.tolist() != [1, 1, 1]
    even = cleanliness(PLACE, SURE, NoisyAnchors(reweight=False))
    assert even.weight.tolist() == [1, 1, 1]
    assert even.label.tolist() != [1, 1, 1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.01, 10)), max_size=6))
def test_the_published_code_keeps_the_sum_of_losses_and_moves_its_gradient(
    rows: list[tuple[float, float]],
) -> None:
    loss = torch.tensor([r[0] for r in rows], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([r[1] for r in rows], dtype=torch.float64)
    kept = reweighted_sum(loss, weight, form="released")
    assert float(kept.detach()) == pytest.approx(float(loss.detach().sum()), rel=1e-9)
    plain = reweighted_sum(loss, weight, form="paper")
    assert float(plain.detach()) == pytest.approx(sum(a * b for a, b in rows), rel=1e-9)
    if rows:
        (gradient,) = torch.autograd.grad(kept, loss)
        assert torch.allclose(gradient / gradient[0], weight / weight[0])


def test_soft_losses_at_known_points() -> None:
    zero, target = torch.zeros((), dtype=torch.float64), torch.tensor(0.85, dtype=torch.float64)

    def at(logit: float, t: torch.Tensor, kind: SoftLoss) -> float:
        return float(soft_loss(zero + logit, t, kind=kind))

    assert at(0, target, "focal_released") == pytest.approx(0.125 * math.log(2), abs=1e-12)
    assert at(0, target, "bce") == pytest.approx(math.log(2), abs=1e-12)
    assert at(0, target, "focal_quality") == pytest.approx(0.35**2 * math.log(2), abs=1e-12)
    assert at(1, target, "focal_released") == pytest.approx(0.062270, abs=1e-6)
    foreign = float(sigmoid_focal_loss(zero + 1, target, alpha=0.5, gamma=2))
    assert foreign == pytest.approx(0.026503, abs=1e-6)  # why it is not used
    for hard in (0.0, 1.0):
        t = zero + hard
        mine, theirs = at(1, t, "focal_released"), sigmoid_focal_loss(zero + 1, t, alpha=0.5)
        assert mine == pytest.approx(float(theirs), abs=1e-9)
        assert mine == pytest.approx(0.5 * at(1, t, "focal_quality"), abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "target", "least"),
    [
        ("bce", 0.85, 0.85),
        ("focal_quality", 0.85, 0.85),
        ("focal_released", 0.85, 0.657),
        ("focal_released", 0.95, 0.75),
        ("focal_released", 0.75, 0.60),
        ("focal_released", 0.2, 0.37),
    ],
)
def test_where_a_soft_loss_is_least(kind: SoftLoss, target: float, least: float) -> None:
    p = torch.linspace(0.001, 0.999, 4000, dtype=torch.float64)
    loss = soft_loss(p.logit(), torch.full_like(p, target), kind=kind)
    assert float(p[loss.argmin()]) == pytest.approx(least, abs=0.006)
