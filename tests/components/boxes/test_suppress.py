import hypothesis.strategies as st
import torch
from hypothesis import given, settings
from torchvision.ops import batched_nms, box_iou

from components.boxes.suppress import suppress


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
