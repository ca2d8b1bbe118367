"""Trunks that start from somebody's weights: torchvision's residual networks, timm's Lite0.

Normalisation layers are fixed: a step mixes photos and scenes, and workers must agree.
"""

from typing import Any, cast

from torch import Tensor, nn
from torchvision.models import resnet18, resnet50
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d

from components.models.choices import Lite0, Resnet

RESNETS = {18: resnet18, 50: resnet50}


class MissingExtraError(ValueError):
    """A package of an optional extra is not installed."""


class ResnetTrunk(nn.Module):
    """Images -> maps of stride 8, 16 and 32. `body` has torchvision's names."""

    def __init__(self, cfg: Resnet) -> None:
        super().__init__()
        fixed = cfg.weights != "none"
        norm: Any = FrozenBatchNorm2d if fixed else _groups
        self.body = RESNETS[cfg.depth](weights=None, norm_layer=norm)
        del self.body.fc
        wide = 4 if cfg.depth == 50 else 1
        self.channels = {"8": 128 * wide, "16": 256 * wide, "32": 512 * wide}
        if fixed:
            b = self.body
            stages = (nn.ModuleList([b.conv1, b.bn1]), b.layer1, b.layer2, b.layer3, b.layer4)
            nn.ModuleList(stages[: cfg.frozen_stages]).requires_grad_(requires_grad=False)

    def entrance(self) -> tuple[nn.Module, tuple[str, ...]]:
        """Return where a file's tensors go, and the beginnings of names that have no place."""
        return self.body, ("fc.",)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return maps by stride, finest first."""
        b = self.body
        c4 = b.layer1(b.maxpool(b.relu(b.bn1(b.conv1(x)))))
        c8 = b.layer2(c4)
        c16 = b.layer3(c8)
        return {"8": c8, "16": c16, "32": b.layer4(c16)}


class Lite0Trunk(nn.Module):
    """Images -> maps of stride 8, 16 and 32. `body` has timm's names; BatchNorm stays fixed.

    Without weights there is nothing to keep fixed: all is trained, and GroupNorm stands in for
    BatchNorm, whose statistics would depend on how many workers share a batch.
    """

    channels = {"8": 40, "16": 112, "32": 320}  # noqa: RUF012 (a constant of the network)

    def __init__(self, cfg: Lite0) -> None:
        super().__init__()
        self.body = _timm_features()
        if cfg.weights == "none":
            _with_groups(self.body)
        else:
            norms = [m for m in self.modules() if isinstance(m, nn.BatchNorm2d)]
            nn.ModuleList(norms).requires_grad_(requires_grad=False)
            stages = (self.body.conv_stem, *self.body.blocks)
            nn.ModuleList(stages[: cfg.frozen_stages + 1]).requires_grad_(requires_grad=False)
            if cfg.frozen_stages + 1 >= len(stages):
                self.train()  # BatchNorm too: a classifier's rows read what this trunk gave them

    def entrance(self) -> tuple[nn.Module, tuple[str, ...]]:
        """Return where a file's tensors go, and the beginnings of names that have no place."""
        return self.body, ("conv_head.", "bn2.", "classifier.")

    def train(self, mode: bool = True) -> "Lite0Trunk":  # noqa: FBT001, FBT002 (torch's signature)
        """Set the mode; BatchNorm stays in evaluation."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return maps by stride, finest first."""
        return dict(zip(self.channels, self.body(x), strict=True))


class Pyramid(nn.Module):
    """Lin et al., 2017: every level has the same number of channels."""

    proposals_only: tuple[nn.Module, ...] = ()  # regions are pooled from every level

    def __init__(self, channels: dict[str, int], *, width: int) -> None:
        super().__init__()
        self.fpn = FeaturePyramidNetwork(list(channels.values()), width)

    def forward(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return maps of `width` channels under the same names."""
        return self.fpn(maps)


def _with_groups(module: nn.Module) -> None:
    """Put GroupNorm of eight channels a group, and its activation, in place of each BatchNorm."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            act = cast("nn.Module", getattr(child, "act", nn.Identity()))
            norm = nn.GroupNorm(child.num_features // 8, child.num_features)
            setattr(module, name, nn.Sequential(norm, act))
        else:
            _with_groups(child)


def _groups(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels)


def _timm_features() -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError(
            "backbone.kind: lite0 needs timm, which is not installed. "
            "Run `pip install 'vocabox[pretrained]'`, or choose small or resnet."
        ) from error
    return timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(2, 3, 4)
    )
