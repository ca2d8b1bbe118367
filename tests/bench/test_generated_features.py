"""The generator and its score; what it shows is measured by `python -m tests.bench.claims`."""

from itertools import pairwise

import pytest
import torch

from tests.bench.generated_features import (
    BOXED,
    CLASSES,
    LENGTHS,
    ORDER,
    average_precision,
    claims,
    generated_features,
    look,
    regions,
    world,
)
from tests.bench.measured import not_separated


def test_a_world_is_its_seed() -> None:
    first, again, other = (world(seed) for seed in (3, 3, 4))
    drawn = [regions(w, 50, of=w.boxed, background=0.5) for w in (first, again, other)]
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert sorted(first.order.tolist()) == list(range(CLASSES))
    assert len(first.boxed) == BOXED
    assert set(drawn[0][1].tolist()) <= {-1, *first.boxed.tolist()}
    assert not torch.allclose(look(first.points, first.photo), look(first.points, first.region))


def test_average_precision_by_hand() -> None:
    """Right at places 1 and 3 of 4: (1 + 2/3) / 2; right at place 2: 1/2; a class not shown: no."""
    scores = torch.tensor([[0.9, 0.1, 0], [0.8, 0.7, 0], [0.7, 0.9, 0], [0.1, 0.2, 0]])
    labels = torch.tensor([5, 2, 5, -1])
    found = average_precision(scores, labels, torch.tensor([5, 2, 7]))
    assert found == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)


def figures(**novel: float) -> dict[str, list[dict[str, float]]]:
    good = {"ae_wtn": (0.4, 0.96, 0.1), "wtn_plus": (0.3, 0.95, 0.2), "wtn": (0.2, 0.9, 0.3),
            "nearest": (0.1, 0.9, 0.3)}  # fmt: skip
    return {
        name: [{"novel/AP": novel.get(name, n), "seen/AP": s, "loss": loss}] * 3
        for name, (n, s, loss) in good.items()
    }


def test_claims_hold_and_can_fail() -> None:
    assert all(holds for _, holds in claims(figures(), [30.0] * 3))
    assert not all(holds for _, holds in claims(figures(), [30.0, 27.0, 30.0]))
    assert not all(holds for _, holds in claims(figures(ae_wtn=0.34), [30.0] * 3))
    for better, worse in pairwise(ORDER):
        swapped = figures(**{better: 0.25, worse: 0.35})
        assert not all(holds for _, holds in claims(swapped, [30.0] * 3)), better


def test_arms_that_are_not_separated_are_named() -> None:
    novel = {"a": [0.5, 0.6, 0.4], "b": [0.49, 0.62, 0.38], "c": [0.1, 0.1, 0.1]}
    rows = {name: [{"AP": value} for value in values] for name, values in novel.items()}
    ((line, told),) = not_separated(rows, "AP", list(rows))
    assert line.startswith("not separated: a and b")
    assert told


def test_arms_run_with_the_products_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ARMS", ORDER), ("SOURCE_STEPS", 5), ("POOL", 400), ("SCORED", 400)):
        monkeypatch.setattr(f"tests.bench.generated_features.{name}", value)
    said: list[str] = []
    found = generated_features(seeds=[1], say=said.append)
    assert set(found.rows) == set(ORDER)
    for name, rows in found.rows.items():
        wanted = set(found.shown) - (set(LENGTHS) if name == "nearest" else set())
        assert all(set(got) == wanted for got in rows)
    assert len(said) == len(ORDER)
