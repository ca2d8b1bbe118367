import dataclasses

import pytest
import torch

from components.boxes.coding import decode
from components.boxes.geometry import overlap
from components.models.choices import Small
from components.models.proposals import RPN_WEIGHTS
from components.models.two_stage import build
from components.train.assign import Moment, draw_anchors, draw_regions
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import CLASSES, batch

VOCABULARY = Vocabulary.of(f"fine:{i}" for i in range(CLASSES))
NOW = Moment(seed=1, step=2)


def _proposed(scenes):
    model = build(Small(), boxed=VOCABULARY, labelled=VOCABULARY)
    return model.propose(model.maps(scenes), scenes)


def test_deltas_lead_to_the_truth_and_regions_say_what_they_are() -> None:
    scenes = batch([0, 1, 2], size=64, objects=3)
    proposed = _proposed(scenes)
    anchored = draw_anchors(proposed, scenes, moment=NOW, size=32)
    assert len(anchored.drawn) == 3 * 32
    assert len(set(anchored.drawn.tolist())) == 3 * 32
    moved = decode(
        anchored.wanted, proposed.anchors.repeat(3, 1)[anchored.objects], weights=RPN_WEIGHTS
    )
    assert (overlap(moved, scenes.boxes).max(1).values > 0.999).all()
    drawn = draw_regions(proposed, scenes, moment=NOW, size=20)
    at = 0
    for i, boxes in enumerate(drawn.boxes):
        truths, labels = scenes.boxes_of(i), scenes.labels_of(i)
        best = overlap(boxes, truths).max(1)
        is_object = drawn.is_object[sum(map(len, drawn.boxes[:i])) :][: len(boxes)]
        assert torch.equal(best.values >= 0.5, is_object)
        objects = int(is_object.sum())
        assert 1 <= objects <= 10  # the true boxes are among the candidates
        assert drawn.labels[at : at + objects].tolist() == labels[best.indices[is_object]].tolist()
        at += objects


@pytest.mark.parametrize("draw", [draw_anchors, draw_regions])
def test_a_draw_is_the_same_whatever_else_is_in_the_batch(draw) -> None:
    all_rows = batch([7, 8, 9], size=64, objects=3)
    alone = batch([9], size=64, objects=3)
    many = draw(_proposed(all_rows), all_rows, moment=NOW, size=12)
    one = draw(_proposed(alone), alone, moment=NOW, size=12)
    torch.testing.assert_close(many.wanted[-len(one.wanted) :], one.wanted, rtol=1e-4, atol=1e-4)
    later = draw(_proposed(alone), alone, moment=Moment(seed=1, step=3), size=12)
    field = "drawn" if draw is draw_anchors else "boxes"
    first, second = getattr(one, field), getattr(later, field)
    assert str(first) != str(second)


def test_crowds_teach_neither_object_nor_background() -> None:
    scenes = batch([0, 1], size=64, objects=3)
    crowd = dataclasses.replace(scenes, flags=torch.ones_like(scenes.flags))
    proposed = _proposed(crowd)
    drawn = draw_regions(proposed, crowd, moment=NOW, size=60)
    assert len(drawn.labels) == 0
    anchored = draw_anchors(proposed, crowd, moment=NOW, size=500)
    assert not anchored.is_object.any()
    for i, boxes in enumerate(drawn.boxes):
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        for truth in crowd.boxes_of(i):
            low, high = (
                torch.maximum(boxes[:, :2], truth[:2]),
                torch.minimum(boxes[:, 2:], truth[2:]),
            )
            assert ((high - low).clamp(min=0).prod(1) <= 0.5 * area + 1e-3).all()


def test_a_scene_without_boxes_is_all_background() -> None:
    photos = batch([0, 1], size=64, objects=0)
    proposed = _proposed(photos)
    anchored = draw_anchors(proposed, photos, moment=NOW, size=16)
    drawn = draw_regions(proposed, photos, moment=NOW, size=10)
    assert anchored.wanted.shape == (0, 4) == drawn.wanted.shape
    assert len(anchored.drawn) == 32
    assert not drawn.is_object.any()
    assert [len(b) for b in drawn.boxes] == [10, 10]


def test_anchors_in_the_padding_are_left_out() -> None:
    scenes = batch([0], size=64, objects=2, valid=40)
    proposed = _proposed(scenes)
    anchored = draw_anchors(proposed, scenes, moment=NOW, size=10**6)
    others = anchored.drawn[anchored.is_object == 0]
    centers = (proposed.anchors[others, :2] + proposed.anchors[others, 2:]) / 2
    assert centers.max() < 40
    assert centers.min() >= 0
