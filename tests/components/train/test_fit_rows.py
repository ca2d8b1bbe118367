import math

import pytest
import torch
from torch import Tensor

from components.shapes import NotFiniteError, ShapeError
from components.train.fit_rows import (
    FeaturesError,
    RegionBatch,
    _batches,
    fit_rows,
    sigmoid_loss,
    softmax_loss,
)
from components.train.loop import StepError
from components.transfer.methods import FitRows, Transfer
from components.transfer.rows import ClassRows, make
from components.transfer.transfers import TRANSFERS

D, K = 16, 20
G = torch.Generator().manual_seed(0)
SOURCE = torch.randn(K, D, generator=G)
BOXED = torch.tensor([3, -1, 12, 7])
LABELS = torch.arange(120) % 5 - 1
CENTRES = torch.randn(4, D, generator=G) * 3
FEATURES = torch.where(
    LABELS[:, None] >= 0, CENTRES[LABELS.clamp(min=0)], torch.zeros(())
) + 0.5 * torch.randn(120, D, generator=G)


def built(method: str = "ae_wtn", *, source: Tensor = SOURCE, **more) -> ClassRows:
    return make(Transfer(method=method, **more), source_KD=source, inputs=source.shape[1],
                features=D, shared_C=BOXED, seed=0)  # fmt: skip


def quiet(step: int, values: dict[str, float]) -> None:
    del step, values


@pytest.mark.parametrize("method", TRANSFERS)
def test_every_method_learns_to_tell_the_boxed_classes(method: str) -> None:
    rows, said = built(method, lr=0.01), []
    found = fit_rows(
        rows, features_RF=FEATURES, labels_R=LABELS, cfg=FitRows(steps=120, regions=64, lr=0.02),
        say=lambda step, values: said.append((step, values)),
    )  # fmt: skip
    assert not rows.training
    if method == "direct":  # only the class that the source lacks has something to learn
        assert found["train/loss_class"] < said[0][1]["train/loss_class"]
        return
    shown = LABELS >= 0
    right = rows.logits(FEATURES[shown]).argmax(1) == LABELS[shown]
    assert right.double().mean() > 0.9
    assert [step for step, _ in said] == [20, 40, 60, 80, 100, 120]
    assert found == said[-1][1]
    assert ("train/loss_transfer" in found) == rows.has_penalty
    assert found["train/loss_class"] < said[0][1]["train/loss_class"]


def test_direct_has_nothing_to_fit() -> None:
    rows = make(Transfer(method="direct"), source_KD=SOURCE, inputs=D, features=D,
                shared_C=BOXED[BOXED >= 0], seed=0)  # fmt: skip
    before = {k: v.clone() for k, v in rows.state_dict().items()}
    labels = torch.where(LABELS == 3, -1, LABELS)
    assert fit_rows(rows, features_RF=FEATURES, labels_R=labels, cfg=FitRows(), say=quiet) == {}
    assert all(torch.equal(v, before[k]) for k, v in rows.state_dict().items())


def slow_sigmoid(logits: list[list[float]], labels: list[int]) -> float:
    """Twice the mean over regions of the sum over classes of the cross-entropy."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        for c, z in enumerate(row):
            p = 1 / (1 + math.exp(-z))
            total -= math.log(p if c == label else 1 - p)
    return 2 * total / len(labels)


def slow_softmax(logits: list[list[float]], labels: list[int], smoothing: float) -> float:
    """Return the mean over objects; a label is 1 - s, and every class has s / C more."""
    total, objects = 0.0, 0
    for row, label in zip(logits, labels, strict=True):
        if label < 0:
            continue
        whole = sum(math.exp(z) for z in row)
        objects += 1
        for c, z in enumerate(row):
            target = (1 - smoothing) * (c == label) + smoothing / len(row)
            total -= target * math.log(math.exp(z) / whole)
    return total / objects


def batch(count: int = 10) -> RegionBatch:
    return RegionBatch(x=FEATURES[:count] * 0.1, labels=LABELS[:count], row=torch.arange(count))


def test_losses_are_the_equations() -> None:
    rows = built("nearest").eval()
    logits, labels = rows.logits(batch().x).tolist(), batch().labels.tolist()
    found = sigmoid_loss(rows, batch())["class"]
    mean = (found.total / found.count).item()
    assert mean == pytest.approx(slow_sigmoid(logits, labels), rel=1e-5)
    found = softmax_loss(rows, batch(), smoothing=0.1)["class"]
    mean = (found.total / found.count).item()
    assert mean == pytest.approx(slow_softmax(logits, labels, 0.1), rel=1e-5)


def test_the_first_loss_of_an_autoencoder_is_known() -> None:
    """Rows of 0: half of the regions empty, four classes, .01 each; and the reconstruction."""
    rows = built()
    with torch.no_grad():
        rows.other_rows.zero_()
    found = sigmoid_loss(rows, batch(10))
    objects = int((batch(10).labels >= 0).sum())
    wanted = 2 * (-4 * 10 * math.log(0.99) + objects * (math.log(0.99) - math.log(0.01)))
    assert found["class"].total.item() == pytest.approx(wanted, rel=1e-5)
    assert found["transfer"].total.item() == pytest.approx(8.49, rel=0.05)


def fitted(seed: int, method: str = "wtn_plus_dropout") -> dict[str, Tensor]:
    rows = built(method)
    cfg = FitRows(steps=12, regions=32, seed=seed)
    fit_rows(rows, features_RF=FEATURES, labels_R=LABELS, cfg=cfg, say=quiet)
    return rows.state_dict()


def test_a_seed_gives_the_same_bits_and_another_seed_others() -> None:
    torch.manual_seed(1)
    first = fitted(5)
    torch.manual_seed(2)
    second, other = fitted(5), fitted(6)
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    assert any(not torch.equal(v, other[k]) for k, v in first.items())


def test_the_source_is_as_it_was_and_norms_do_not_decay() -> None:
    """Traps 5 and 6: a decay so strong that all that has it is gone."""
    source = SOURCE.clone()
    rows = built(source=source, weight_decay=10.0, lr=0.1)
    with torch.no_grad():
        rows.mapping.encoder[1].weight.fill_(1.0)
    before = rows.mapping.encoder[0].weight.abs().mean().item()
    cfg = FitRows(steps=10, regions=16, lr=1e-6)
    fit_rows(rows, features_RF=FEATURES, labels_R=LABELS, cfg=cfg, say=quiet)
    assert torch.equal(source, SOURCE)
    assert torch.equal(rows.all_source, SOURCE)
    assert torch.equal(rows.shared_source, SOURCE[BOXED[BOXED >= 0]])
    assert rows.mapping.encoder[0].weight.abs().mean().item() < 0.8 * before
    assert rows.mapping.encoder[1].weight.mean().item() > 0.3


def test_only_background_among_many_or_none_at_all() -> None:
    """Objects are drawn as often as asked, also where they are rare or all there is."""
    labels = torch.full((120,), -1)
    labels[7] = 2
    for given, features in ((labels, FEATURES), (labels[7:8], FEATURES[7:8])):
        rows = built("nearest")
        cfg = FitRows(steps=40, regions=8)
        fit_rows(rows, features_RF=features, labels_R=given, cfg=cfg, say=quiet)
        assert int(rows.logits(FEATURES[7:8]).argmax()) == 2


@pytest.mark.parametrize(("rule", "objects", "others"), [("sigmoid", 24, 8), ("softmax", 24, 0)])
def test_a_step_has_its_share_of_objects(rule: str, objects: int, others: int) -> None:
    """A softmax has no use for background; what is drawn follows from seed and step alone."""
    cfg = FitRows(regions=32, objects=0.75, seed=3)
    first, again = (_batches(FEATURES, LABELS, cfg=cfg, rule=rule) for _ in range(2))
    before = None
    for _ in range(4):
        one, same = next(first)["regions"], next(again)["regions"]
        assert (int((one.labels >= 0).sum()), int((one.labels < 0).sum())) == (objects, others)
        assert torch.equal(one.x, FEATURES[one.row])
        assert torch.equal(one.labels, LABELS[one.row])
        assert torch.equal(one.row, same.row)
        assert before is None or not torch.equal(one.row, before)
        before = one.row


@pytest.mark.parametrize(
    ("features", "labels", "error", "words"),
    [
        (FEATURES[:5], LABELS[:4], ShapeError, r"labels_R: expected shape \[R\], R=5"),
        (FEATURES[:, :3], LABELS, ShapeError, r"features_RF: expected shape \[R, F\], F=16"),
        (FEATURES * math.nan, LABELS, NotFiniteError, "features_RF: not finite"),
        (FEATURES, LABELS + 1, FeaturesError, "labels from -1 to 3; got 0 to 4"),
        (FEATURES, LABELS - 1, FeaturesError, "labels from -1 to 3; got -2 to 2"),
        (FEATURES, LABELS * 0 - 1, FeaturesError, "no region shows a boxed class; got 120 regions"),
        (FEATURES[:0], LABELS[:0], FeaturesError, "got 0 regions"),
    ],
)
def test_bad_features_are_refused(features, labels, error, words) -> None:
    with pytest.raises(error, match=words):
        fit_rows(built(), features_RF=features, labels_R=labels, cfg=FitRows(), say=quiet)


def test_a_training_that_overflows_ends_with_its_step() -> None:
    with pytest.raises(StepError, match=r"training, step \d+: not finite; .* Rows: regions \["):
        fit_rows(built("nearest"), features_RF=FEATURES * 1e20, labels_R=LABELS,
                 cfg=FitRows(steps=9, lr=1e9, clip=1e30), say=quiet)  # fmt: skip
