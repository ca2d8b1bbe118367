"""An Open Images hierarchy (JSON of nested LabelName and Subcategory) -> a class graph.

A label stands under each of its parents, with all that is below it every time: what is one class in
several places is one class with several parents. `Part` is not is-a: a wheel is no car, so it is
left out with all that is below it.
"""

from pathlib import Path
from typing import Any

from components.data.sources.label_problems import DataError, few
from components.data.sources.strict_json import BEGINS, JsonError, pieces
from components.vocab.class_graph import ClassGraph, Edge

NAME, BELOW = "LabelName", "Subcategory"
SHAPE = f'Give {{"{NAME}": ..., "{BELOW}": [...]}}, nested; or write a table with child,parent.'


def read_tree(tree: Path) -> ClassGraph:
    """Return the graph of a hierarchy file.

    Raises:
        DataError: not JSON, too deep, too long, or JSON of another shape.
        HierarchyError: a label is below itself.
    """
    root, tops, keys = None, list[Any](), list[str]()
    try:
        for piece in pieces(tree):
            if piece.key is None:
                what = "a list" if piece.place is not None else "one value"
                raise DataError([f"{tree.name}: no Open Images hierarchy; got {what}. {SHAPE}"])
            keys += [piece.key] if piece.place in (None, BEGINS) else []
            if piece.key == NAME and piece.place is None:
                root = piece.value
            elif piece.key == BELOW and piece.place is None:
                tops = piece.value
            elif piece.key == BELOW and piece.place != BEGINS:
                tops.append(piece.value)
    except JsonError as error:
        raise DataError([str(error.finding)]) from None
    if NAME not in keys:
        got = f"the keys {', '.join(map(repr, keys[:5]))}" if keys else "no key"
        raise DataError([f"{tree.name}: no Open Images hierarchy; got {got}. {SHAPE}"])
    return _graph({NAME: root, BELOW: tops}, tree.name)


def _graph(root: dict[str, Any], name: str) -> ClassGraph:
    """Return the graph below a label; the strict door has bounded how deep it is."""
    edges: dict[Edge, None] = {}
    problems: list[str] = []
    left: list[tuple[str, Any, str | None]] = [("the root", root, None)]  # place, node, its parent
    while left:
        place, node, parent = left.pop()
        label = node.get(NAME) if isinstance(node, dict) else None
        below = node.get(BELOW, []) if isinstance(node, dict) else None
        if not isinstance(label, str) or not label or not isinstance(below, list):
            problems.append(
                f"{name}, {place}: no label, or no list below it; got {node!r:.60}. {SHAPE}"
            )
            continue
        if parent is not None:
            edges[Edge(label, parent)] = None
        names = [one.get(NAME) for one in below if isinstance(one, dict)]
        if twice := next((n for i, n in enumerate(names) if n in names[:i]), None):
            problems.append(
                f"{name}, {place}: a label stands twice in one list; got {twice!r:.60} under "
                f"{label!r:.60}. Remove one."
            )
        inner = "" if parent is None else f"{place}."
        left += [(f"{inner}{BELOW}[{i}]", one, label) for i, one in enumerate(below)][::-1]
    if not problems and not edges:
        problems = [f"{name}: no class has a parent; got no {BELOW} below the root. {SHAPE}"]
    if problems:
        raise DataError(few(problems, of=name))
    return ClassGraph.of(edges, where=name)
