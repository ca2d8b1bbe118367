import hypothesis.strategies as st
import torch
from hypothesis import given, settings
from torchvision.ops import batched_nms, box_iou

from components.boxes import suppress as module
from components.boxes.suppress import Kept, suppress, suppress_for_people, without_parts


def _naive(boxes, scores, *, iou, top, floor):
    """Every box once a class, as torchvision's detectors do it."""
    p, k = scores.shape
    all_boxes = boxes[:, None].expand(p, k, 4).reshape(-1, 4)
    labels = torch.arange(k).expand(p, k).reshape(-1)
    flat = scores.reshape(-1)
    keep = flat > floor
    all_boxes, labels, flat = all_boxes[keep], labels[keep], flat[keep]
    best = batched_nms(all_boxes, flat, labels, iou)[:top]
    return all_boxes[best], flat[best], labels[best]


def _loop(boxes, scores, *, iou, top, floor):
    """Greedy suppression, one class at a time."""
    found = []
    for c in range(scores.shape[1]):
        left = sorted(
            (i for i in range(len(boxes)) if scores[i, c] > floor), key=lambda i: -scores[i, c]
        )
        while left:
            best = left.pop(0)
            found.append((float(scores[best, c]), best, c))
            left = [i for i in left if box_iou(boxes[best][None], boxes[i][None])[0, 0] <= iou]
    return sorted(found, reverse=True)[:top]


def _some(seed: int, p: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(p, 2, generator=g) * 40
    boxes = torch.cat([corner, corner + 5 + torch.rand(p, 2, generator=g) * 25], 1)
    return boxes, torch.rand(p, k, generator=g) ** 4


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(1, 5), st.sampled_from([3, 100]))
def test_equal_to_the_naive_expansion_and_to_a_loop(seed, p, k, top) -> None:
    boxes, scores = _some(seed, p, k)
    kept = suppress(boxes, scores, iou=0.4, top=top, floor=0.05)
    for mine, naive in zip(
        (kept.boxes, kept.scores, kept.classes),
        _naive(boxes, scores, iou=0.4, top=top, floor=0.05),
        strict=True,
    ):
        assert torch.equal(mine, naive)
    slow = _loop(boxes, scores, iou=0.4, top=top, floor=0.05)
    assert [(s, c) for s, _, c in slow] == list(
        zip(kept.scores.tolist(), kept.classes.tolist(), strict=True)
    )


def test_many_classes_give_what_the_expansion_gives() -> None:
    boxes, scores = _some(1, 60, 400)  # enough boxes for the other algorithm inside torchvision
    kept = suppress(boxes, scores, top=100)
    wanted = _naive(boxes, scores, iou=0.5, top=100, floor=1e-4)
    assert torch.equal(kept.scores, wanted[1])
    assert len(kept.scores) == 100
    assert (kept.scores[:-1] >= kept.scores[1:]).all()


def test_nothing_above_the_floor_and_empty_boxes_give_nothing() -> None:
    boxes = torch.tensor([[0.0, 0, 5, 5], [7, 7, 7, 9]])
    assert len(suppress(boxes, torch.zeros(2, 3)).scores) == 0
    assert len(suppress(torch.zeros(0, 4), torch.zeros(0, 3)).scores) == 0
    assert len(suppress(boxes, torch.zeros(2, 0)).scores) == 0
    assert len(suppress(boxes, torch.full((2, 1), 0.9)).scores) == 1


def _share(a, b) -> float:
    """Intersection over the smaller area, from the definition."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    inside = max(w, 0.0) * max(h, 0.0)
    return inside / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def _kept(seed: int, q: int, classes: int) -> Kept:
    boxes, _ = _some(seed, q, 1)
    g = torch.Generator().manual_seed(seed)
    scores = torch.rand(q, generator=g).sort(descending=True).values
    return Kept(
        boxes=boxes.round(), scores=scores, classes=torch.randint(classes, (q,), generator=g)
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(0, 30),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.3, 0.6, 1.0]),
)
def test_parts_go_as_a_loop_says(seed, q, classes, over) -> None:
    kept = _kept(seed, q, classes)
    left = without_parts(kept, over=over, top=7)
    stay: list[int] = []
    for i in range(q):
        if all(
            kept.classes[i] != kept.classes[j]
            or _share(kept.boxes[i].tolist(), kept.boxes[j].tolist()) <= over
            for j in stay
        ):
            stay.append(i)
    stay = stay[:7]
    assert torch.equal(left.boxes, kept.boxes[stay])
    assert torch.equal(left.scores, kept.scores[stay])
    assert torch.equal(left.classes, kept.classes[stay])
    again = without_parts(left, over=over, top=7)
    assert torch.equal(again.boxes, left.boxes)


def test_a_wheel_goes_with_its_bicycle_and_stays_beside_one() -> None:
    boxes = torch.tensor([[0.0, 0, 100, 60], [5, 30, 30, 55], [70, 30, 130, 55], [5, 30, 30, 55]])
    kept = Kept(
        boxes=boxes, scores=torch.tensor([0.9, 0.8, 0.7, 0.6]), classes=torch.tensor([0, 0, 0, 1])
    )
    left = without_parts(kept, over=0.6, top=9)
    assert left.scores.tolist() == kept.scores[[0, 2, 3]].tolist()  # half of the third is outside
    best_inside = Kept(boxes=boxes[[1, 0]], scores=kept.scores[:2], classes=kept.classes[:2])
    assert without_parts(best_inside, over=0.6, top=9).boxes.tolist() == [boxes[1].tolist()]
    assert len(without_parts(kept, over=1.0, top=9).boxes) == 4  # even equal boxes


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(0, 40),
    st.integers(1, 6),
    st.integers(1, 12),
    st.sampled_from([12, 20, 400]),
    st.sampled_from([0.3, 0.6, 1.0]),
    st.sampled_from([1, 3, 10, 5000]),
)
def test_looking_at_the_best_pairs_first_changes_no_answer(
    seed, p, k, top, looked_at, over, first
) -> None:
    boxes, scores = _some(seed, p, k)
    wanted = without_parts(suppress(boxes, scores, top=looked_at, floor=0.05), over=over, top=top)
    was, module.FIRST_PAIRS = module.FIRST_PAIRS, first
    try:
        found = suppress_for_people(
            boxes, scores, over=over, top=top, looked_at=looked_at, floor=0.05
        )
    finally:
        module.FIRST_PAIRS = was
    assert torch.equal(found.boxes, wanted.boxes)
    assert torch.equal(found.scores, wanted.scores)
    assert torch.equal(found.classes, wanted.classes)
