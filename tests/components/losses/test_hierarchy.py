import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.losses.hierarchy import BACKGROUND, Relatives, hierarchy_sum
from components.vocab.class_graph import ClassGraph, Edge
from tests.components.vocab.drawn_graphs import above, dags

OI_CLASSES, PRIOR = 500, 0.01
DIAMOND = [Edge("dog", "canine"), Edge("dog", "pet"), Edge("canine", "animal"),
           Edge("pet", "animal"), Edge("pup", "dog")]  # fmt: skip
IDS = ("animal", "canine", "dog", "pet", "pup", "stone")


def relatives(edges: list[Edge], ids: tuple[str, ...]) -> Relatives:
    return Relatives.of(ClassGraph.of(edges, ids=ids))


def slow(logits: list[list[float]], labels: list[int], edges: Any, ids: Any) -> float:
    """Return the loss as it is printed: a loop over regions, classes and parents."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        up = above(ids[label], edges) if label >= 0 else set()
        loss = 0.0
        for c, x in enumerate(row):
            p = 1 / (1 + math.exp(-x))
            if label >= 0 and (c == label or ids[c] in up):
                loss += -math.log(p)
            elif label >= 0 and ids[label] in above(ids[c], edges):
                continue
            else:
                loss += -math.log(1 - p)
        total += loss / (1 + len(up))
    return total


def test_a_diamond_wants_both_parents_and_leaves_out_what_is_below() -> None:
    labels = torch.tensor([2, BACKGROUND, 5, 0, 4, -7])
    assert relatives(DIAMOND, IDS).expand(labels).tolist() == [
        [1, 1, 1, 1, -1, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [1, -1, -1, -1, -1, 0],
        [1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ]


def test_a_second_parent_is_not_taught_as_wrong() -> None:
    """The data of paper 4's code leave 25 second parents out, and teach them as negatives."""
    tree = [edge for edge in DIAMOND if edge != Edge("dog", "pet")]
    label = torch.tensor([2])
    assert relatives(tree, IDS).expand(label)[0, 3] == 0
    assert relatives(DIAMOND, IDS).expand(label)[0, 3] == 1
    assert relatives(DIAMOND, IDS).expand(torch.tensor([3]))[0].tolist() == [1, 0, -1, 1, -1, 0]


@settings(max_examples=60, deadline=None)
@given(dags(), st.data())
def test_the_loss_is_the_equation_on_any_dag(drawn: Any, data: st.DataObject) -> None:
    ids, edges = drawn
    labels = data.draw(st.lists(st.integers(-1, len(ids) - 1), max_size=5))
    number = st.floats(-5, 5)
    logits = [data.draw(st.lists(number, min_size=len(ids), max_size=len(ids))) for _ in labels]
    got = hierarchy_sum(
        torch.tensor(logits, dtype=torch.float64).reshape(len(labels), len(ids)),
        torch.tensor(labels, dtype=torch.int64),
        relatives=relatives(edges, ids),
    )
    assert float(got) == pytest.approx(slow(logits, labels, edges, ids), rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(dags(), st.data())
def test_targets_follow_the_classes_in_any_order(drawn: Any, data: st.DataObject) -> None:
    ids, edges = drawn
    order = data.draw(st.permutations(range(len(ids))))
    labels = torch.tensor(data.draw(st.lists(st.integers(-1, len(ids) - 1), max_size=5))).long()
    place = torch.tensor([*torch.argsort(torch.tensor(order)).tolist(), BACKGROUND])
    moved = relatives(edges, tuple(ids[i] for i in order)).expand(place[labels])
    plain = relatives(edges, ids).expand(labels)
    assert plain.dtype == torch.int8
    assert torch.equal(moved, plain[:, list(order)])
    rows = (plain == 1).sum(1) - (labels >= 0).int()
    assert rows.tolist() == [len(above(ids[i], edges)) if i >= 0 else 0 for i in labels.tolist()]


@pytest.mark.parametrize(
    ("edges", "label", "wanted"),
    [
        ([], BACKGROUND, 10.050336),
        ([Edge("0", "3")], BACKGROUND, 10.050336),
        ([], 7, 19.240576),
        ([Edge("7", "3")], 7, 14.215408),
    ],
)
def test_the_first_loss_of_paper_4s_code(edges: Any, label: int, wanted: float) -> None:
    """500 classes whose scores begin at .01; one region; the code's factor 2."""
    ids = tuple(str(i) for i in range(OI_CLASSES))
    logits = torch.full((1, OI_CLASSES), -math.log(1 / PRIOR - 1), dtype=torch.float64)
    got = 2 * hierarchy_sum(logits, torch.tensor([label]), relatives=relatives(edges, ids))
    assert float(got) == pytest.approx(wanted, abs=5e-7)


def test_gradients_reach_what_is_known_and_nothing_that_is_left_out() -> None:
    logits = torch.zeros(2, len(IDS), requires_grad=True)
    hierarchy_sum(
        logits, torch.tensor([2, BACKGROUND]), relatives=relatives(DIAMOND, IDS)
    ).backward()
    assert logits.grad is not None
    up, down = -0.5 / 4, 0.5 / 4  # 1 + three above a dog
    assert logits.grad[0].tolist() == pytest.approx([up, up, up, up, 0.0, down])
    assert logits.grad[0, 4] == 0
    assert logits.grad[1].tolist() == pytest.approx([0.5] * len(IDS))


def test_what_is_left_out_may_be_infinite() -> None:
    logits = torch.zeros(1, len(IDS))
    logits[0, 4] = math.inf
    logits.requires_grad_()
    loss = hierarchy_sum(logits, torch.tensor([2]), relatives=relatives(DIAMOND, IDS))
    loss.backward()
    assert logits.grad is not None
    assert math.isfinite(float(loss.detach()))
    assert logits.grad.isfinite().all()


def test_no_region_costs_nothing_and_still_has_a_gradient() -> None:
    logits = torch.zeros(0, len(IDS), requires_grad=True)
    nothing = torch.zeros(0, dtype=torch.int64)
    loss = hierarchy_sum(logits, nothing, relatives=relatives(DIAMOND, IDS))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(IndexError, match="out of"):
        relatives(DIAMOND, IDS).expand(torch.tensor([len(IDS)]))


def test_relatives_go_where_the_scores_are() -> None:
    there = relatives(DIAMOND, IDS).to("meta")
    assert there.above.columns.device.type == there.below.starts.device.type == "meta"
