"""A small residual trunk and its pyramid, for pictures of 32 to 128 px on a CPU.

Shapes: N images. Group normalisation: photos and scenes share a step and not their statistics.
"""

from torch import Tensor, nn
from torch.nn import functional

CHANNELS = {"4": 32, "8": 64, "16": 128}


def convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """Return a 3 x 3 convolution with group normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.GroupNorm(8, outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two convolutions beside the identity; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.GroupNorm(8, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        return functional.relu(x + self.norm(self.second(self.first(x))))


class SmallTrunk(nn.Module):
    """Images -> maps of stride 4, 8 and 16."""

    channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            convolution(3, 16, stride=2), convolution(16, 32, stride=2), Residual(32)
        )
        self.stage8 = nn.Sequential(convolution(32, 64, stride=2), Residual(64))
        self.stage16 = nn.Sequential(convolution(64, 128, stride=2), Residual(128))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, Residual):
                nn.init.zeros_(module.norm.weight)

    def entrance(self) -> tuple[nn.Module, tuple[str, ...]]:
        """Return where a file's tensors go, and the beginnings of names that have no place."""
        return self, ()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return maps by stride, finest first."""
        c4 = self.stem(x)
        c8 = self.stage8(c4)
        return {"4": c4, "8": c8, "16": self.stage16(c8)}


class SmallPyramid(nn.Module):
    """Top-down sums (Lin et al., 2017), with no convolution on the finest and largest map."""

    def __init__(self, channels: dict[str, int], *, width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleDict({s: nn.Conv2d(c, width, 1) for s, c in channels.items()})
        self.smooth4 = nn.Sequential(nn.GroupNorm(8, width), nn.ReLU(inplace=True))
        self.smooth8 = convolution(width, width)
        self.smooth16 = convolution(width, width)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    @property
    def proposals_only(self) -> tuple[nn.Module, ...]:
        """Name the modules that no region is pooled from."""
        return (self.smooth16,)

    def forward(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return maps of `width` channels under the same names."""
        top = self.lateral["16"](maps["16"])
        p8 = self.smooth8(self.lateral["8"](maps["8"]) + _up(top, maps["8"]))
        p4 = self.smooth4(self.lateral["4"](maps["4"]) + _up(p8, maps["4"]))
        return {"4": p4, "8": p8, "16": self.smooth16(top)}


def _up(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="nearest")
