from typing import ClassVar

import pytest
import torch

from components.models.choices import Lite0, Resnet, Small
from components.models.two_stage import BatchSizeError, PooledClassifier, build, inference
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import batch

BOXED = Vocabulary.of(["fine:a", "fine:b"])
LABELLED = Vocabulary.of(["fine:b", "fine:c", "fine:d"])


def _build(cfg=None, seed: int = 0):
    if cfg is not None and cfg.kind == "lite0":
        pytest.importorskip("timm")
    return build(cfg or Small(), boxed=BOXED, labelled=LABELLED, seed=seed)


@pytest.mark.parametrize("cfg", [Small(), Resnet(), Lite0()], ids=lambda c: c.kind)
def test_regions_have_boxes_in_the_picture_and_scores_that_sum_to_one(cfg) -> None:
    model = _build(cfg)
    scenes = batch([0, 1], size=96, objects=3, valid=70)
    for regions in model.regions(scenes):
        p = len(regions.boxes)
        assert 0 < p <= model.row.proposals
        assert regions.boxes.min() >= 0
        assert regions.boxes.max() <= 70
        assert regions.foreground.shape == (p,)
        assert torch.allclose(regions.boxed.sum(1), torch.ones(p))
        assert torch.allclose(regions.labelled.sum(1), torch.ones(p))
        assert not regions.boxed.requires_grad
    assert model.classify(scenes).shape == (2, 3)


def test_a_picture_gets_the_same_regions_alone() -> None:
    model = _build()
    both = model.regions(batch([3, 4], size=64, objects=3))
    for row, found in zip((3, 4), both, strict=True):
        (alone,) = model.regions(batch([row], size=64, objects=3))
        torch.testing.assert_close(found.boxes, alone.boxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.labelled, alone.labelled, rtol=1e-4, atol=1e-5)


def test_inference_gives_back_the_mode_each_part_had() -> None:
    model = _build().train()
    model.region_head.eval()
    model.regions(batch([0], size=64, objects=2))
    model.classify(batch([0], size=32, objects=0))
    assert model.training
    assert not model.region_head.training
    assert torch.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), inference(model):
        raise ZeroDivisionError
    assert model.training


def test_weights_depend_on_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    torch.manual_seed(123)
    a, b, c = _build(seed=5).state_dict(), _build(seed=5).state_dict(), _build(seed=6).state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["refine.weight"], c["refine.weight"])
    torch.random.set_rng_state(state)


def test_a_side_that_does_not_fit_is_named() -> None:
    with pytest.raises(BatchSizeError, match="multiples of 8; got 60 x 60"):
        _build().regions(batch([0], size=60, objects=2))


def test_an_empty_vocabulary_is_no_special_case() -> None:
    none = Vocabulary(ids=(), names=())
    model = build(Small(), boxed=none, labelled=none)
    (regions,) = model.regions(batch([0], size=64, objects=2))
    assert regions.boxed.shape[1] == regions.labelled.shape[1] == 0


def test_pixels_are_normalised_as_the_row_says() -> None:
    model = _build()
    one = batch([0], size=64, objects=2)
    wanted = (one.image.double() / 255 - 0.5) / 0.25
    assert torch.allclose(model.pixels(one).permute(0, 2, 3, 1).double(), wanted, atol=1e-5)
    assert model.double().pixels(one).dtype == torch.float64


class _Ramp(torch.nn.Module):
    """A trunk whose last map holds the column of each cell."""

    channels: ClassVar = {"16": 1}

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        n, _, h, w = x.shape
        return {"16": torch.arange(w // 16).float().expand(n, 1, h // 16, w // 16)}


def test_the_pooled_arm_averages_the_picture_without_its_padding() -> None:
    model = _build()
    model.trunk = _Ramp()
    arm = PooledClassifier(model, seed=0)
    with torch.no_grad():
        arm.linear.weight.fill_(1.0)
        arm.linear.bias.zero_()
    for valid, mean in ((96, 2.5), (32, 0.5), (40, 1.0)):  # columns 0..5, 0..1, 0..2
        found = arm.image_logits(batch([2], size=96, objects=0, valid=valid))
        assert found.shape == (1, 1, 3)
        assert torch.allclose(found, torch.tensor(mean))


def test_the_pooled_arm_starts_the_same_whatever_was_drawn_before() -> None:
    weights = []
    for before in range(2):
        torch.rand(before + 1)
        fine = Vocabulary(ids=("a", "b"), names=("a", "b"))
        model = build(Small(), boxed=fine, labelled=fine, seed=3)
        weights.append(PooledClassifier(model, seed=3).linear.weight)
    assert torch.equal(*weights)
