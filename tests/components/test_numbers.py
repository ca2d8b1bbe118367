"""Where tensors fail in silence: nothing, zero, NaN, infinity, half precision; a test a row.

Reference behaviour of torch and torchvision is asserted beside ours, so that a row that they mend
shows up here.
"""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torchvision.ops import batched_nms, box_iou

from components.boxes.coding import LONGEST, decode, encode
from components.boxes.geometry import area, covered, overlap, wide
from components.boxes.matching import NEGATIVE, Rule, match
from components.boxes.suppress import suppress
from components.eval.infer import infer
from components.losses.box_regression import smooth_l1_sum
from components.losses.classification import (
    sigmoid_sum,
    soft_softmax_sum,
    soft_targets,
    softmax_sum,
)
from components.models.choices import Lite0, Resnet
from components.models.scores import DecoupledScorer, Regions, fuse
from components.models.two_stage import build
from components.shapes import NotFiniteError, expect_finite
from components.vocab.classes import Vocabulary
from tests.components.eval.small_world import detector, shards

ZERO = torch.zeros(1, 4)
SOME = torch.tensor([[2.0, 3, 12, 23]])
NAN, INF = math.nan, math.inf
NARROW = [torch.float16, torch.bfloat16]


# Boxes


def test_two_boxes_without_area_do_not_overlap() -> None:
    assert box_iou(ZERO, ZERO).isnan().all(), "torchvision mended this: look at ours"
    for a, b in ((ZERO, ZERO), (ZERO, SOME), (SOME, ZERO), (ZERO + 5, ZERO + 5)):
        assert overlap(a, b).tolist() == [[0]]
        assert covered(a, b).tolist() == [[0]]
    rule = Rule(positive=0.5, negative=0.5, best_counts=True)
    assert match(torch.cat([ZERO, SOME]), ZERO, rule=rule).tolist() == [NEGATIVE] * 2


side = st.floats(0.5, 300, width=32)
box = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], side, side, side, side)


@settings(max_examples=50, deadline=None)
@given(st.lists(box, max_size=6), st.lists(box, max_size=6), st.sampled_from(["float", "double"]))
def test_boxes_with_area_overlap_as_in_torchvision_to_the_bit(a, b, dtype: str) -> None:
    first, second = (getattr(torch.tensor(rows).reshape(-1, 4), dtype)() for rows in (a, b))
    assert torch.equal(overlap(first, second), box_iou(first, second))


@pytest.mark.parametrize("dtype", NARROW)
def test_half_precision_is_widened_before_it_overflows(dtype: torch.dtype) -> None:
    large = torch.tensor([[0.0, 0, 300, 300]], dtype=dtype)
    assert torch.tensor(300.0, dtype=torch.float16) ** 2 == INF
    assert area(large).tolist() == [90_000]
    assert overlap(large, large).tolist() == [[1]]
    assert covered(large, large).tolist() == [[1]]
    deltas = encode(large, large / 2)
    assert deltas.dtype == torch.float32
    assert torch.allclose(decode(deltas, large / 2), large.float(), atol=1e-3)
    assert decode(torch.full((1, 4), 2000.0, dtype=dtype), large).isfinite().all()
    assert wide(SOME) is SOME
    assert wide(SOME.double()).dtype == torch.float64


def test_the_logarithm_of_a_side_is_clamped() -> None:
    assert torch.tensor(89.0).exp() == INF
    for value in (89.0, 1e30, INF):
        deltas = torch.tensor([[0.0, 0, value, value]])
        found = decode(deltas, SOME, weights=(1.0,) * 4)
        sides = (found[:, 2:] - found[:, :2]).tolist()[0]
        assert sides == pytest.approx([10 * math.exp(LONGEST), 20 * math.exp(LONGEST)])
    assert decode(torch.full((1, 4), NAN), SOME).isnan().all(), "NaN is never made a number"


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("where", ["score", "box"])
def test_what_is_not_finite_is_dropped_before_suppression_and_counted(
    bad: float, where: str
) -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [30, 30, 40, 40]])
    scores = torch.tensor([[0.9, 0.2], [0.8, 0.3], [0.7, 0.4]])
    wanted = suppress(boxes[1:], scores[1:])
    assert wanted.not_finite == 0
    if where == "score":
        scores[0] = bad
    else:
        boxes[0, 3] = bad
    found = suppress(boxes, scores)
    assert found.not_finite == 2
    for name in ("boxes", "scores", "classes"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
    if where == "score" and math.isnan(bad):
        first = batched_nms(boxes, scores[:, 0], torch.zeros(3, dtype=torch.int64), 0.5)[0]
        assert int(first) == 0, "torchvision puts NaN last now: look at ours"


# Losses


def test_a_loss_of_nothing_is_zero_and_has_a_gradient() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    assert torch.nn.functional.cross_entropy(torch.zeros(0, 3), nothing).isnan()
    for classes in (0, 1, 3):
        logits = torch.zeros(0, classes, requires_grad=True)
        none = soft_targets(nothing, nothing, rows=0, classes=classes)
        total = (
            softmax_sum(logits, nothing)
            + softmax_sum(logits, nothing, weights_R=torch.zeros(0))
            + soft_softmax_sum(logits, none)
            + sigmoid_sum(logits, none)
            + smooth_l1_sum(torch.zeros(0, 4, requires_grad=True), torch.zeros(0, 4))
        )
        assert total.item() == 0
        total.backward()
        assert logits.grad is not None


def test_a_photo_without_classes_or_a_vocabulary_without_any_costs_nothing() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    for classes in (0, 3):
        targets = soft_targets(nothing, nothing, rows=2, classes=classes)
        assert targets.tolist() == [[0.0] * classes] * 2
        assert soft_softmax_sum(torch.randn(2, classes), targets).item() == 0


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_a_sure_mistake_costs_what_it_should_and_has_a_gradient(size: float) -> None:
    logits = torch.tensor([size, -size], requires_grad=True)
    assert torch.nn.functional.binary_cross_entropy(torch.ones(1), torch.zeros(1)) == 100
    loss = sigmoid_sum(logits, torch.tensor([0.0, 1.0]))
    assert loss.item() == pytest.approx(2 * size)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [1, -1]
    rows = torch.tensor([[size, -size]], requires_grad=True)
    label = torch.tensor([1])
    for total in (
        softmax_sum(rows, label),
        soft_softmax_sum(rows, soft_targets(label, label * 0, rows=1, classes=2)),
    ):
        assert total.item() == pytest.approx(2 * size)


# Scores


def test_scores_of_no_classes_and_no_regions_are_nothing() -> None:
    for boxed, labelled, regions in ((0, 0, 2), (0, 3, 2), (1, 1, 2), (2, 3, 0)):
        scorer = DecoupledScorer(features=5, boxed=boxed, labelled=labelled)
        parts = scorer.probabilities(torch.randn(regions, 5) * 1e4)
        assert [tuple(p.shape) for p in parts] == [
            (regions,), (regions, boxed), (regions, labelled),
        ]  # fmt: skip
        assert all(part.isfinite().all() for part in parts)
        if boxed == 1:
            assert parts[1].tolist() == [[1.0]] * regions


def test_scores_of_zero_stay_zero() -> None:
    zero = Regions(
        boxes=SOME, foreground=torch.zeros(1), boxed=torch.zeros(1, 1), labelled=torch.zeros(1, 1)
    )
    one = Vocabulary.of(["fine:a"])
    assert fuse(zero, boxed=one, labelled=one, ids=one.ids).tolist() == [[0]]
    assert fuse(zero, boxed=one, labelled=one, ids=()).shape == (1, 0)


def test_a_finite_check_names_what_and_how_often() -> None:
    expect_finite("x", torch.zeros(0, 4), do="")
    expect_finite("x", torch.tensor([1e38, -1e38]), do="")
    with pytest.raises(
        NotFiniteError, match=r"^x: not finite; got NaN or infinity 2 times. Do y.$"
    ):
        expect_finite("x", torch.tensor([[1.0, NAN], [-INF, 0]]), do="Do y.")


@pytest.mark.parametrize(
    "part", ["trunk", "scores.labelled", "refine", "proposals", "proposals.head.bbox_pred"]
)
def test_a_detector_that_is_not_finite_finds_no_nothing(tmp_path, part: str) -> None:
    broken = detector()
    next(broken.get_submodule(part).parameters()).data.flatten()[0] = NAN
    pictures = shards(tmp_path, (("fine:dog",),))
    with pytest.raises(NotFiniteError, match="detector, outputs: not finite"):
        infer(
            broken, pictures, ids=("fine:dog",), size=64, batch=1, top=5, floor=1e-4,
            task="scenes", classes="regions", say=lambda n: None,
        )  # fmt: skip


def test_frozen_normalisation_is_not_moved_by_one_bad_picture() -> None:
    cases = [Resnet(weights="file")]
    if pytest.importorskip("timm"):
        cases.append(Lite0(weights="file"))
    for cfg in cases:
        none = Vocabulary(ids=(), names=())
        trunk = build(cfg, boxed=none, labelled=none).trunk.train()
        before = {k: v.clone() for k, v in trunk.state_dict().items()}
        trunk(torch.full((2, 3, 64, 64), NAN))
        assert all(torch.equal(v, before[k]) for k, v in trunk.state_dict().items())
