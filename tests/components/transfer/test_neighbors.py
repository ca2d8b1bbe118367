import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from components.transfer.methods import Transfer
from components.transfer.neighbors import activation_lengths, drawn, kept_neighbors
from components.transfer.rows import make
from components.transfer.source import SourceError


def slow(first, second, asked, k: int) -> float:
    """Count by lists: who is among the k nearest in both, averaged over the classes asked."""
    total = 0
    for q in asked:
        near = []
        for rows in (first, second):
            centred = rows - rows.mean(0)
            others = [i for i in range(len(rows)) if i != q]
            cos = {i: torch.cosine_similarity(centred[q], centred[i], dim=0).item() for i in others}
            near.append(set(sorted(others, key=lambda i: -cos[i])[:k]))
        total += len(near[0] & near[1])
    return total / len(asked)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99))
def test_kept_neighbors_are_those_counted_by_hand(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(12, 5, generator=generator)
    second = torch.randn(12, 3, generator=generator)
    asked = drawn(12, count=4, seed=seed)
    found = kept_neighbors(first, rows_KG=second, asked_Q=asked)
    assert found == pytest.approx([slow(first, second, asked.tolist(), k) for k in range(1, 12)])
    assert found[-1] == 11  # all the others
    assert kept_neighbors(first, rows_KG=second, asked_Q=asked, most=3) == found[:3]


def test_rows_turned_and_stretched_keep_every_neighbor() -> None:
    first = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))
    found = kept_neighbors(first, rows_KG=7 * first @ turn, asked_Q=torch.arange(40))
    assert found == pytest.approx(list(range(1, 40)))


def test_classes_are_drawn_once_each() -> None:
    assert drawn(5, count=20, seed=0).tolist() == [0, 1, 2, 3, 4]
    assert len(set(drawn(500, seed=1).tolist())) == 20
    assert drawn(500, seed=1).tolist() == drawn(500, seed=1).tolist()


SOURCE = torch.randn(50, 64, generator=torch.Generator().manual_seed(0)) * 2
SHARED = torch.tensor([3, -1, 9, 4])


@pytest.mark.parametrize("method", ["wtn_plus", "wtn_plus_batch_norm", "wtn_group_norm"])
def test_lengths_are_of_shared_and_of_novel_classes(method: str) -> None:
    rows = make(Transfer(method=method), source_KD=SOURCE, inputs=64, features=8, shared_C=SHARED,
                seed=0)  # fmt: skip
    torch.nn.init.uniform_(rows.mapping.encoder[1].weight, 0.5, 2)
    rows.train()
    found = activation_lengths(rows, source_KD=SOURCE)
    assert rows.training
    given = SOURCE if method == "wtn_group_norm" else (SOURCE - SOURCE.mean(0)) / SOURCE.std(0)
    rows.eval()
    lengths = [
        sum(v * v for v in rows.mapping.encoder[:3](row[None])[0].tolist()) ** 0.5 for row in given
    ]
    for kind, places in (
        ("shared", [3, 9, 4]),
        ("novel", [k for k in range(50) if k not in (3, 9, 4)]),
    ):
        mine = [lengths[k] for k in places]
        mean = sum(mine) / len(mine)
        variance = sum((v - mean) ** 2 for v in mine) / len(mine)
        assert getattr(found, f"{kind}_mean") == pytest.approx(mean, rel=1e-4)
        assert getattr(found, f"{kind}_variance") == pytest.approx(variance, rel=1e-3, abs=1e-6)


def test_what_has_no_network_or_no_novel_class_is_refused() -> None:
    made = make(Transfer(method="nearest"), source_KD=SOURCE, inputs=64, features=8,
                shared_C=SHARED, seed=0)  # fmt: skip
    with pytest.raises(SourceError, match="nearest: no network"):
        activation_lengths(made, source_KD=SOURCE)
    made = make(Transfer(), source_KD=SOURCE[:2], inputs=64, features=8,
                shared_C=torch.tensor([0, 1]), seed=0)  # fmt: skip
    with pytest.raises(SourceError, match="got no novel class"):
        activation_lengths(made, source_KD=SOURCE[:2])
