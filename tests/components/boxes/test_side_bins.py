"""Sides as intervals and offsets: the worked example, both ways, and each way to get it wrong."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from components.boxes.geometry import overlap
from components.boxes.side_bins import decode_sides, encode_sides
from components.shapes import ShapeError

BOX, TRUTH = torch.tensor([[10.0, 20, 50, 100]]), torch.tensor([[8.0, 25, 60, 90]])
side = st.floats(1, 100)
box = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], side, side, side, side)


def answer(bins: Tensor, offsets: Tensor, *, of: int, sure: float = 3.0) -> tuple[Tensor, Tensor]:
    """Return what a network that has learnt these intervals and offsets says."""
    logits = torch.full((*bins.shape, of), -9.0, dtype=offsets.dtype)
    said = torch.zeros_like(logits).scatter_(2, bins[..., None], offsets[..., None])
    return logits.scatter_(2, bins[..., None], sure), said


def test_the_worked_example() -> None:
    found = encode_sides(TRUTH, BOX, bins=30, scale=1.7)
    assert found.bins.tolist() == [[10, 14, 3, 16]]
    wanted = [0.088236, 0.058824, -0.029411, -0.264705]
    assert found.offsets[0].tolist() == pytest.approx(wanted, abs=2e-6)
    back = decode_sides(*answer(found.bins, found.offsets, of=30), BOX, scale=1.7)
    assert torch.allclose(back.boxes, TRUTH, atol=1e-5)
    assert back.quality.tolist() == pytest.approx([0.952574], abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(box, box), min_size=1, max_size=4),
    st.integers(2, 40),
    st.sampled_from([1.2, 1.7, 3.0]),
)
def test_decode_undoes_encode_also_outside_the_segment(pairs, bins: int, scale: float) -> None:
    truth, start = (torch.tensor(rows, dtype=torch.float64) for rows in zip(*pairs, strict=True))
    sides = encode_sides(truth, start, bins=bins, scale=scale)
    assert sides.bins.min() >= 0
    assert sides.bins.max() < bins
    back = decode_sides(*answer(sides.bins, sides.offsets, of=bins), start, scale=scale)
    assert torch.allclose(back.boxes, truth, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(box, st.integers(2, 40), st.integers(0, 3), st.floats(0.01, 0.99))
def test_intervals_are_the_equation(start: list[float], bins: int, which: int, at: float) -> None:
    """A point of side `which`'s segment, a share `at` of the way from outside to the centre."""
    scale = 1.7
    low, high = start[which % 2], start[which % 2 + 2]
    center, half = (low + high) / 2, (high - low) * scale / 2
    outwards = -1 if which < 2 else 1
    truth = list(start)
    truth[which] = center + outwards * half * (1 - at)
    start_P4 = torch.tensor([start], dtype=torch.float64)
    found = encode_sides(torch.tensor([truth], dtype=torch.float64), start_P4, bins=bins,
                         scale=scale)  # fmt: skip
    wanted = at * bins
    if min(wanted % 1, 1 - wanted % 1) > 1e-6:
        assert int(found.bins[0, which]) == int(wanted)
        inward = wanted - int(wanted) - 0.5
        assert float(found.offsets[0, which]) == pytest.approx(-outwards * inward, abs=1e-6)


@pytest.mark.parametrize("which", range(4))
def test_a_side_moved_outwards_takes_an_interval_further_out(which: int) -> None:
    """Right and lower segments are mirrored: counted from outside, as the others are."""
    start = torch.tensor([[100.0, 100, 200, 200]])
    moved = start.clone()
    moved[0, which] += -8 if which < 2 else 8
    same = encode_sides(start, start, bins=30, scale=1.7).bins[0]
    found = encode_sides(moved, start, bins=30, scale=1.7).bins[0]
    assert same.tolist() == [12] * 4  # .35 of a side outside, of .85, and 30 of them
    assert found[which] < same[which]
    others = [i for i in range(4) if i != which]
    assert found[others].equal(same[others])
    logits, said = answer(found[None], torch.zeros(1, 4), of=30)
    placed = decode_sides(logits, said, start, scale=1.7).boxes[0]
    assert (placed[which] < start[0, which]) == (which < 2)


def test_quality_is_the_mean_of_the_sides_best_sigmoids() -> None:
    torch.manual_seed(0)
    logits = torch.randn(50, 4, 30) * 4
    found = decode_sides(logits, torch.zeros_like(logits), BOX.expand(50, 4), scale=1.7).quality
    assert torch.allclose(found, logits.sigmoid().amax(2).mean(1))
    assert bool(((found > 0) & (found < 1)).all())
    softmax = logits.softmax(2).amax(2).mean(1)
    assert bool((found > softmax).all())  # over 30 intervals that sum to 1: lower throughout


@pytest.mark.parametrize(
    ("bins", "wanted"), [(4, 0.8187), (8, 0.8981), (20, 0.9567), (30, 0.9707), (40, 0.9779)]
)
def test_intervals_alone_place_a_box_as_well_as_their_number_allows(
    bins: int, wanted: float
) -> None:
    """The shape of the paper's Table 3.6, in closed form."""
    torch.manual_seed(0)
    start = torch.tensor([[10.0, 10, 110, 90]]).repeat(20000, 1)
    truth = start + (torch.rand(20000, 4) - 0.5) * torch.tensor([50.0, 40, 50, 40])
    sides = encode_sides(truth, start, bins=bins, scale=1.7)
    placed = decode_sides(
        *answer(sides.bins, torch.zeros_like(sides.offsets), of=bins), start, scale=1.7
    )
    iou = torch.cat([overlap(a[None], b[None])[0] for a, b in
                     zip(placed.boxes[:4000], truth[:4000], strict=True)])  # fmt: skip
    assert float(iou.mean()) == pytest.approx(wanted, abs=0.003)


def test_shapes_and_narrow_types() -> None:
    none = torch.zeros(0, 4)
    sides = encode_sides(none, none, bins=30, scale=1.7)
    assert decode_sides(
        torch.zeros(0, 4, 30), torch.zeros(0, 4, 30), none, scale=1.7
    ).boxes.shape == (0, 4)
    assert sides.bins.shape == sides.offsets.shape == (0, 4)
    with pytest.raises(ShapeError, match="offsets: expected shape"):
        decode_sides(torch.zeros(1, 4, 30), torch.zeros(1, 4, 29), BOX, scale=1.7)
    half = decode_sides(
        torch.zeros(1, 4, 30).half(), torch.zeros(1, 4, 30).half(), BOX.half() * 20, scale=1.7
    )
    assert half.boxes.dtype == torch.float32
