"""The plain values that a page is made of: one dataclass a part; no file is read here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Points = Sequence[tuple[float, float]]  # step, value


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeRow:
    """One node of the graph as the run met it."""

    name: str
    state: str
    seconds: float
    key: str
    inputs: tuple[str, ...]
    why: Sequence[str] = ()  # why it ran, where it was found, or what went wrong


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedSet:
    """One set of pictures as it was packed."""

    name: str
    pictures: int
    boxes: int
    supervision: Mapping[str, int]  # boxed, labelled ... -> pictures
    quarantined: Mapping[str, int]  # check id -> pictures left out
    noted: Mapping[str, int]  # check id -> odd, and taken
    left_out: Sequence[tuple[str, str]] = ()  # picture, why; the first few
    boxes_of: Mapping[str, int] = field(default_factory=dict[str, int])  # by class
    labels_of: Mapping[str, int] = field(default_factory=dict[str, int])
    sheet: bytes | None = None  # samples, as JPEG


@dataclass(frozen=True, kw_only=True, slots=True)
class Half:
    """Seen, novel, unknown or all classes of one test set: counts, and means over classes."""

    half: str
    classes: int
    truths: int
    train_boxes: int
    train_labels: int
    right: int
    confused: int
    missed: int
    AP: float
    AP50: float
    AP75: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """One class of one test set."""

    name: str
    group: str
    truths: int
    train_boxes: int
    train_labels: int
    AP: float
    AP50: float
    right: int
    confused: int
    missed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Confused:
    """Objects of one class that were called another."""

    name: str
    said: str
    count: int
    of: int  # objects of the class
    kind: str  # "" where it has none
    said_kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KindTable:
    """The classes of one kind, and what their objects were called."""

    kind: str
    classes: Sequence[str]
    counts: Sequence[Sequence[int]]  # a row a class: its kind's classes, other kinds, nothing
    wrong: int  # objects called another class of the kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture with boxes drawn on it."""

    caption: str
    jpeg: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One test set and why its scores are what they are."""

    test: str
    halves: Sequence[Half] = ()
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    class_curves: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    classes: Sequence[ClassRow] = ()
    shares: Mapping[str, int] = field(default_factory=dict[str, int])
    confused: Sequence[Confused] = ()  # most frequent first
    kinds: Sequence[KindTable] = ()  # most within-kind errors first
    kinds_left: int = 0  # that are not shown
    worst: Sequence[Picture] = ()
    best: Sequence[Picture] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Transferred:
    """What became of a classifier's rows (paper 4, Figure 4 and Table 3)."""

    method: str
    classes: int  # of the classifier
    shared: int  # of them with boxes
    asked: int  # classes whose neighbours were counted
    kept: Points  # k, how many of the k nearest are the same in both
    lengths: Mapping[str, Mapping[str, float]]  # of what -> shared mean, shared variance, novel ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Previous:
    """The run before this one, and what it did otherwise."""

    run: str
    settings: Sequence[tuple[str, Any, Any]]  # name, then, now
    metrics: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What a page shows."""

    run: str
    recipe: str
    status: str
    metrics: Mapping[str, float | None]
    nodes: Sequence[NodeRow]
    curves: Mapping[str, Mapping[str, Points]]  # node -> metric -> points
    settings: Mapping[str, Any]  # by dotted path
    commands: Sequence[str]
    sets: Sequence[PackedSet] = ()
    scored: Sequence[Scored] = ()
    transferred: Transferred | None = None
    previous: Previous | None = None
    reason: str = ""
    notes: Sequence[str] = ()
