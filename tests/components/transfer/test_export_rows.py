"""What an export owes: the bits of a class on its own, and the scores of the trained detector."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.nn import functional

from components.models.class_weights import ClassGroup, GroupScorer
from components.transfer.methods import Transfer
from components.transfer.rows import ClassRows, make
from components.transfer.source import SourceError
from components.transfer.transfers import TRANSFERS
from components.vocab.classes import Vocabulary


def built(method: str, source_KD: Tensor, *, features: int, boxed_C: Tensor) -> ClassRows:
    """Return rows whose parameters are all away from their start."""
    width = source_KD.shape[1]
    features = width if TRANSFERS[method].width == "source" else features
    rows = make(Transfer(method=method), source_KD=source_KD, inputs=width, features=features,
                shared_C=boxed_C, seed=0)  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in rows.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return rows.eval()


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def _same_alone(rows: ClassRows, source_KD: Tensor, picks: list[list[int]]) -> None:
    whole = rows.rows(source_KD)
    for picked in picks:
        assert torch.equal(rows.rows(source_KD[picked]), whole[picked]), picked


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(sorted(TRANSFERS)),
    width=st.integers(5, 300),
    features=st.sampled_from([5, 33, 64, 256]),
    shared=st.integers(1, 40),
    seed=st.integers(0, 2**20),
    threads=st.sampled_from([1, 2]),
)
def test_some_classes_alone_have_the_bits_of_the_whole_at_any_width(
    method: str, width: int, features: int, shared: int, seed: int, threads: int
) -> None:
    """A product's kernels for what is left over at an edge add in another order."""
    generator, classes = torch.Generator().manual_seed(seed), 150
    source = torch.randn(classes, width, generator=generator)
    order = torch.randperm(classes, generator=generator)
    rows = built(method, source, features=features, boxed_C=order[:shared])
    some = torch.randperm(classes, generator=generator).tolist()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        _same_alone(rows, source, [some, some[:1], some[:63], some[3:77], some[-64:]])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("width", [7, 17, 50, 130, 250, 1001])
@pytest.mark.parametrize("method", ["wtn", "wtn_plus", "lsda_visual", "zsd"])
def test_the_widths_whose_bits_moved_have_them_again(method: str, width: int, threads: int) -> None:
    del threads
    source = torch.randn(200, width, generator=torch.Generator().manual_seed(1))
    rows = built(method, source, features=256, boxed_C=torch.arange(20, 29))
    some = torch.randperm(200, generator=torch.Generator().manual_seed(2)).tolist()
    _same_alone(rows, source, [some[:7], some[:90], some])


@pytest.mark.parametrize("method", ["wtn", "nearest", "lsda_visual"])
def test_rows_that_are_there_often_are_made_once(method: str) -> None:
    """Words that a table lacks are often all zeros: not a block for each."""
    source = torch.randn(40, 16, generator=torch.Generator().manual_seed(1))
    rows = built(method, source, features=8, boxed_C=torch.arange(5))
    many = torch.cat([source, torch.zeros(3000, 16), source])
    layer = rows.mapping.encoder if method == "wtn" else getattr(rows.mapping, "project", None)
    blocks: list[int] = []
    if layer is not None:
        layer.register_forward_hook(lambda *args: blocks.append(len(args[2])))
    found = rows.rows(many)
    assert len(blocks) < 10
    assert set(blocks) <= {64}
    assert bool(blocks) == (layer is not None)
    assert torch.equal(found[:40], rows.rows(source))
    assert torch.equal(found[-40:], found[:40])
    assert torch.equal(found[40:3040], rows.rows(torch.zeros(1, 16)).expand(3000, -1))


TWINS = torch.tensor([2, 9, 5, -1])  # classes 2 and 5 of the source have one row


def _twins(method: str) -> tuple[ClassRows, Tensor]:
    source = torch.randn(12, 16, generator=torch.Generator().manual_seed(3))
    source[5] = source[2]
    return built(method, source, features=16, boxed_C=TWINS), source


@pytest.mark.parametrize("method", TRANSFERS)
def test_two_boxed_classes_with_one_source_row_keep_their_own(method: str) -> None:
    """Word vectors: two kinds of "crane". What is exported is what was trained."""
    rows, source = _twins(method)
    x = torch.randn(7, 16, generator=torch.Generator().manual_seed(4))
    shared = torch.full((12,), -1)
    shared[TWINS[:3]] = torch.arange(3)
    made = rows.linear(source, shared_M=shared)
    exported = functional.linear(rows.adapt(x), made.weight, made.bias)[:, TWINS[:3]]
    torch.testing.assert_close(exported, rows.logits(x)[:, :3], rtol=0, atol=1e-5)
    with pytest.raises(SourceError, match=r"one source row; got 2 rows .* first at 2"):
        rows.rows(source)
    assert torch.equal(rows.rows(source[[0, 9]]), made.weight[[0, 9]])


def test_twins_that_learned_apart_are_apart() -> None:
    """So that the test above tells them apart at all."""
    for method in ("nearest", "lsda", "lsda_visual"):
        rows, _ = _twins(method)
        logits = rows.logits(torch.randn(7, 16))
        assert (logits[:, 0] - logits[:, 2]).abs().max() > 0.1


@pytest.mark.parametrize("method", ["ae_wtn", "lsda", "nearest"])
def test_500_classes_of_2048_channels_are_one_plain_layer(method: str) -> None:
    """methods.md 7(d): what is left of any transfer has Faster R-CNN's 1,024,500 parameters."""
    source = torch.randn(486, 2048, generator=torch.Generator().manual_seed(0))
    shared = torch.cat([torch.arange(486), torch.full((14,), -1)])
    rows = make(Transfer(method=method), source_KD=source, inputs=2048, features=2048,
                shared_C=shared, seed=0).eval()  # fmt: skip
    made, other = rows.linear(source), rows.other()
    group = ClassGroup(
        vocabulary=Vocabulary.of([f"{i:03}" for i in range(500)]),
        weight=torch.cat([made.weight, other.weight]),
        bias=torch.cat([made.bias, other.bias]),
        rule="sigmoid",
    )
    assert sum(p.numel() for p in GroupScorer(group).parameters()) == 1_024_500
