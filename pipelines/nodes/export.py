"""Weights (+ a fitted transfer, + a source of classes) -> Weights that score by exported rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval

from pipelines.graph.node import Task

if TYPE_CHECKING:
    from components.train.export_model import Exported


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """Which classes are written."""

    own: Literal["all", "lacking"] = "all"  # of the model's classes, where rows are taken as they
    # are: all, or those that the source lacks
    context: Annotated[float, Interval(ge=0, le=1)] = 0.0  # share of the whole picture in a
    # region's score, for a classifier's own rows


def export(task: Task) -> dict[str, Any]:
    """Write a model that scores by exported rows.

    Inputs: `model`; `transfer`, where rows come by a transfer that lies beside the model and not
    in it; `source`, where classes are added: the result of a node, or a user's files by the roles
    `source`, and `classes` for the list that goes with a .safetensors file; `classes`, where not
    all are written: the role `file` is their list.
    """
    from components.vocab.class_list import read_class_list
    from components.vocab.shared_classes import both_found

    source, listed = None, None
    if "source" in task.inputs:
        given = task.inputs["source"]
        files = {"source": given} if isinstance(given, Path) else task.files("source")
        source, listed = files["source"], files.get("classes")
    wanted = None
    if "classes" in task.inputs:
        wanted = read_class_list(task.files("classes")["file"]).ids
    made = export_rows(
        task.path("model"),
        out=task.out,
        transfer=task.path("transfer") if "transfer" in task.inputs else None,
        source=source,
        source_classes=listed,
        ids=wanted,
        own=task.cfg.own,
        context=task.cfg.context,
    )
    if made.two_ids:
        task.note(both_found(made.two_ids))
    return {"classes": made.classes, "groups": dict(made.groups)}


def export_rows(
    model: Path,
    *,
    out: Path,
    transfer: Path | None = None,
    source: str | Path | None = None,
    source_classes: Path | None = None,
    ids: tuple[str, ...] | None = None,
    own: Literal["all", "lacking"] = "all",
    context: float = 0.0,
) -> "Exported":
    """Write a model directory that scores by exported rows, whole or not at all.

    Args:
        model: a model directory with all parts of a detector.
        out: a folder; replaced if it is there.
        transfer: a folder with transfer.json; None looks in the model's own.
        source: a name, file, folder or table that `open_source` reads; None adds no classes.
        source_classes: the classes of its rows, where it is a .safetensors file.
        ids: classes to write; None: all.
        own: see `Export`.
        context: share of the whole picture in a region's score; see `export_model`.
    """
    from components.train.export_model import export_model
    from components.train.source_file import open_source
    from components.train.transfer_file import has_transfer, load_transfer

    fitted = None
    if transfer is not None or has_transfer(model):
        fitted = load_transfer(transfer or model)
    opened = None if source is None else open_source(source, classes=source_classes)
    return export_model(
        model, out=out, source=opened, fitted=fitted, ids=ids, own=own, context=context
    )
