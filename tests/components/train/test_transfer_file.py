"""A fitted transfer through its door, and out to plain rows of any classes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from components.models.choices import Small
from components.models.class_weights import ClassWeights, ExportedScorer
from components.models.scores import LinearScorer
from components.models.two_stage import build
from components.train.checkpoint import ALL_PARTS, Record, load_model, save_model
from components.train.class_groups import transferred
from components.train.export_model import export_model
from components.train.source_file import OpenedSource
from components.train.transfer_file import (
    FittedTransfer,
    TransferRecord,
    load_transfer,
    save_transfer,
)
from components.train.weights_file import DamagedError, WeightsError
from components.transfer.methods import Transfer
from components.transfer.rows import make
from components.transfer.source import SourceError, SourceWeights
from components.transfer.transfers import TRANSFERS
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import batch

WIDTH = 64  # of rows and features
BOXED = Vocabulary.of(["fine:b", "fine:other", "fine:c", "fine:strange"])
SOURCE = Vocabulary.of([f"fine:{name}" for name in ("b", "c", *(f"n{i:03}" for i in range(150)))])
SHARED = tuple(int(row) for row in BOXED.mapping(SOURCE))


def source(*, bias: float = 1.0) -> OpenedSource:
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(len(SOURCE), WIDTH, generator=generator)
    weights = SourceWeights(
        vocabulary=SOURCE,
        weight=rows,
        bias=bias * torch.randn(len(SOURCE), generator=generator),
    )
    return OpenedSource(weights=weights, feature="trunk", where="src")


def fitted(method: str, *, width: int = WIDTH) -> FittedTransfer:
    """Return a transfer whose every weight is another than at the start, as after a fit."""
    settings = Transfer(method=method)  # type: ignore[arg-type]
    given = source().weights
    rows = make(
        settings, source_KD=given.weight, source_bias_K=given.bias, inputs=WIDTH,
        shared_C=torch.tensor(SHARED), features=width, seed=0,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in rows.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    record = TransferRecord(
        settings=settings, boxed=BOXED.ids, shared=SHARED, inputs=WIDTH, features=width,
        feature="head",
    )  # fmt: skip
    return FittedTransfer(rows=rows.eval(), record=record)


def scored(one: FittedTransfer, x: Tensor, **how) -> tuple[Tensor, tuple[str, ...]]:
    """Return the scores of an exported group of it, by class."""
    group = transferred(one.rows, one.record, boxed=BOXED, **how)
    scorer = ExportedScorer(ClassWeights(boxed=group), foreground=LinearScorer(x.shape[1], 1))
    return scorer.eval().probabilities(x)[1], group.vocabulary.ids


@pytest.mark.parametrize("method", TRANSFERS)
def test_every_method_answers_as_the_rows_it_was_fitted_as(method: str) -> None:
    one, x = fitted(method), torch.randn(9, WIDTH)
    with torch.no_grad():
        logits = one.rows.logits(x)
    soft = TRANSFERS[method].rule == "softmax"  # type: ignore[index]
    found, ids = scored(one, x)
    assert ids == BOXED.ids
    wanted = logits.softmax(1) if soft else logits.sigmoid()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    with_source, ids = scored(one, x, source=source())
    assert ids == BOXED.ids + tuple(i for i in SOURCE.ids if i not in BOXED.ids)
    if not soft:
        torch.testing.assert_close(with_source[:, :4], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", TRANSFERS)
def test_classes_exported_alone_have_the_bits_they_have_among_all(method: str) -> None:
    one = fitted(method)
    whole = transferred(one.rows, one.record, boxed=BOXED, source=source())
    place = {class_id: i for i, class_id in enumerate(whole.vocabulary.ids)}
    for ids in (
        ("fine:n149",), ("fine:n003", "fine:other", "fine:b", "fine:n100"), SOURCE.ids[70:],
    ):  # fmt: skip
        some = transferred(one.rows, one.record, boxed=BOXED, source=source(), ids=ids)
        rows = [place[i] for i in ids]
        assert torch.equal(some.weight, whole.weight[rows])
        assert torch.equal(some.bias, whole.bias[rows])


def test_a_class_never_met_is_scored_by_its_row() -> None:
    one = fitted("ae_wtn")
    given = source()
    new = SourceWeights(vocabulary=Vocabulary.of(["fine:new"]), weight=torch.ones(1, WIDTH))
    added = replace(given, weights=new)
    group = transferred(one.rows, one.record, boxed=BOXED, source=added, ids=["fine:new"])
    assert torch.equal(group.weight, one.rows.rows(torch.ones(1, WIDTH)))
    assert group.bias.tolist() == [one.rows.bias.item()]


@pytest.mark.parametrize("method", ["ae_wtn", "lsda", "zsd", "residual_feature", "nearest"])
def test_what_was_saved_is_loaded(tmp_path: Path, method: str) -> None:
    one, x = fitted(method), torch.randn(9, WIDTH)
    save_transfer(tmp_path, one)
    before = (tmp_path / "transfer.safetensors").read_bytes()
    again = load_transfer(tmp_path)
    assert again.record == one.record
    for how in ({}, {"source": source()}):
        assert torch.equal(scored(one, x, **how)[0], scored(again, x, **how)[0])
    save_transfer(tmp_path, again)
    assert (tmp_path / "transfer.safetensors").read_bytes() == before


def test_a_transfer_that_was_changed_is_refused(tmp_path: Path) -> None:
    save_transfer(tmp_path, fitted("wtn"))
    record = tmp_path / "transfer.json"
    good = json.loads(record.read_text())
    for change, error, said in (
        ({"version": 2}, WeightsError, "version 1 is read here; got 2"),
        ({"feature": "pixels"}, DamagedError, "no usable feature 'pixels'"),
        ({"shared": [0]}, DamagedError, "one number a boxed class"),
        ({"settings": {"method": "magic"}}, DamagedError, "no usable"),
        ({"inputs": WIDTH * 2}, WeightsError, "of another shape"),
    ):
        record.write_text(json.dumps(good | change))
        with pytest.raises(error, match=said):
            load_transfer(tmp_path)
    record.write_text(json.dumps(good))
    weights = tmp_path / "transfer.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DamagedError, match="changed since it was written"):
        load_transfer(tmp_path)
    bad = fitted("wtn")
    with torch.no_grad():
        next(bad.rows.parameters()).fill_(float("nan"))
    with pytest.raises(WeightsError, match=r"holds NaN or infinity"):
        save_transfer(tmp_path, bad)


def test_rows_of_another_classifier_are_refused() -> None:
    one, other = fitted("wtn"), source()
    other.weights.weight[SOURCE.index("fine:c")] += 1
    with pytest.raises(SourceError, match=r"src: .* got other numbers for class 'fine:c'"):
        transferred(one.rows, one.record, boxed=BOXED, source=other)
    narrow = SourceWeights(vocabulary=Vocabulary.of(["fine:new"]), weight=torch.ones(1, 9))
    with pytest.raises(SourceError, match="got 9 channels for 64"):
        transferred(one.rows, one.record, boxed=BOXED, source=replace(other, weights=narrow))
    with pytest.raises(SourceError, match=r"got 1 that neither has: 'fine:n000'. There are 4"):
        transferred(one.rows, one.record, boxed=BOXED, ids=["fine:b", "fine:n000"])


def test_a_detector_with_a_transfer_is_exported_and_more_is_added_later(tmp_path: Path) -> None:
    none = Vocabulary(ids=(), names=())
    detector = build(Small(), boxed=BOXED, labelled=none, seed=3)
    record = Record(backbone=Small(), boxed=BOXED, labelled=none, size=64, parts=ALL_PARTS)
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
    save_model(tmp_path / "a", detector, record)
    one = fitted("ae_wtn", width=256)
    save_transfer(tmp_path / "a", one)
    made = export_model(tmp_path / "a", out=tmp_path / "b", fitted=load_transfer(tmp_path / "a"))
    assert made.groups == {"boxed": 4}
    again = export_model(
        tmp_path / "b", out=tmp_path / "c", source=source(), fitted=load_transfer(tmp_path / "b")
    )
    assert again.classes == 4 + 150
    straight = export_model(
        tmp_path / "a", out=tmp_path / "d", source=source(), fitted=load_transfer(tmp_path / "a")
    )
    assert straight.groups == again.groups
    for name in ("classes.safetensors", "transfer.safetensors", "vocabulary.json"):
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "d" / name).read_bytes()
    loaded, found = load_model(tmp_path / "c")
    pictures = batch([0], size=64, objects=2)
    (regions,) = loaded.regions(pictures)
    with torch.no_grad():
        maps = detector.eval().maps(pictures)
        x = detector.features(maps, detector.propose(maps, pictures).boxes)
        wanted = one.rows.logits(x).sigmoid()
    torch.testing.assert_close(regions.boxed[:, :4], wanted, rtol=0, atol=1e-5)
    assert regions.foreground.unique().tolist() == [1.0]
    assert found.boxed.ids[:4] == BOXED.ids
    assert sum(p.numel() for p in loaded.parameters()) == sum(
        p.numel()
        for m in (loaded.trunk, loaded.pyramid, loaded.proposals, loaded.region_head, loaded.refine)
        for p in m.parameters()
    ) + 154 * (256 + 1)  # the modules of Faster R-CNN, and a row and a bias a class
