import hypothesis.strategies as st
import torch
from hypothesis import given, settings

from components.boxes.geometry import area, centers_inside, clip, covered, overlap

boxes = st.lists(st.tuples(*[st.integers(0, 30)] * 4), min_size=1, max_size=5)


def _tensor(rows) -> torch.Tensor:
    t = torch.tensor(rows, dtype=torch.float64)
    return torch.cat([torch.minimum(t[:, :2], t[:, 2:]), torch.maximum(t[:, :2], t[:, 2:]) + 1], 1)


@settings(max_examples=30, deadline=None)
@given(boxes, boxes)
def test_overlap_and_cover_count_pixels(first, second) -> None:
    a, b = _tensor(first), _tensor(second)

    def pixels(box) -> set[tuple[int, int]]:
        x1, y1, x2, y2 = (int(v) for v in box)
        return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}

    for i, p in enumerate(a):
        assert area(a)[i] == len(pixels(p))
        for j, q in enumerate(b):
            both = len(pixels(p) & pixels(q))
            assert torch.isclose(
                overlap(a, b)[i, j], a.new_tensor(both / len(pixels(p) | pixels(q)))
            )
            assert torch.isclose(covered(a, b)[i, j], a.new_tensor(both / len(pixels(p))))


def test_clip_keeps_boxes_in_the_picture_of_each_row() -> None:
    found = clip(torch.tensor([[-3.0, -4, 50, 60]]), torch.tensor([20, 40]))
    assert found.tolist() == [[0, 0, 40, 20]]
    many = clip(torch.full((2, 1, 4), 99.0), torch.tensor([[[10, 20]], [[30, 40]]]))
    assert many.tolist() == [[[20, 10, 20, 10]], [[40, 30, 40, 30]]]


def test_centers_and_empty_boxes() -> None:
    some = torch.tensor([[0.0, 0, 10, 10], [10, 0, 30, 10], [0, 18, 10, 22]])
    assert centers_inside(some, torch.tensor([20, 20])).tolist() == [True, False, False]
    assert area(torch.tensor([[5.0, 5, 2, 9]])).tolist() == [0]
    assert overlap(torch.zeros(0, 4), some).shape == (0, 3)
