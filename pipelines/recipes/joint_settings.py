"""What one page of settings says for paper 5: sources, backbone, two stages, evaluation, places."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval, MinLen

from components.data.drawn.world import World
from components.data.readers import Coco, Csv, Folders
from components.models.choices import Lite0, Resnet, Small, Stage1, Stage2

Fraction = Annotated[float, Interval(ge=0, le=1)]
DrawnPart = Literal[
    "train_scenes",
    "train_photos",
    "train_labels",
    "tune_scenes",
    "test_scenes",
    "test_photos",
    "unlabelled",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A part of the drawn world that section `draw` describes."""

    kind: Literal["drawn"] = "drawn"
    part: DrawnPart
    level: str = "fine"


Source = Coco | Csv | Folders | Drawn


@dataclass(frozen=True, kw_only=True, slots=True)
class Test:
    """Pictures with boxes that are scored; never trained on."""

    name: str  # letters, digits and underscores
    source: Source
    task: Literal["scenes", "localization"] = "scenes"  # localization: one class a picture
    size: Annotated[int, Interval(ge=16, le=4096)] = 96  # px, long side


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Boxes for some classes, image labels for all, and what to score on."""

    boxes: Annotated[tuple[Source, ...], MinLen(1)]
    labels: Annotated[tuple[Source, ...], MinLen(1)]
    test: Annotated[tuple[Test, ...], MinLen(1)]
    tune: tuple[Test, ...] = ()  # scored under val/: choose settings by these, not by test
    max_bad_fraction: Fraction = 0.001  # pictures left out before packing stops
    allow_overlap: bool = False  # true: go on where a picture is trained on and scored on


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    """How a detector is scored."""

    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # name -> class ids
    top: Annotated[int, Interval(ge=1, le=1000)] = 100  # detections a picture
    floor: Fraction = 1e-4  # least score kept
    batch: Annotated[int, Interval(ge=1, le=256)] = 16  # pictures at once
    pictures: Annotated[int, Interval(ge=0, le=100)] = 8  # worst, and best: drawn, a test
    controls: tuple[Literal["whole_photo"], ...] = ()  # class of the whole picture x best box


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a node runs; changes no result."""

    cpus: Annotated[float, Interval(ge=0, le=1024)] = 1.0
    workers: Annotated[int, Interval(ge=0, le=4096)] = 0  # of a training node
    cpus_per_worker: Annotated[float, Interval(ge=0, le=1024)] = 1.0
    gpus_per_worker: Annotated[float, Interval(ge=0, le=16)] = 0.0
    retries: Annotated[int, Interval(ge=0, le=100)] = 2
    local: bool = False  # train in forked processes of one task, without Ray Train
    checkpoint_every: Annotated[int, Interval(ge=0, le=1_000_000)] = 100  # steps; 0 for none


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracking:
    """Where metrics are sent while the run goes on."""

    kind: Literal["mlflow", "none"] = "mlflow"
    uri: str | None = None  # default: a database inside the store
    experiment: str = "vocabox/joint"


@dataclass(frozen=True, kw_only=True, slots=True)
class JointConfig:
    """One page: paper 5, classify first on a whole-image region, then train jointly."""

    recipe: Literal["joint"]
    sources: Sources
    stage2: Stage2
    stage1: Stage1 | None = None  # null: the arm without stage I
    draw: World | None = None
    backbone: Small | Resnet | Lite0 = field(default_factory=Small)
    evaluate: Evaluate = field(default_factory=Evaluate)
    run_on: dict[str, Place] = field(default_factory=dict)
    tracking: Tracking = field(default_factory=Tracking)
