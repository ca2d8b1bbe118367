"""A hierarchy's file -> Hierarchy: the class graph with its closure; no worker reads WordNet."""

from dataclasses import dataclass
from typing import Any

from components.data.hierarchies import Reader
from pipelines.graph.node import Task

SHOWN = 5  # classes named that are not in the hierarchy
CLASSES = "classes"  # inputs that begin so hold a vocabulary


@dataclass(frozen=True, kw_only=True, slots=True)
class Taxonomy:
    """How the file is read."""

    reader: Reader


def taxonomy(task: Task) -> dict[str, Any]:
    """Write hierarchy.parquet, which `ClassGraph.read` gives back.

    Inputs: `hierarchy`, the files of `hierarchy_files`; and, where only the classes of some sets or
    models are asked for, `classes0`, `classes1` ...: views of their vocabulary.json as
    `vocabulary`. Classes between those asked for are left out, and who is above whom stays.

    Raises:
        DataError: the file makes no hierarchy.
        HierarchyError: none of the classes is in it, or two of them are one class there.
    """
    from components.data.hierarchies import graph_of
    from components.vocab.classes import Vocabulary, union

    cfg: Taxonomy = task.cfg
    graph = graph_of(cfg.reader, task.files("hierarchy"))
    asked = Vocabulary(ids=(), names=())
    for name in sorted(name for name in task.inputs if name.startswith(CLASSES)):
        asked = union(asked, Vocabulary.read(task.files(name)["vocabulary"]))
    lost: list[str] = []
    if len(asked):
        places = graph.places(asked)
        lost = [class_id for class_id, at in zip(asked.ids, places, strict=True) if at < 0]
        graph = graph.within(asked)
    if lost:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        task.note(
            f"{len(lost)} of {len(asked)} classes are not in the hierarchy and have no relatives: "
            f"{', '.join(lost[:SHOWN])}{more}."
        )
    graph.write(task.out / "hierarchy.parquet")
    return {
        "classes": len(graph),
        "edges": len(graph.children.columns),
        "closure": len(graph.ancestors.columns),
        "not_in_hierarchy": len(lost),
    }
