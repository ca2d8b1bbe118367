"""Rows of a fitted transfer in an exported model: each class's own, and biases that are there."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from components.models.class_weights import ClassGroup, GroupScorer
from components.train.class_file import read_classes
from components.train.class_groups import transferred
from components.train.export_model import export_model
from components.train.source_file import OpenedSource
from components.train.transfer_file import FittedTransfer, record_of
from components.transfer.methods import Method, Transfer
from components.transfer.rows import make
from components.transfer.source import SourceError, SourceWeights
from components.transfer.transfers import TRANSFERS
from components.vocab.classes import Vocabulary
from tests.components.train.small_exports import BOXED, model

HEAD = 256  # features of the small model's head
SOURCE = Vocabulary.of(["fine:b", "fine:c", "fine:n1", "fine:n2"])  # not: fine:e
SHARED = BOXED.mapping(SOURCE)
BIASES = torch.tensor([-3.0, -4.0, -2.0, -3.5])
SOFTMAX = [method for method, row in TRANSFERS.items() if row.rule == "softmax"]


def source(*, bias: Tensor | None = BIASES, twins: bool = False) -> OpenedSource:
    weight = torch.randn(4, HEAD, generator=torch.Generator().manual_seed(2))
    if twins:
        weight[1] = weight[0]
    weights = SourceWeights(vocabulary=SOURCE, weight=weight, bias=bias)
    return OpenedSource(weights=weights, feature="head", where="src.parquet")


def fitted(method: Method, given: OpenedSource) -> FittedTransfer:
    """Return a transfer whose every weight is another than at the start."""
    weights = given.weights
    rows = make(Transfer(method=method), source_KD=weights.weight, source_bias_K=weights.bias,
                inputs=HEAD, shared_C=torch.from_numpy(SHARED), features=HEAD, seed=0)  # fmt: skip
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in rows.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.03)
    return FittedTransfer(rows=rows.eval(), record=record_of(rows, boxed=BOXED, feature="head"))


def written(folder: Path) -> ClassGroup:
    group = read_classes(folder / "classes.safetensors").boxed
    assert group is not None
    return group


@pytest.mark.parametrize("method", SOFTMAX)
def test_new_classes_without_biases_are_refused_where_the_fit_had_them(
    tmp_path: Path, method: Method
) -> None:
    """A bias of 0 beside ones of -3 would be three logits for nothing."""
    before, one = model(tmp_path / "a"), fitted(method, source())
    bare = source(bias=None)
    said = f"{method}: fitted with the source's biases; got rows without"
    for ids in (None, ["fine:n2"], ["fine:e", "fine:n1", "fine:b"]):
        with pytest.raises(SourceError, match=said):
            export_model(before, out=tmp_path / "b", source=bare, fitted=one, ids=ids)
    assert not (tmp_path / "b").exists()
    export_model(before, out=tmp_path / "b", fitted=one)
    with pytest.raises(SourceError, match=said):  # to what was exported
        export_model(tmp_path / "b", out=tmp_path / "c", source=bare, fitted=one)
    ids = ["fine:c", "fine:e", "fine:b"]  # no new one: the fit's own are known
    export_model(before, out=tmp_path / "d", source=bare, fitted=one, ids=ids)
    wanted = [-4.0, float(one.rows.other().bias), -3.0]
    assert written(tmp_path / "d").bias.tolist() == wanted


@pytest.mark.parametrize("method", SOFTMAX)
def test_new_classes_have_the_biases_that_are_given(tmp_path: Path, method: Method) -> None:
    before, one = model(tmp_path / "a"), fitted(method, source())
    ids = ["fine:n2", "fine:b", "fine:n1"]
    export_model(before, out=tmp_path / "b", source=source(), fitted=one, ids=ids)
    assert written(tmp_path / "b").bias.tolist() == [-3.5, -3.0, -2.0]
    none = source(bias=None)
    export_model(before, out=tmp_path / "c", source=none, fitted=fitted(method, none), ids=ids)
    assert written(tmp_path / "c").bias.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("method", TRANSFERS)
def test_boxed_classes_of_one_source_row_answer_as_trained(tmp_path: Path, method: Method) -> None:
    """Two kinds of "crane" have one word vector; each was taught by its own boxes."""
    given = source(twins=True)
    one, before = fitted(method, given), model(tmp_path / "a")
    x = 0.1 * torch.randn(9, HEAD, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        wanted = one.rows.logits(x)
    for i, how in enumerate(({}, {"source": given}, {"source": given, "ids": BOXED.ids})):
        export_model(before, out=tmp_path / f"b{i}", fitted=one, **how)
        group = written(tmp_path / f"b{i}")
        assert group.vocabulary.ids[:3] == BOXED.ids
        with torch.no_grad():
            found = GroupScorer(group).eval()(x)[:, :3]
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    if method in ("nearest", "lsda", "lsda_visual"):
        assert (wanted[:, 0] - wanted[:, 1]).abs().max() > 0.01


@pytest.mark.parametrize("method", ["nearest", "lsda", "lsda_visual"])
def test_a_new_class_of_a_shared_ones_source_row_is_no_shared_class(method: Method) -> None:
    """Who has boxes is said by the id: `fine:n1` has only the neighbours' rows, as others have."""
    given = source()
    given.weights.weight[2] = given.weights.weight[0]
    one = fitted(method, given)
    group = transferred(one.rows, one.record, boxed=BOXED, source=replace(given))
    at = group.vocabulary.ids.index("fine:n1")
    none = torch.full((1,), -1)
    alone = one.rows.rows(given.weights.weight[2:3], shared_M=none)
    assert torch.equal(group.weight[at], alone[0])
    own = group.weight[group.vocabulary.ids.index("fine:b")]
    assert torch.equal(own, alone[0]) == (method == "nearest")
