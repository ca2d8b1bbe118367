"""What can be wrong with a page of paper 4, and with the files it names."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from components.data.hierarchies import graph_of, hierarchy_files
from components.data.sources.label_problems import DataError
from components.models.choices import Lite0, Resnet, Small, TransferStage
from components.transfer.methods import ON_FEATURES
from components.vocab.classes import Vocabulary
from pipelines.recipes.page_checks import page_problems
from pipelines.recipes.row_checks import as_they_are, look_at_list, look_at_rows, meeting
from pipelines.recipes.weight_transfer_settings import Jointly, OfStage1, WeightTransferConfig
from pipelines.settings.problems import Problem

if TYPE_CHECKING:  # it reads Parquet; a page without a hierarchy waits for nothing
    from components.vocab.class_graph import ClassGraph

NODES = (
    "draw", "pretrained", "stage1", "classifier", "rows", "taxonomy", "detector", "regions",
    "transfer", "model", "analysis",
)  # fmt: skip
OPTIMIZER = TransferStage().optimizer  # where the page names none
WHOLE = {"lite0": 7, "resnet": 5}  # frozen_stages that keep all of a trunk


def problems(cfg: WeightTransferConfig, root: Path) -> list[Problem]:
    """Say what is wrong across sections, and with the files, before anything starts."""
    stages = {"detector": cfg.detector, "stage1": cfg.stage1}
    rows, of_rows = look_at_rows(cfg, root)
    wanted, of_list = look_at_list(cfg, root)
    graph, of_graph = _look_at_hierarchy(cfg, root)

    def meets(boxes: Collection[str], labels: Collection[str]) -> Iterator[Problem]:
        yield from meeting(cfg, rows, wanted, boxes, labels)
        if graph is not None and boxes:
            yield from _boxed_in(graph, boxes)

    return [
        *_rows(cfg),
        *of_rows,
        *of_list,
        *_labels(cfg),
        *_fit(cfg),
        *as_they_are(cfg, rows),
        *of_graph,
        *_unread_hierarchy(cfg),
        *page_problems(cfg, root, nodes=NODES, stages=stages, meets=meets),
    ]


def _rows(cfg: WeightTransferConfig) -> Iterator[Problem]:
    if isinstance(cfg.rows, OfStage1) and (cfg.stage1 is None or cfg.stage1.form == "pooled"):
        yield Problem(
            where="rows.kind",
            what="rows of stage 1, which must be there and classify by regions",
            got="no section stage1" if cfg.stage1 is None else "stage1.form pooled",
            do="Add a section stage1 of form region, or take rows of kind packaged or file.",
        )


def _labels(cfg: WeightTransferConfig) -> Iterator[Problem]:
    if cfg.stage1 is not None and not cfg.sources.labels:
        yield Problem(
            where="sources.labels",
            what="stage1 learns from image labels, and no source has any",
            got="none",
            do="Name pictures with image labels, or leave stage1 out.",
        )


def _fit(cfg: WeightTransferConfig) -> Iterator[Problem]:
    method, fit = cfg.detector.transfer.method, cfg.fit
    if isinstance(fit, Jointly):
        if method in ON_FEATURES:
            yield Problem(
                where="fit.kind",
                what=f"{method} is fitted on features of a finished detector",
                got="joint",
                do="Set fit: {kind: features, feature: trunk}.",
            )
        return
    if cfg.detector.optimizer != OPTIMIZER:
        yield Problem(
            where="detector.optimizer",
            what="read where the transfer is learnt jointly",
            got=f"{cfg.detector.optimizer}, fit.kind features",
            do="Leave it out, or set fit: {kind: joint}.",
        )
    if fit.context > 0 and (method != "direct" or fit.feature != "trunk"):
        yield Problem(
            where="fit.context",
            what="for method direct on features of the trunk",
            got=f"{fit.context:g}, method {method}, feature {fit.feature}",
            do="Leave it out, or set detector.transfer.method: direct and fit.feature: trunk.",
        )
    if fit.feature == "trunk" or method in ON_FEATURES:
        yield from _trunk(cfg.backbone)


def _trunk(backbone: Small | Resnet | Lite0) -> Iterator[Problem]:
    """Say why the trunk's features are not those that its own classifier was made for."""
    if not isinstance(backbone, Lite0 | Resnet) or backbone.weights == "none":
        yield Problem(
            where="fit.feature",
            what="features as a trunk's own classifier sees them",
            got=f"backbone {backbone.kind}, weights {backbone.weights}",
            do="Take lite0 or resnet with weights, or fit.feature: head.",
        )
    elif backbone.frozen_stages < WHOLE[backbone.kind]:
        yield Problem(
            where="backbone.frozen_stages",
            what="a trunk that learns no longer makes the features that the rows were made for",
            got=str(backbone.frozen_stages),
            do=f"Set it to {WHOLE[backbone.kind]}: all of the trunk.",
        )


def _look_at_hierarchy(
    cfg: WeightTransferConfig, root: Path
) -> tuple["ClassGraph | None", list[Problem]]:
    """Return the page's hierarchy, read whole, and what is wrong with its file."""
    if cfg.hierarchy is None:
        return None, []
    try:
        files = hierarchy_files(cfg.hierarchy, root)
    except DataError as error:
        return None, [replace(Problem.told(text), where="hierarchy") for text in error.problems]
    missing = [
        Problem(
            where=f"hierarchy.{_setting(role)}",
            what="not there",
            got=str(place),
            do="Check the path; it starts from the folder of the config.",
        )
        for role, place in files.items()
        if not place.exists()
    ]
    if missing:
        return None, missing
    try:
        return graph_of(cfg.hierarchy.reader, files), []
    except DataError as error:
        (role,) = files
        return None, [_of_file(role, Problem.told(text)) for text in error.problems]


def _of_file(role: str, told: Problem) -> Problem:
    """Return a problem of a file at the setting that names it."""
    inside = f", {told.where}" if told.where not in ("", role) else ""
    return replace(told, where=f"hierarchy.{_setting(role)}{inside}")


def _setting(role: str) -> str:
    return "folder" if role == "nouns" else role


def _unread_hierarchy(cfg: WeightTransferConfig) -> Iterator[Problem]:
    if cfg.hierarchy is not None and not isinstance(cfg.fit, Jointly):
        yield Problem(
            where="hierarchy",
            what="read where the transfer is learnt jointly, by the loss of boxes",
            got="fit.kind features",
            do="Leave it out, or set fit: {kind: joint}.",
        )


def _boxed_in(graph: "ClassGraph", boxes: Collection[str]) -> Iterator[Problem]:
    """Say why the classes with boxes are no part of a hierarchy."""
    from components.vocab.class_graph import HierarchyError

    try:
        graph.within(Vocabulary.of(boxes))
    except HierarchyError as error:
        yield Problem.told(str(error))
