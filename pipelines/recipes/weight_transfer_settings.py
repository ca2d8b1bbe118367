"""What one page of settings says for paper 4: sources, a classifier's rows, a detector."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval

from components.data.drawn.world import World
from components.data.hierarchies import Edges, OpenImages, WordNet
from components.models.choices import Lite0, Resnet, Small, Stage1, TransferStage
from components.transfer.methods import FitRows
from pipelines.recipes.page_settings import Evaluate, Library, Place, Sources, Tracking


@dataclass(frozen=True, kw_only=True, slots=True)
class OfStage1:
    """Rows of a classifier that is trained here, by section `stage1`."""

    kind: Literal["stage1"] = "stage1"
    seed: int | None = None  # of a training of its own; null: the one that the detector starts from


@dataclass(frozen=True, kw_only=True, slots=True)
class OfPackage:
    """Rows of a classifier that comes as a package: a thousand classes of ImageNet."""

    kind: Literal["packaged"] = "packaged"
    name: Literal["efficientnet-lite0"] = "efficientnet-lite0"  # classes imagenet:n01440764, ...


@dataclass(frozen=True, kw_only=True, slots=True)
class OfFile:
    """Rows in a file of yours: a classifier, or a table of embeddings."""

    kind: Literal["file"] = "file"
    file: str  # .safetensors, the folder that `vocabox convert` wrote, or .parquet: id, vector
    classes: str | None = None  # class list, one a row; null: the file or the folder has its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Jointly:
    """The transfer is learnt while the detector is, as in the paper."""

    kind: Literal["joint"] = "joint"


@dataclass(frozen=True, kw_only=True, slots=True)
class OnFeatures:
    """The transfer is fitted when the detector is finished, on features of its regions.

    Of method direct nothing is fitted: `per_picture` and `numbers` are not read.
    """

    kind: Literal["features"] = "features"
    feature: Literal["head", "trunk"] = "head"  # of the region head; trunk: as the backbone's own
    # classifier sees a picture, for rows of that very classifier, as direct and residual_* want it
    per_picture: Annotated[int, Interval(ge=1, le=1000)] = 24  # regions kept of a picture; of
    # method direct none
    context: Annotated[float, Interval(ge=0, le=1)] = 0.0  # share of the whole picture in a
    # region's score, of method direct on the trunk's features: above 0 for pictures of one thing
    numbers: FitRows = field(default_factory=FitRows)  # not read by method direct: nothing is
    # fitted


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightTransferConfig:
    """One page: paper 4, a classifier's rows become a detector's."""

    recipe: Literal["weight_transfer"]  # which pipeline: paper 4
    draw: World | None = None  # for sources of kind drawn
    sources: Sources
    backbone: Small | Resnet | Lite0 = field(default_factory=Small)  # the network
    stage1: Stage1 | None = None  # a classifier of `sources.labels`, which the detector starts from
    rows: OfStage1 | OfPackage | OfFile  # the classifier's rows, one a class
    hierarchy: Edges | OpenImages | WordNet | None = None  # a box of a dog is one of an animal too;
    # null: no class contains another
    classes: str | None = None  # list of class ids that the detector gets; null: all rows, and
    # the boxed classes that have none
    detector: TransferStage  # how it is trained, and the method of the transfer
    fit: Jointly | OnFeatures = field(default_factory=Jointly)  # when the transfer is learnt
    evaluate: Evaluate = field(default_factory=Evaluate)
    keyed_versions: tuple[Library, ...] = ()  # another major.minor of these reruns what is there
    run_on: dict[str, Place] = field(default_factory=dict)  # by node: boxes, detector, model, ...
    tracking: Tracking = field(default_factory=Tracking)

    @property
    def labels_teach(self) -> bool:
        """Say whether anything is trained on the image labels."""
        return self.stage1 is not None

    @property
    def learns_elsewhere(self) -> bool:
        """Say whether classes come that no source of this page teaches."""
        return not isinstance(self.rows, OfStage1)
