import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from components.models.scores import DecoupledScorer, Regions, UnknownClassError, fuse
from components.vocab.classes import Vocabulary

BOXED = Vocabulary.of(["coarse:x", "fine:a", "fine:b"])
LABELLED = Vocabulary.of(["fine:b", "fine:c", "fine:d", "fine:a"])
IDS = ["fine:c", "fine:a", "coarse:x", "fine:b"]


def _regions(seed: int, p: int = 5) -> Regions:
    g = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    return Regions(
        boxes=rand(p, 4),
        foreground=rand(p),
        boxed=rand(p, 3).softmax(1),
        labelled=rand(p, 4).softmax(1),
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_fused_scores_are_equation_4_and_5(seed: int, fused: bool) -> None:
    r = _regions(seed)
    found = fuse(r, boxed=BOXED, labelled=LABELLED, ids=IDS, fuse=fused)
    for i in range(5):
        for k, name in enumerate(IDS):
            s = float(r.boxed[i, BOXED.ids.index(name)]) if name in BOXED.ids else None
            h = float(r.labelled[i, LABELLED.ids.index(name)]) if name in LABELLED.ids else None
            if s is None or h is None:
                wanted = s if h is None else h
            else:
                wanted = s ** (2 / 3) * h ** (1 / 3) if fused else h
            assert float(found[i, k]) == pytest.approx(float(r.foreground[i]) * wanted)


def test_the_foreground_counts_once_and_the_mean_is_geometric() -> None:
    r = _regions(1)
    found = fuse(r, boxed=BOXED, labelled=LABELLED, ids=["fine:a"])[:, 0]
    s, h = r.foreground * r.boxed[:, 1], r.foreground * r.labelled[:, 0]
    assert torch.allclose(found, s ** (2 / 3) * h ** (1 / 3))
    two = Vocabulary.of(["q"])
    one = torch.ones(1, dtype=torch.float64)
    given_ = Regions(
        boxes=torch.zeros(1, 4), foreground=one, boxed=one[None] * 0.8, labelled=one[None] * 0.1
    )
    assert float(fuse(given_, boxed=two, labelled=two, ids=["q"])[0, 0]) == pytest.approx(0.4)


def test_a_class_neither_knows_is_refused_and_an_empty_branch_is_not() -> None:
    r = _regions(2)
    with pytest.raises(UnknownClassError, match=r"never seen 1 of 2 classes; got 'fine:z'"):
        fuse(r, boxed=BOXED, labelled=LABELLED, ids=["fine:a", "fine:z"])
    none = Vocabulary(ids=(), names=())
    alone = Regions(
        boxes=r.boxes, foreground=r.foreground, boxed=r.boxed[:, :0], labelled=r.labelled
    )
    found = fuse(alone, boxed=none, labelled=LABELLED, ids=LABELLED.ids)
    assert torch.allclose(found, r.foreground[:, None] * r.labelled)
    assert fuse(r, boxed=BOXED, labelled=LABELLED, ids=[]).shape == (5, 0)


def test_probabilities_have_no_background_class() -> None:
    torch.manual_seed(0)
    scorer = DecoupledScorer(features=7, boxed=3, labelled=0)
    foreground, boxed, labelled = scorer.probabilities(torch.randn(4, 7))
    assert foreground.shape == (4,)
    assert boxed.shape == (4, 3)
    assert labelled.shape == (4, 0)
    assert torch.allclose(boxed.sum(1), torch.ones(4))
