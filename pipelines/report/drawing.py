"""The graph as an SVG: columns from inputs to results, one box a node, coloured by its state."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDE, TALL, GAP_X, GAP_Y = 168, 42, 46, 14  # px
LETTERS = 21  # of a name that fit into a box


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """One node to draw; inputs stand before their users."""

    name: str
    inputs: tuple[str, ...]
    state: str
    seconds: float


def graph_svg(nodes: Sequence[Placed]) -> str:
    """Return the graph; a node stands one column right of the last of its inputs."""
    if not nodes:
        return ""
    column: dict[str, int] = {}
    for node in nodes:
        column[node.name] = max((column[i] + 1 for i in node.inputs if i in column), default=0)
    rows: dict[int, int] = {}
    at: dict[str, tuple[int, int]] = {}
    for node in nodes:
        c = column[node.name]
        at[node.name] = (4 + c * (WIDE + GAP_X), 4 + rows.get(c, 0) * (TALL + GAP_Y))
        rows[c] = rows.get(c, 0) + 1
    width = (max(column.values()) + 1) * (WIDE + GAP_X)
    height = max(rows.values()) * (TALL + GAP_Y) + 8
    edges = [_edge(at[i], at[node.name]) for node in nodes for i in node.inputs if i in at]
    boxes = [_box(node, at[node.name]) for node in nodes]
    return (
        f'<svg class="graph" viewBox="0 0 {width} {height}" role="img" aria-label="graph">'
        f"{''.join(edges)}{''.join(boxes)}</svg>"
    )


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + WIDE, start[1] + TALL // 2
    x2, y2 = end[0], end[1] + TALL // 2
    middle = (x1 + x2) // 2
    return f'<path class="edge" d="M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"/>'


def _box(node: Placed, at: tuple[int, int]) -> str:
    x, y = at
    shown = node.name if len(node.name) <= LETTERS else f"{node.name[: LETTERS - 1]}…"
    took = f"{node.seconds:.1f} s" if node.state == "done" else node.state
    return (
        f'<g class="node {escape(node.state)}"><title>{escape(node.name)}</title>'
        f'<rect x="{x}" y="{y}" width="{WIDE}" height="{TALL}" rx="6"/>'
        f'<text x="{x + 8}" y="{y + 17}">{escape(shown)}</text>'
        f'<text class="small" x="{x + 8}" y="{y + 33}">{escape(took)}</text></g>'
    )
