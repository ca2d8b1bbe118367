"""What the classifier of a trunk sees, of a region: for rows of somebody's classifier.

A classifier of whole pictures reads the mean of the trunk's last map, behind one more layer in
some networks. Of a region that is: RoIAlign on the last map, *then* that layer, *then* the mean;
the layer is not linear, so the mean comes last. Nothing here is trained: who moves these weights,
or the trunk below, no longer has the features that the classifier's rows were made for.
Shapes: N images, R regions of all images, G features.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from components.models.region_head import SAMPLES, with_image

SIDE = 4  # cells a region is pooled into; of stride 32, a region has few of its own
LAST = "32"  # stride of the last map
LITE0_WIDTH = 1280


class TrunkFeature(nn.Module):
    """Pools regions from the last map, through `layers`, to `width` features; always fixed."""

    def __init__(self, layers: nn.Module, *, width: int) -> None:
        super().__init__()
        self.layers, self.width = layers, width
        self.requires_grad_(requires_grad=False)
        self.eval()

    def train(self, mode: bool = True) -> "TrunkFeature":  # noqa: FBT001, FBT002 (torch's signature)
        """Stay in evaluation: the classifier's normalisation is fixed."""
        del mode
        return super().train(mode=False)

    def forward(self, maps: Mapping[str, Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return features [R, G] of each image's boxes, pixels, in their order.

        A box that is no box (NaN: a network that went wrong) is read at 0.
        """
        rois_R5 = with_image(boxes).nan_to_num()
        pooled = roi_align(maps[LAST], rois_R5, SIDE, 1 / int(LAST), SAMPLES, aligned=True)
        return self.layers(pooled).mean((2, 3))

    def whole(self, maps: Mapping[str, Tensor], sizes_N2: Tensor) -> Tensor:
        """Return features [N, G] of each whole picture of size height x width, px."""
        return mean_inside(self.layers(maps[LAST]), sizes_N2, stride=int(LAST))


def pooled_feature(channels: Mapping[str, int]) -> TrunkFeature:
    """Return what torchvision's `fc` sees: the mean of the last map."""
    return TrunkFeature(nn.Identity(), width=channels[LAST])


def lite0_feature(channels: Mapping[str, int]) -> TrunkFeature:
    """Return what EfficientNet-Lite0's classifier sees; the layers have timm's names.

    Their weights are not the trunk's: `foreign.load_trunk_feature` takes them from the file.
    """
    named = {
        "conv_head": nn.Conv2d(channels[LAST], LITE0_WIDTH, 1, bias=False),
        "bn2": nn.BatchNorm2d(LITE0_WIDTH, eps=1e-3),
        "act": nn.ReLU6(),
    }
    return TrunkFeature(nn.Sequential(OrderedDict(named)), width=LITE0_WIDTH)


def mean_inside(maps: Tensor, sizes_N2: Tensor, *, stride: int) -> Tensor:
    """Return the mean [N, C] over the cells of each picture; the padding is left out."""
    h, w = maps.shape[-2:]
    cells = (sizes_N2.to(maps.device) / stride).ceil()
    y = torch.arange(h, device=maps.device) < cells[:, :1]
    x = torch.arange(w, device=maps.device) < cells[:, 1:]
    mask = (y[:, None, :, None] & x[:, None, None, :]).to(maps.dtype)
    return (maps * mask).sum((2, 3)) / mask.sum((2, 3)).clamp(min=1)
