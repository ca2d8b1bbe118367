"""A batch is flat: every picture finds its own rows, and none of another."""

import torch

from components.data.sample import Batch


def test_each_picture_has_its_own_rows() -> None:
    batch = Batch(
        image=torch.zeros(3, 8, 8, 3, dtype=torch.uint8),
        image_size=torch.full((3, 2), 8, dtype=torch.int32),
        boxes=torch.arange(12.0).reshape(3, 4),
        labels=torch.tensor([5, 6, 7]),
        flags=torch.zeros(3, dtype=torch.uint8),
        weights=torch.ones(3),
        offsets=torch.tensor([0, 1, 1, 3]),
        present=torch.tensor([9, 8]),
        present_offsets=torch.tensor([0, 1, 1, 2]),
        row=torch.tensor([3, 4, 0]),
        view=torch.zeros(3, 2, 3),
    )
    assert len(batch) == 3
    assert [batch.labels_of(i).tolist() for i in range(3)] == [[5], [], [6, 7]]
    assert [batch.present_of(i).tolist() for i in range(3)] == [[9], [], [8]]
    assert batch.boxes_of(2).tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert batch.boxes_of(1).shape == (0, 4)


def test_pictures_of_which_nothing_is_known() -> None:
    batch = Batch.of_pictures(torch.zeros(3, 6, 5, 3, dtype=torch.uint8))
    assert batch.image_size.tolist() == [[6, 5]] * 3
    assert all(len(batch.boxes_of(i)) == len(batch.present_of(i)) == 0 for i in range(3))
    assert (batch.view == torch.tensor([[1.0, 0, 0], [0, 1, 0]])).all()
