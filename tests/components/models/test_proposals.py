import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from components.boxes.geometry import centers_inside
from components.models.proposals import SAME, Proposals


def _network(seed: int = 0, keep: int = 20) -> Proposals:
    torch.manual_seed(seed)
    found = Proposals(
        width=8,
        anchors={"8": (16, 24), "16": (36, 56)},
        ratios=(0.6, 1.0, 1.6),
        candidates=30,
        keep=keep,
    )
    return found.eval()


def _maps(n: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return {str(s): torch.randn(n, 8, 64 // s, 96 // s, generator=g) for s in (4, 8, 16)}


def test_proposals_are_those_of_torchvision() -> None:
    mine, maps = _network(), _maps(3)
    counts = {"training": 30, "testing": 30}
    kept = {"training": 20, "testing": 20}
    theirs = RegionProposalNetwork(
        mine.anchors, mine.head, 0.6, 0.3, 64, 0.5, counts, kept, SAME
    ).eval()
    images = ImageList(torch.zeros(3, 3, 64, 96), [(64, 96)] * 3)
    with torch.no_grad():
        wanted, _ = theirs(images, {k: maps[k] for k in ("8", "16")})
        found = mine(maps, torch.tensor([[64, 96]] * 3))
    for a, b in zip(found.boxes, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def test_objectness_and_deltas_are_in_the_order_of_anchors() -> None:
    mine, maps = _network(), _maps(1)
    found = mine(maps, torch.tensor([[64, 96]]))
    hidden = mine.head.conv(maps["8"])
    logits, deltas = mine.head.cls_logits(hidden)[0], mine.head.bbox_pred(hidden)[0]
    for y, x, a in [(0, 0, 0), (3, 7, 2), (7, 11, 5)]:
        i = (y * 12 + x) * 6 + a
        assert torch.allclose(found.objectness[0, i], logits[a, y, x])
        assert torch.allclose(found.deltas[0, i], deltas[4 * a : 4 * a + 4, y, x])
        center = (found.anchors[i, :2] + found.anchors[i, 2:]) / 2
        assert center.tolist() == [8 * x, 8 * y]


def test_nothing_is_proposed_in_the_padding() -> None:
    sizes = torch.tensor([[30, 50], [64, 96]])
    found = _network()(_maps(2), sizes)
    for boxes, (h, w) in zip(found.boxes, sizes.tolist(), strict=True):
        assert len(boxes) > 0
        assert boxes.min() >= 0
        assert boxes[:, [0, 2]].max() <= w
        assert boxes[:, [1, 3]].max() <= h
    assert torch.equal(found.inside[0], centers_inside(found.anchors, sizes[0]))


@pytest.mark.parametrize("keep", [5, 20])
def test_at_most_so_many_are_kept_and_they_carry_no_gradient(keep: int) -> None:
    found = _network(keep=keep)(_maps(2), torch.tensor([[64, 96]] * 2))
    assert all(len(b) <= keep and not b.requires_grad for b in found.boxes)
    assert found.objectness.requires_grad
    assert found.deltas.requires_grad
