"""Everything that a run's page shows, and the page: one HTML file without script or address.

Names of classes, files and settings are text of strangers: the template escapes all of it, and the
page's own policy forbids scripts and requests.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from pipelines.report.curves import Curve, curve_svg
from pipelines.report.drawing import Placed, graph_svg

Points = Sequence[tuple[float, float]]  # step, value


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeRow:
    """One node of the graph as the run met it."""

    name: str
    state: str
    seconds: float
    key: str
    inputs: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """One class of one test set."""

    test: str
    name: str
    group: str
    truths: int
    AP: float
    AP50: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture with boxes drawn on it."""

    caption: str
    jpeg: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What a page shows, in the order it is read."""

    run: str
    recipe: str
    status: str
    metrics: Mapping[str, float | None]
    nodes: Sequence[NodeRow]
    curves: Mapping[str, Mapping[str, Points]]  # node -> metric -> points
    classes: Sequence[ClassRow]
    pictures: Sequence[Picture]
    settings: Mapping[str, Any]  # by dotted path
    commands: Sequence[str]
    reason: str = ""
    notes: Sequence[str] = field(default_factory=tuple)


MOST_CLASSES = 2000  # rows of the table; a vocabulary can have 21,841
HEADLINE = (
    ("novel/AP50", "AP50, classes with image labels only"),
    ("seen/AP50", "AP50, classes with boxes"),
    ("coco/AP", "AP, all classes"),
    ("coco/AP50", "AP50, all classes"),
    ("loc/top1", "localization, top-1"),
    ("loc/gt_known", "localization, class given"),
)


def render(page: Page) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["number"] = number
    placed = [Placed(name=n.name, inputs=n.inputs, state=n.state, seconds=n.seconds)
              for n in page.nodes]  # fmt: skip
    html = environment.get_template("page.html").render(
        page=page,
        css=(here / "page.css").read_text(encoding="utf-8"),
        headline=[(page.metrics[n], text, n) for n, text in HEADLINE if n in page.metrics],
        graph=graph_svg(placed),
        curves=_curves(page.curves),
        classes=sorted(page.classes, key=_rank)[:MOST_CLASSES],
        metrics=_grouped(page.metrics),
        reasons=any(node.why for node in page.nodes),
        pictures=[(p.caption, base64.b64encode(p.jpeg).decode()) for p in page.pictures],
    )
    return html.encode("utf-8", "backslashreplace").decode()  # a path need not be UTF-8


def number(value: float | None, digits: int = 3) -> str:
    """Return a number for people; a dash where there is none."""
    if value is None or value != value:  # noqa: PLR0124  NaN
        return "–"
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.0f}"


def _rank(row: ClassRow) -> tuple[str, str, float, str]:
    """Return the place of a row: best first in each group, without a score last."""
    worth = -row.AP50 if math.isfinite(row.AP50) else math.inf
    return row.test, row.group, worth, row.name


def _grouped(metrics: Mapping[str, float | None]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return (group, its metrics by name), sorted."""
    pairs = groupby(sorted(metrics.items()), key=lambda pair: pair[0].partition("/")[0])
    return [(group, list(of_group)) for group, of_group in pairs]


def _curves(curves: Mapping[str, Mapping[str, Points]]) -> list[tuple[str, str, str]]:
    """Return (node, metric, SVG) of each curve worth a look."""
    return [
        (node, metric, curve_svg(Curve(name=metric, points=points)))
        for node, metrics in curves.items()
        for metric, points in sorted(metrics.items())
        if metric.startswith("train/") and len(points) > 1
    ]
