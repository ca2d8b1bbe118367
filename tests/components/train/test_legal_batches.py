"""Batches that are odd and legal, for every objective: losses and gradients stay finite."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from components.data.sample import Batch
from components.models.choices import Small, Stage1, Stage2
from components.models.two_stage import PooledClassifier, build
from components.train.assign import Moment
from components.train.loop import combine
from components.train.objective import for_classify, for_joint
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import CLASSES, batch


def _unknown(photos: Batch) -> Batch:
    none = torch.zeros(0, dtype=torch.int64)
    return dataclasses.replace(
        photos, present=none, present_offsets=torch.zeros(len(photos) + 1, dtype=torch.int64)
    )


SCENES = {
    "boxes": lambda: batch([0, 1], size=64, objects=3),
    "no box in an image": lambda: _only_first(batch([0, 1], size=64, objects=3)),
    "no image with boxes": lambda: batch([0, 1], size=64, objects=0),
    "a batch of one": lambda: batch([3], size=64, objects=2),
    "all labels unknown": lambda: _strange(batch([0, 1], size=64, objects=2)),
}
PHOTOS = {
    "labels": lambda: batch([5, 6], size=32, objects=0),
    "a batch of one": lambda: batch([5], size=32, objects=0),
    "all labels unknown": lambda: _unknown(batch([5, 6], size=32, objects=0)),
}


def _only_first(scenes: Batch) -> Batch:
    """Take the boxes of the second picture away."""
    n = int(scenes.offsets[1])
    fields = ("boxes", "labels", "flags", "weights")
    cut: dict[str, Tensor] = {name: getattr(scenes, name)[:n] for name in fields}
    return dataclasses.replace(scenes, offsets=torch.tensor([0, n, n]), **cut)


def _strange(scenes: Batch) -> Batch:
    return dataclasses.replace(scenes, labels=torch.full_like(scenes.labels, -1))


@pytest.mark.parametrize("multi", ["soft", "sigmoid"])
@pytest.mark.parametrize("scenes", SCENES)
@pytest.mark.parametrize("photos", PHOTOS)
def test_every_legal_batch_has_finite_losses_and_gradients(
    scenes: str, photos: str, multi: str
) -> None:
    known = Vocabulary.of(f"fine:{i}" for i in range(CLASSES))
    model = build(Small(), boxed=known, labelled=known)
    batches = {"boxes": SCENES[scenes](), "labels": PHOTOS[photos]()}
    objective = for_joint(Stage2(multi=multi))
    loss, values = combine(objective(model, batches, moment=Moment(seed=0, step=0)))
    assert all(math.isfinite(value) for value in values.values()), values
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(g.isfinite().all() for g in gradients)
    if scenes in ("no image with boxes", "all labels unknown"):
        assert values["class"] == values["box"] == 0
    if photos == "all labels unknown":
        assert values["image"] == 0


@pytest.mark.parametrize("classes", [0, 1])
def test_one_class_or_none_is_legal(classes: int) -> None:
    known = Vocabulary.of(f"fine:{i}" for i in range(classes))
    model = build(Small(), boxed=known, labelled=known)
    scenes = batch([0, 1], size=64, objects=3)
    seen = torch.zeros_like(scenes.labels) if classes else torch.full_like(scenes.labels, -1)
    photos = batch([5, 6], size=32, objects=0)
    photos = (
        dataclasses.replace(photos, present=torch.zeros_like(photos.present))
        if classes
        else _unknown(photos)
    )
    batches = {"boxes": dataclasses.replace(scenes, labels=seen), "labels": photos}
    loss, values = combine(for_joint(Stage2())(model, batches, moment=Moment(seed=0, step=0)))
    loss.backward()
    assert values["class"] == values["image"] == 0
    assert all(math.isfinite(value) for value in values.values())
    pooled = [PooledClassifier(model, seed=0)] if classes else []
    for module in (model, *pooled):
        for multi in ("soft", "sigmoid"):
            objective = for_classify(Stage1(multi=multi))
            alone = objective(module, {"labels": photos}, moment=Moment(seed=0, step=0))
            assert math.isfinite(combine(alone)[1]["loss"])
