"""An exported detector answers as the one it was made of, whatever its classes came from."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from components.models.choices import Small
from components.models.two_stage import build
from components.train.checkpoint import (
    ALL_PARTS,
    STAGE1_PARTS,
    ModelError,
    continue_from,
    load_model,
    read_record,
)
from components.train.export_model import export_model
from components.train.source_file import open_source
from components.train.weights_file import DamagedError, WeightsError
from components.transfer.source import SourceError, SourceWeights
from components.vocab.classes import Vocabulary, union
from tests.components.train.small_exports import (
    BOXED,
    EXPORTED,
    LABELLED,
    SOURCE,
    model,
    scores,
    source,
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_decoupled_detector_answers_as_before(tmp_path: Path, dtype: str) -> None:
    before = model(tmp_path / "a", dtype=dtype)
    made = export_model(before, out=tmp_path / "b")
    assert (made.classes, made.groups, made.left_out) == (5, {"boxed": 3, "labelled": 3}, ())
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == EXPORTED
    ids = union(BOXED, LABELLED).ids
    for wanted, found in zip(scores(before, ids), scores(tmp_path / "b", ids), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert not list(tmp_path.glob(".b-*"))


@pytest.mark.parametrize(
    "ids", [("fine:e",), ("fine:a", "fine:b"), ("coarse:x",), ("fine:e", "fine:b", "fine:c")]
)
def test_some_classes_alone_answer_as_before(tmp_path: Path, ids: tuple[str, ...]) -> None:
    before = model(tmp_path / "a")
    made = export_model(before, out=tmp_path / "b", ids=ids)
    assert made.classes == len(ids)
    record = read_record(tmp_path / "b")
    assert set(union(record.boxed, record.labelled).ids) == set(ids)
    for wanted, found in zip(scores(before, ids), scores(tmp_path / "b", ids), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_equal_exports_have_equal_bytes_and_what_is_read_is_what_was_written(
    tmp_path: Path,
) -> None:
    before = model(tmp_path / "a")
    own = {p.name: p.read_bytes() for p in before.iterdir()}
    for name in ("b", "c"):
        export_model(before, out=tmp_path / name)
    for file in (tmp_path / "b").iterdir():
        assert file.read_bytes() == (tmp_path / "c" / file.name).read_bytes()
        assert str(tmp_path).encode() not in file.read_bytes()
        assert file.stat().st_mode == (before / "model.json").stat().st_mode
    assert {p.name: p.read_bytes() for p in before.iterdir()} == own
    record = json.loads((tmp_path / "b" / "model.json").read_text())
    assert set(record["digests"]) == {"classes.safetensors", "model.safetensors"}
    assert record["parts"] == [p for p in ALL_PARTS if p not in ("boxed", "labelled")]
    assert record["training"]["steps"] == 7
    export_model(before, out=tmp_path / "b", ids=["fine:e"])  # in its place
    assert read_record(tmp_path / "b").boxed.ids == ("fine:e",)


@pytest.mark.parametrize("raised", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("after", [False, True])
def test_what_is_there_is_kept_where_the_new_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], after: bool
) -> None:
    """Stopped between two renames: the second does not come, or the signal is before it."""
    before, out = model(tmp_path / "a"), tmp_path / "b"
    export_model(before, out=out, ids=["fine:e"])
    was = {p.name: p.read_bytes() for p in out.iterdir()}
    rename = os.rename

    def stopped(source, target) -> None:
        away = str(source) == str(out)
        if away and after:
            rename(source, target)
        if (away and after) or (not after and Path(source).name == "half"):
            monkeypatch.undo()
            raise raised("stopped")
        rename(source, target)

    monkeypatch.setattr(os, "rename", stopped)
    with pytest.raises(raised, match="stopped"):
        export_model(before, out=out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == was
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    export_model(before, out=out)
    assert len(read_record(out).boxed) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_classes_that_were_changed_or_put_there_are_refused(tmp_path: Path) -> None:
    before = model(tmp_path / "a")
    export_model(before, out=tmp_path / "b")
    classes = tmp_path / "b" / "classes.safetensors"
    data = classes.read_bytes()
    (before / "classes.safetensors").write_bytes(data)
    with pytest.raises(DamagedError, match="not a part of this model"):
        load_model(before)
    classes.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DamagedError, match="changed since it was written"):
        load_model(tmp_path / "b")
    classes.unlink()
    with pytest.raises(DamagedError, match="No such file"):
        load_model(tmp_path / "b")


def test_training_goes_on_from_the_parts_that_are_there(tmp_path: Path) -> None:
    before = model(tmp_path / "a")
    export_model(before, out=tmp_path / "b", source=source(256))
    fresh = build(Small(), boxed=BOXED, labelled=LABELLED, seed=9)
    own = fresh.scores.boxed.weight.clone()
    parts = continue_from(fresh, tmp_path / "b", backbone=Small())
    assert "boxed" not in parts
    assert torch.equal(fresh.scores.boxed.weight, own)
    old, _ = load_model(before)
    assert torch.equal(fresh.refine.weight, old.refine.weight)
    assert torch.equal(fresh.scores.foreground.weight, old.scores.foreground.weight)


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    before = model(tmp_path / "a")
    out = tmp_path / "b"
    with pytest.raises(SourceError, match=r"got 9 numbers a class, and its head has 256 features"):
        export_model(before, out=out, source=source(9))
    with pytest.raises(SourceError, match=r"got 2 that neither has: 'fine:z', 'q'. There are"):
        export_model(before, out=out, ids=["fine:z", "fine:e", "q"])
    with pytest.raises(SourceError, match=r"got 1 that neither has: 'fine:z'"):
        export_model(before, out=out, ids=["fine:z"])
    with pytest.raises(SourceError, match=r"got 1 that neither has: 'fine:a'"):
        export_model(before, out=out, ids=["fine:a", "fine:n1"], source=source(256))
    with pytest.raises(SourceError, match=r"context: of a classifier's own rows .* got 0.5"):
        export_model(before, out=out, source=source(256), context=0.5)
    stage1 = model(tmp_path / "s", parts=STAGE1_PARTS)
    with pytest.raises(ModelError, match="trained to classify, not to find boxes"):
        export_model(stage1, out=out)
    export_model(before, out=out)
    with pytest.raises(SourceError, match="holds exported classes"):
        open_source(out)
    nan = source(256)
    nan.weights.weight[1, 3] = float("nan")
    before_bytes = (out / "classes.safetensors").read_bytes()
    with pytest.raises(WeightsError, match="NaN"):
        export_model(before, out=out, source=replace(nan))
    assert (out / "classes.safetensors").read_bytes() == before_bytes
    assert not list(tmp_path.glob(".b-*"))


def test_more_classes_are_added_to_what_was_exported(tmp_path: Path) -> None:
    """Rows of the head here: what a model answered it still does, by the same numbers."""
    before = model(tmp_path / "a")
    first, second = source(256), source(256)
    export_model(before, out=tmp_path / "b", source=first, own="lacking")
    more = Vocabulary.of(["fine:n2", "fine:n3"])
    weight, bias = torch.randn(2, 256), torch.randn(2)
    new = SourceWeights(vocabulary=more, weight=weight, bias=bias)
    made = export_model(tmp_path / "b", out=tmp_path / "c", source=replace(second, weights=new))
    assert (made.classes, made.left_out) == (6, ())
    detector, _ = load_model(tmp_path / "c")
    assert detector.labelled.ids == ("fine:b", "fine:n1", "fine:n2", "fine:n3")
    rows = detector.exported.groups["labelled"].linear
    old = first.weights
    assert torch.equal(rows.weight, torch.cat([old.weight[:2], weight]))
    assert torch.equal(rows.bias, torch.cat([old.bias[:2], bias]))
    ids = ["fine:c", "fine:e"]  # boxed, and left as they were
    for a, b in zip(scores(tmp_path / "b", ids), scores(tmp_path / "c", ids), strict=True):
        assert torch.equal(a, b)
    few = export_model(tmp_path / "c", out=tmp_path / "d", ids=["fine:n3", "fine:c"])
    assert few.groups == {"boxed": 1, "labelled": 1}
    for a, b in zip(scores(tmp_path / "c", ["fine:n3"]), scores(tmp_path / "d", ["fine:n3"]),
                    strict=True):  # fmt: skip
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    with pytest.raises(SourceError, match="got 1 that neither has: 'fine:n9'"):
        export_model(tmp_path / "c", out=tmp_path / "e", ids=["fine:n9"])
    with pytest.raises(SourceError, match=r"scored as those that are there; got feature|rows that"):
        export_model(tmp_path / "c", out=tmp_path / "e", source=source(64))


@pytest.mark.parametrize(("own", "boxed"), [("all", "bce"), ("lacking", "ce")])
def test_a_model_that_was_exported_keeps_its_own_as_one_that_was_trained(
    tmp_path: Path, own: Literal["all", "lacking"], boxed: str
) -> None:
    """A boxed class that the source has too: both fused, or the source's alone."""
    before, given = model(tmp_path / "a", labelled=Vocabulary(ids=(), names=())), source(256)
    export_model(before, out=tmp_path / "plain")
    for name in ("a", "plain"):
        export_model(tmp_path / name, out=tmp_path / f"{name}-more", source=given, own=own)
        assert read_record(tmp_path / f"{name}-more").boxed.ids == tuple(f"fine:{c}" for c in boxed)
    ids = union(BOXED, SOURCE).ids
    trained, exported = (scores(tmp_path / f"{name}-more", ids) for name in ("a", "plain"))
    for a, b in zip(trained, exported, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_a_model_whose_own_are_all_in_the_source_keeps_none_of_them(tmp_path: Path) -> None:
    before = model(tmp_path / "a", labelled=Vocabulary(ids=(), names=()))
    export_model(before, out=tmp_path / "b", ids=["fine:b"])
    made = export_model(tmp_path / "b", out=tmp_path / "c", source=source(256), own="lacking")
    assert (made.groups, made.left_out) == ({"labelled": 3}, ())
