"""What can be wrong between a classifier's rows, the classes wanted and the boxes of a page."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from components.models.choices import PACKAGED, Lite0, trunk_width
from components.train.rows_header import TABLES, RowsHeader, packaged_header
from components.train.weights_file import DamagedError, WeightsError
from components.transfer.methods import ON_FEATURES
from components.vocab.class_list import read_class_list
from components.vocab.classes import Vocabulary, VocabularyError, union
from components.vocab.shared_classes import both_found, listed, under_two_ids, why_apart
from pipelines.recipes.weight_transfer_settings import (
    Jointly,
    OfFile,
    OfPackage,
    OfStage1,
    WeightTransferConfig,
)
from pipelines.settings.problems import Problem


def look_at_rows(cfg: WeightTransferConfig, root: Path) -> tuple[RowsHeader, list[Problem]]:
    """Return what the rows say of themselves, and what is wrong with the files that hold them.

    Raises:
        DamagedError: they are of a result of ours, which is no longer what was written.
    """
    match cfg.rows:
        case OfStage1():
            return RowsHeader(feature="head"), []
        case OfPackage():
            return packaged_header(cfg.rows.name), []
        case OfFile():
            return _of_file(cfg.rows, root)


def look_at_list(cfg: WeightTransferConfig, root: Path) -> tuple[Vocabulary | None, list[Problem]]:
    """Return the classes wanted, where the page has a list of them, and what is wrong with it."""
    if cfg.classes is None:
        return None, []
    if missing := _missing("classes", root / cfg.classes):
        return None, missing
    try:
        return read_class_list(root / cfg.classes), []
    except VocabularyError as error:
        return None, [_at("classes", error)]


def as_they_are(cfg: WeightTransferConfig, rows: RowsHeader) -> Iterator[Problem]:
    """Say why rows that are taken as they are, or added to, do not fit what regions show."""
    method = cfg.detector.transfer.method
    if method not in ON_FEATURES or isinstance(cfg.fit, Jointly):
        return
    if rows.feature == "head":
        yield Problem(
            where="rows.kind" if isinstance(cfg.rows, OfStage1) else "rows.file",
            what=f"method {method} wants features that stay as the rows were made for, and the "
            "detector's training moves the region head",
            got="rows that read a region head",
            do="Take rows of the trunk's own classifier (kind packaged or file), or a method that "
            "learns its rows, as ae_wtn.",
        )
        return
    if cfg.fit.feature == "head":
        yield Problem(
            where="fit.feature",
            what=f"method {method} reads the features of the trunk, which its rows were made for",
            got="head",
            do="Set it to trunk, and backbone.frozen_stages to its most.",
        )
    layers = cfg.detector.transfer.layers if method != "direct" else ()
    own = trunk_width(cfg.backbone)
    width = layers[-1] if layers else own
    if None not in (own, rows.width) and width != rows.width:
        seen = "detector.transfer.layers" if layers else f"backbone {cfg.backbone.kind}"
        yield Problem(
            where="rows.name" if isinstance(cfg.rows, OfPackage) else "rows.file",
            what=f"method {method} wants a number for each feature",
            got=f"{rows.width} numbers a class; {width} features of {seen}",
            do="Take rows of the backbone's own classifier, or a method that learns a mapping, as "
            "ae_wtn.",
        )
    elif method == "direct" and _layers_above(cfg) and rows.layers is False:
        yield Problem(
            where="rows.file",
            what=f"method {method} wants the layers between the trunk and the rows' classifier",
            got=f"rows without them, on weights from {cfg.backbone.weights}",
            do="Give the classifier's whole file as .safetensors, backbone.weights: "
            f"{' or '.join(PACKAGED)}, whose layers are known, or a method that is fitted, as "
            "residual_feature.",
        )


def _layers_above(cfg: WeightTransferConfig) -> bool:
    """Say whether a classifier has layers above the trunk that no package tells."""
    return isinstance(cfg.backbone, Lite0) and cfg.backbone.weights not in PACKAGED


def meeting(
    cfg: WeightTransferConfig,
    rows: RowsHeader,
    wanted: Vocabulary | None,
    boxes: Collection[str],
    labels: Collection[str],
) -> Iterator[Problem]:
    """Say where boxes, rows and the classes wanted do not meet.

    Args:
        cfg: the page.
        rows: what is known of them.
        wanted: the list of classes, where there is one.
        boxes: ids of the classes with boxes.
        labels: ids of the classes with image labels, which teach stage 1.
    """
    source = Vocabulary.of(labels) if isinstance(cfg.rows, OfStage1) else rows.classes
    boxed = Vocabulary.of(boxes)
    if source is None or not len(source) or not len(boxed):
        return
    if wanted is not None:
        known = set(union(boxed, source).ids)
        if strange := [class_id for class_id in wanted.ids if class_id not in known]:
            yield Problem(
                where="classes",
                what="known to the boxes or to the rows",
                got=f"{len(strange)} that neither has: {listed([repr(i) for i in strange])}",
                do=f"There are {len(known)}, such as {listed([repr(i) for i in boxed.ids])}.",
            )
    if cfg.detector.transfer.method != "direct":
        if reason := why_apart(source, boxed):
            yield replace(Problem.told(reason), where="rows")
        return
    taken = None if wanted is None else set(wanted.ids)
    twice = under_two_ids(source, boxed)
    if twice := [pair for pair in twice if taken is None or taken.issuperset(pair)]:
        yield replace(Problem.told(f"rows: {both_found(twice)}"), grave=False)


def _of_file(source: OfFile, root: Path) -> tuple[RowsHeader, list[Problem]]:
    place = root / source.file
    classes = None if source.classes is None else root / source.classes
    missing = _missing("rows.file", place)
    missing += [] if classes is None else _missing("rows.classes", classes)
    if missing:
        return RowsHeader(), missing
    if wrong := _of_list(place, classes):
        return RowsHeader(), [wrong]
    return _as_read(place, classes)


def _of_list(place: Path, classes: Path | None) -> Problem | None:
    """Say whether a list of classes is wanted, or too much."""
    names_classes = place.is_dir() or place.suffix.lower() in TABLES
    if names_classes and classes is not None:
        return Problem(
            where="rows.classes",
            what="for a .safetensors file only; these rows name their classes",
            got=str(classes),
            do="Leave it out.",
        )
    if place.suffix.lower() == ".safetensors" and classes is None:
        return Problem(
            where="rows.classes",
            what="the classes of its rows are not in the file",
            got="no list",
            do="Give one: a class id a line, in the order of the rows.",
        )
    return None


def _as_read(place: Path, classes: Path | None) -> tuple[RowsHeader, list[Problem]]:
    """Read the rows, by torch; return what they are, and why whoever takes them will refuse."""
    from components.train.source_file import header_of, open_source
    from components.transfer.source import SourceError

    try:
        return header_of(open_source(place, classes=classes)), []
    except DamagedError:
        raise  # a damaged result, not a wrong setting
    except VocabularyError as error:
        where = "rows.file" if classes is None else "rows.classes"
        return RowsHeader(), [_at(where, error)]
    except (SourceError, WeightsError) as error:
        return RowsHeader(), [_at("rows.file", error)]


def _missing(where: str, place: Path) -> list[Problem]:
    if place.exists():
        return []
    do = "Check the path; it starts from the folder of the config."
    return [Problem(where=where, what="not there", got=str(place.resolve()), do=do)]


def _at(where: str, error: ValueError) -> Problem:
    told = Problem.told(str(error))
    return replace(told, where=f"{where}, {told.where}")
