import dataclasses
import math

import pytest
import torch

from components.models.choices import Lite0, Resnet, Small, Stage1, Stage2
from components.models.two_stage import PooledClassifier, build
from components.train.assign import Moment, draw_regions
from components.train.objective import for_classify, for_joint, idle_parts
from components.train.optimizer import freeze
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import CLASSES, batch

BOXED = Vocabulary.of(f"fine:{i}" for i in range(CLASSES))
LABELLED = Vocabulary.of(f"fine:{i}" for i in range(CLASSES + 2))
NOW = Moment(seed=0, step=0)
JOINT = for_joint(Stage2(image_weight=0.3))
CLASSIFY = for_classify(Stage1())


def _model(cfg=None):
    if cfg is not None and cfg.kind == "lite0":
        pytest.importorskip("timm")
    return build(cfg or Small(), boxed=BOXED, labelled=LABELLED)


def _batches(size: int = 64, photo: int = 32):
    return {
        "boxes": batch([0, 1], size=size, objects=3),
        "labels": batch([5, 6, 7], size=photo, objects=0),
    }


def _mean(losses) -> torch.Tensor:
    return torch.stack([v.weight * v.total / v.count.clamp(min=1) for v in losses.values()]).sum()


@pytest.mark.parametrize("cfg", [Small(), Resnet(), Lite0()], ids=lambda c: c.kind)
@pytest.mark.parametrize("case", ["region", "pooled", "joint", "scenes only"])
def test_idle_parts_are_exactly_those_without_a_gradient(cfg, case: str) -> None:
    model = _model(cfg)
    module = PooledClassifier(model, seed=0) if case == "pooled" else model
    name = "classify" if case in ("region", "pooled") else "joint"
    batches = _batches()
    if case == "scenes only":
        del batches["labels"]
    fixed = {id(p) for p in module.parameters() if not p.requires_grad}
    objective = {"classify": for_classify, "joint": for_joint}[name](
        Stage1() if name == "classify" else Stage2()
    )
    _mean(objective(module, batches, moment=NOW)).backward()
    silent = {n for n, p in module.named_parameters() if p.grad is None and id(p) not in fixed}
    freeze(idle_parts(module, name, photos=case != "scenes only"))
    idle = {n for n, p in module.named_parameters() if not p.requires_grad and id(p) not in fixed}
    assert silent == idle


def test_photos_leave_foreground_boxes_and_proposals_alone() -> None:
    model = _model()
    losses = JOINT(model, _batches(), moment=NOW)
    losses["image"].total.backward()
    for part in (model.scores.foreground, model.refine, model.proposals, model.scores.boxed):
        assert all(p.grad is None for p in part.parameters())
    assert model.scores.labelled.weight.grad is not None
    assert losses["image"].weight == 0.3
    assert float(losses["image"].count) == 3


def test_losses_of_regions_are_the_equations_written_as_a_loop() -> None:
    model, batches = _model(), _batches()
    losses = JOINT(model, batches, moment=NOW)
    scenes = batches["boxes"]
    with torch.no_grad():
        maps = model.maps(scenes)
        drawn = draw_regions(model.propose(maps, scenes), scenes, moment=NOW, size=48)
        x = model.features(maps, drawn.boxes)
        foregrounds, logits_RC = model.scores.foreground(x)[:, 0], model.scores.boxed(x)
        deltas = model.refine(x)
    foreground = class_ = box = 0.0
    objects = 0
    for r, is_object in enumerate(drawn.is_object.tolist()):
        fg = 1 / (1 + math.exp(-foregrounds[r].item()))
        foreground -= math.log(fg if is_object else 1 - fg)  # Eq. 1
        if is_object:
            logits = logits_RC[r].tolist()
            chosen = logits[int(drawn.labels[objects])]
            class_ -= chosen - math.log(sum(math.exp(v) for v in logits))  # Eq. 2, C classes
            for d, w in zip(deltas[r].tolist(), drawn.wanted[objects].tolist(), strict=True):
                e = abs(d - w)
                box += 4.5 * e * e if e < 1 / 9 else e - 1 / 18
            objects += 1
    assert len(logits) == CLASSES
    for name, total, count in (
        ("foreground", foreground, len(x)),
        ("class", class_, len(x)),
        ("box", box, len(x)),
    ):
        assert losses[name].total.item() == pytest.approx(total, rel=1e-4)
        assert float(losses[name].count) == count


@pytest.mark.parametrize("multi", ["soft", "sigmoid"])
def test_photos_with_two_labels_one_or_none(multi: str) -> None:
    model, photos = _model(), batch([1, 2, 3], size=32, objects=0)
    photos = dataclasses.replace(
        photos, present=torch.tensor([4, 2, 1]), present_offsets=torch.tensor([0, 2, 2, 3])
    )
    found = for_classify(Stage1(multi=multi))(model, {"labels": photos}, moment=NOW)
    logits = model.image_logits(photos)[:, 0].double()
    if multi == "soft":
        logs = torch.log_softmax(logits, 1)
        wanted = -(logs[0, 4] + logs[0, 2]) / 2 - logs[2, 1]
    else:
        targets = torch.zeros(3, CLASSES + 2).double()
        targets[0, [2, 4]] = targets[2, 1] = 1
        p = torch.sigmoid(logits)
        wanted = -(targets * p.log() + (1 - targets) * (1 - p).log())[[0, 2]].sum()
    assert found["image"].total.item() == pytest.approx(wanted.item(), rel=1e-4)
    assert float(found["image"].count) == 2  # a photo without labels says nothing


def test_scenes_without_boxes_give_finite_losses_and_gradients() -> None:
    model = _model()
    empty = batch([0, 1], size=64, objects=0)
    losses = JOINT(model, {**_batches(), "boxes": empty}, moment=NOW)
    assert [losses[k].total.item() for k in ("class", "box", "rpn_box")] == [0, 0, 0]
    _mean(losses).backward()
    for p in model.parameters():
        assert p.grad is not None
        assert p.grad.isfinite().all()


def test_the_weight_of_a_box_weighs_its_class_and_its_place() -> None:
    model, batches = _model(), _batches()
    scenes = batches["boxes"]
    double = dataclasses.replace(scenes, weights=scenes.weights * 2)
    one, two = (JOINT(model, {**batches, "boxes": b}, moment=NOW) for b in (scenes, double))
    for name, factor in (("class", 2), ("box", 2), ("foreground", 1), ("rpn_box", 1)):
        assert two[name].total.item() == pytest.approx(factor * one[name].total.item(), rel=1e-5)


def test_every_level_that_regions_come_from_is_taught_by_photos() -> None:
    model = _model(Resnet())
    losses = CLASSIFY(model, {"labels": batch([0, 1], size=64, objects=0)}, moment=NOW)
    levels = model.image_logits(batch([0, 1], size=64, objects=0))
    assert levels.shape[:2] == (2, 3)
    labels = batch([0, 1], size=64, objects=0).present
    wanted = -torch.log_softmax(levels, 2)[torch.arange(2), :, labels].mean(1).sum()
    assert losses["image"].total.item() == pytest.approx(wanted.item(), rel=1e-4)
