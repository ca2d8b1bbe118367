import pytest
import torch
from torch import nn
from torchvision.ops import roi_align
from torchvision.ops.poolers import LevelMapper

from components.models.region_head import SAMPLES, SIDE, RegionHead


def _head(*levels: str) -> RegionHead:
    torch.manual_seed(0)
    return RegionHead(width=4, levels=levels, canonical=112.0, features=6)


def _maps() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return {str(s): torch.randn(2, 4, 320 // s, 320 // s, generator=g) for s in (8, 16, 32)}


BOXES = [
    torch.tensor([[0.0, 0, 300, 300], [10, 10, 40, 50]]),
    torch.tensor([[5.0, 5, 150, 160], [0, 0, 0, 0], [20, 20, 140, 130]]),
]


def test_the_level_is_that_of_the_pyramid_paper() -> None:
    sides = torch.tensor([1.0, 56, 111, 112, 223, 224, 225, 600])
    boxes = torch.cat([torch.zeros(8, 2), sides[:, None].expand(8, 2)], 1)
    wanted = LevelMapper(3, 5, canonical_scale=112)([boxes])
    assert _head("8", "16", "32").level_of(boxes).tolist() == wanted.tolist()
    assert wanted.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("levels", [("8",), ("8", "16", "32")])
def test_each_region_gets_what_it_would_get_alone(levels: tuple[str, ...]) -> None:
    head, maps = _head(*levels), _maps()
    found = head(maps, BOXES)
    at = 0
    for image, boxes in enumerate(BOXES):
        for box in boxes:
            level = levels[int(head.level_of(box[None])[0])]
            roi = torch.cat([torch.tensor([float(image)]), box])[None]
            x = roi_align(maps[level], roi, SIDE, 1 / int(level), SAMPLES, aligned=True)
            assert torch.allclose(found[at], head.layers(x.flatten(1))[0], atol=1e-5)
            at += 1


def test_a_whole_picture_is_pooled_from_every_level_without_its_padding() -> None:
    head, maps = _head("8", "16", "32"), _maps()
    sizes = torch.tensor([[160, 320], [320, 320]], dtype=torch.int32)
    found = head.whole(maps, sizes)
    assert found.shape == (2, 3, 6)
    alone = _head("16")
    alone.load_state_dict(head.state_dict())
    full = [torch.tensor([[0.0, 0, 320, 160]]), torch.tensor([[0.0, 0, 320, 320]])]
    assert torch.allclose(found[:, 1], alone(maps, full), atol=1e-5)


def test_no_region_is_fine_and_every_level_has_a_gradient() -> None:
    head = _head("8", "16", "32")
    maps = {k: v.requires_grad_() for k, v in _maps().items()}
    empty = [torch.zeros(0, 4), torch.zeros(0, 4)]
    assert head(maps, empty).shape == (0, 6)
    head(maps, [torch.tensor([[0.0, 0, 20, 20]]), empty[0]]).sum().backward()
    assert all(x.grad is not None for x in maps.values())
    assert maps["8"].grad is not None
    assert maps["8"].grad[0].abs().sum() > 0 == maps["8"].grad[1].abs().sum()


def test_two_layers_of_2048_are_the_papers_and_a_norm_each() -> None:
    """methods.md 7(d), paper 4: FC6 and FC7 over 256 channels of 7 x 7; the norms are ours."""
    head = RegionHead(width=256, levels=("p2", "p3", "p4", "p5"), canonical=224.0, features=2048)
    linear = [m for m in head.layers if isinstance(m, nn.Linear)]
    assert sum(p.numel() for m in linear for p in m.parameters()) == 29_888_512
    assert sum(p.numel() for p in head.parameters()) == 29_888_512 + 2 * 2 * 2048
