"""Sections that the pages of all recipes share: sources, evaluation, places, tracking."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval, MinLen

from components.data.readers import Coco, Csv, Folders

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

Library = Literal[
    "python", "torch", "torchvision", "numpy", "pyarrow", "ray", "pillow", "simplejpeg"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A part of the drawn world that section `draw` describes."""

    kind: Literal["drawn"] = "drawn"
    part: DrawnPart  # labels: train_photos as folders, train_labels the same as a table
    level: str = "fine"  # of the classes; ids are <level>:<name>


Source = Coco | Csv | Folders | Drawn


@dataclass(frozen=True, kw_only=True, slots=True)
class Test:
    """Pictures with boxes that are scored; never trained on."""

    name: str  # 1 to 40 small letters, digits and underscores; nodes and metrics carry it
    source: Source  # with boxes of every object
    task: Literal["scenes", "localization"] = "scenes"  # AP; localization: one class a picture
    size: Annotated[int, Interval(ge=16, le=4096)] = 96  # px, long side; as stage2.scene_view.size


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Boxes for some classes, image labels for all, and what to score on."""

    boxes: Annotated[tuple[Source, ...], MinLen(1)]  # pictures with boxes to train on
    labels: tuple[Source, ...] = ()  # pictures with image labels to train on; at
    # least one in recipe joint
    tune: tuple[Test, ...] = ()  # scored under val/: choose settings by these, not by test
    test: Annotated[tuple[Test, ...], MinLen(1)]  # the first of task scenes gives coco/AP
    max_bad_fraction: Fraction = 0.001  # share of pictures that may be left out
    allow_overlap: bool = False  # true: go on where a picture is trained on and scored on


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    """How a detector is scored."""

    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # name -> class ids: a set
    # of classes to report apart, as <level>/AP50@<name>
    top: Annotated[int, Interval(ge=1, le=1000)] = 100  # boxes kept a picture
    floor: Fraction = 1e-4  # least score of a box that is kept
    batch: Annotated[int, Interval(ge=1, le=256)] = 16  # pictures at once
    pictures: Annotated[int, Interval(ge=0, le=100)] = 8  # drawn for the report: so many worst
    # and so many best of each test
    controls: tuple[Literal["whole_photo"], ...] = ()  # to compare with: the class of the whole
    # picture times the best box


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a node runs; changes no result."""

    cpus: Annotated[float, Interval(ge=0, le=1024)] = 1.0  # held by a node that does not train
    workers: Annotated[int, Interval(ge=0, le=4096)] = 0  # of a training node; 0: its world
    min_workers: Annotated[int, Interval(ge=0, le=4096)] = 0  # of a training node that says
    # deterministic: false; it runs with so few where there is no room for all. 0: all or none
    cpus_per_worker: Annotated[float, Interval(ge=0, le=1024)] = 1.0  # of a training node
    gpus_per_worker: Annotated[float, Interval(ge=0, le=16)] = 0.0  # 1 chooses NCCL; untried
    memory: Annotated[int, Interval(ge=0)] = 0  # bytes of a node, or of each worker; 0: not counted
    retries: Annotated[int, Interval(ge=0, le=100)] = 2  # after a lost worker or machine
    local: bool = False  # train in forked processes of one task, without Ray Train
    checkpoint_every: Annotated[int, Interval(ge=0, le=1_000_000)] = 100  # steps; 0 for none
    silent_after_s: Annotated[float, Interval(ge=0)] = 0.0  # a node that says nothing for so many
    # seconds is stopped and tried again; 0: never


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracking:
    """Where metrics are sent while the run goes on."""

    kind: Literal["mlflow", "none"] = "mlflow"  # none: only the run's own files
    uri: str | None = None  # of a server or database; null: a database inside the store
    experiment: str = "vocabox/joint"  # name under which MLflow shows the runs
