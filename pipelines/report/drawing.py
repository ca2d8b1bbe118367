"""The graph as an SVG: columns from inputs to results, one box a node, coloured by its state."""

from collections import Counter
from collections.abc import Sequence
from html import escape

from pipelines.report.parts import NodeRow
from pipelines.report.safe_text import told

WIDE, TALL, GAP_X, GAP_Y = 168, 46, 46, 14  # px
LETTERS = 21  # of a name that fit into a box
LANE = 12  # px, between arrows that pass a column
BAR = 4  # px, height of the bar that shows a node's share of the time


def graph_svg(nodes: Sequence[NodeRow]) -> str:
    """Return the graph; inputs stand before their users.

    A node stands one column right of the last of its inputs. An arrow that longer ways imply is
    left out; one that passes a column runs below its boxes. The bar in a box is the node's time
    beside the longest.
    """
    if not nodes:
        return ""
    column: dict[str, int] = {}
    rows: Counter[int] = Counter()
    at: dict[str, tuple[int, int]] = {}
    for node in nodes:
        c = column[node.name] = max((column[i] + 1 for i in node.inputs if i in column), default=0)
        at[node.name] = (4 + c * (WIDE + GAP_X), 4 + rows[c] * (TALL + GAP_Y))
        rows[c] += 1
    lanes: dict[tuple[str, int], int] = {}  # start, column -> y of the arrows that pass it
    used: Counter[int] = Counter()
    for start, end in arrows(nodes):
        for c in range(column[start] + 1, column[end]):
            if (start, c) not in lanes:
                lanes[start, c] = 4 + rows[c] * (TALL + GAP_Y) + used[c] * LANE
                used[c] += 1
    width = (max(column.values()) + 1) * (WIDE + GAP_X) - GAP_X + 8
    height = max(rows[c] * (TALL + GAP_Y) + used[c] * LANE for c in rows) + 8
    longest = max(node.seconds for node in nodes) or 1.0
    edges = [
        _edge(at[start], [(c, lanes[start, c]) for c in range(column[start] + 1, column[end])],
              at[end])
        for start, end in arrows(nodes)
    ]  # fmt: skip
    boxes = [_box(node, at[node.name], node.seconds / longest) for node in nodes]
    return (
        f'<svg class="graph" viewBox="0 0 {width} {height}" role="img" aria-label="graph">'
        f"{''.join(edges)}{''.join(boxes)}</svg>"
    )


def arrows(nodes: Sequence[NodeRow]) -> list[tuple[str, str]]:
    """Return (input, user) pairs without those that a longer way implies."""
    above: dict[str, set[str]] = {}
    out: list[tuple[str, str]] = []
    for node in nodes:
        known = [i for i in dict.fromkeys(node.inputs) if i in above]
        far = {i for near in known for i in above[near]}
        out += [(i, node.name) for i in known if i not in far]
        above[node.name] = far | set(known)
    return out


def took(node: NodeRow) -> str:
    """Return how a node ended, as its box says it."""
    if node.state in ("done", "cached"):
        return f"{'found, ' if node.state == 'cached' else ''}{node.seconds:.1f} s"
    return node.state


def _edge(start: tuple[int, int], lanes: list[tuple[int, int]], end: tuple[int, int]) -> str:
    """Return the arrow from a box through its lanes, (column, y) each, to another box."""
    x, y = start[0] + WIDE, start[1] + TALL // 2
    path = f"M{x} {y}"
    stops = [(4 + c * (WIDE + GAP_X), at_y, WIDE) for c, at_y in lanes]
    for to_x, to_y, wide in [*stops, (end[0], end[1] + TALL // 2, 0)]:
        middle = (x + to_x) // 2
        path += f"C{middle} {y} {middle} {to_y} {to_x} {to_y}h{wide}"
        x, y = to_x + wide, to_y
    return f'<path class="edge" d="{path}"/>'


def _box(node: NodeRow, at: tuple[int, int], share: float) -> str:
    x, y = at
    name = told(node.name)
    shown = name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
    return (
        f'<g class="node {escape(told(node.state))}"><title>{escape(name)}</title>'
        f'<rect class="box" x="{x}" y="{y}" width="{WIDE}" height="{TALL}" rx="6"/>'
        f'<rect class="bar" x="{x + 8}" y="{y + TALL - BAR - 4}" '
        f'width="{max(1.0, share * (WIDE - 16)):.1f}" height="{BAR}" rx="2"/>'
        f'<text x="{x + 8}" y="{y + 16}">{escape(shown)}</text>'
        f'<text class="small" x="{x + 8}" y="{y + 31}">{escape(told(took(node)))}</text></g>'
    )
