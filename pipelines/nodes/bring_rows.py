"""A classifier -> its rows: of a model of ours, of a package, or of a user's file."""

from dataclasses import dataclass
from typing import Any, Literal

from pipelines.graph.node import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class BringRows:
    """Where rows come from: input `model`, a packaged name, or the files of input `files`."""

    kind: Literal["model", "packaged", "file"]
    name: str = ""  # of a package


def bring_rows(task: Task) -> dict[str, Any]:
    """Read the rows of a classifier, check them, and write them with their classes."""
    from components.train.source_file import open_source
    from components.train.source_folder import save_source

    cfg: BringRows = task.cfg
    match cfg.kind:
        case "model":
            opened = open_source(task.path("model"))
        case "packaged":
            opened = open_source(cfg.name)
        case "file":
            files = task.files("files")
            opened = open_source(files["file"], classes=files.get("classes"))
    save_source(task.out, opened)
    return {"classes": len(opened.weights.vocabulary)}
