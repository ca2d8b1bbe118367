"""The page of one run: one HTML file without any address, and one script, that sorts tables.

Names of classes, files and settings are text of strangers: the template escapes all of it, what
would not be seen is written out, and the page's own policy lets no other script run and nothing
be requested.
"""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipelines.report.bars import counts_svg, shares_svg
from pipelines.report.curves import Chart, Line, chart_svg, drawable, short
from pipelines.report.drawing import graph_svg
from pipelines.report.parts import ClassRow, PackedSet, Page, Points, Previous, Scored, Transferred
from pipelines.report.safe_text import told

MOST_CLASSES = 2000  # rows of a table; a vocabulary can have 21,841
HEADLINE = (
    ("novel/AP50", "AP50, classes without boxes"),
    ("seen/AP50", "AP50, classes with boxes"),
    ("coco/AP", "AP, all classes"),
    ("coco/AP50", "AP50, all classes"),
    ("loc/top1", "localization, top-1"),
    ("loc/gt_known", "localization, class given"),
)
SHARES = (  # what an object is called: style, key, words
    ("good", "right", "its own class"),
    ("near", "within", "another class of its kind"),
    ("far", "across", "a class of another kind"),
    ("far", "unsorted", "another class"),
    ("none", "nothing", "nothing: no detection fits it"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A chart with its legend."""

    title: str
    svg: Markup
    lines: Sequence[tuple[str, str]]  # name, last value or mean


def render(page: Page) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, finalize=_shown
    )
    filters: dict[str, Any] = {"number": number, "whole": whole, "percent": percent}
    environment.filters.update(filters, base64=_base64)
    script = (here / "page.js").read_text(encoding="utf-8")
    template = environment.get_template("page.html")
    return template.render(
        page=page,
        css=Markup((here / "page.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        headline=_headline(page.metrics, page.previous),
        graph=Markup(graph_svg(page.nodes)),  # noqa: S704  escaped where it is made
        training=_training(page.curves),
        metrics=_grouped(page.metrics),
        neighbors=_neighbors(page.transferred),
        recall=[_precision_recall(scored) for scored in page.scored],
        ranked=[sorted(scored.classes, key=_rank)[:MOST_CLASSES] for scored in page.scored],
        shares=[_shares(scored.shares) for scored in page.scored],
        counts=[Markup(counts_svg(_examples(packed))) for packed in page.sets],  # noqa: S704
        table=_counts_table(page.sets),
        most=MOST_CLASSES,
    )


def number(value: float | None, digits: int = 3) -> str:
    """Return a number for people; a dash where there is none."""
    if value is None or value != value:  # noqa: PLR0124  NaN
        return "–"
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.0f}"


def whole(value: int) -> str:
    """Return a count for people: 1,234."""
    return f"{value:,}"


def percent(part: int, of: int) -> str:
    """Return a share for people: 45 %; a dash of nothing."""
    return f"{100 * part / of:.0f} %" if of else "–"


def _shown(value: Any) -> Any:
    """Make text what a page may show; markup is our own, and numbers are harmless."""
    return told(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _base64(data: bytes) -> Markup:
    return Markup(base64.b64encode(data).decode())  # noqa: S704  its letters are harmless


def _headline(
    metrics: Mapping[str, float | None], previous: Previous | None
) -> list[tuple[float | None, str, str, str]]:
    """Return (value, words, name, change since the previous run) of the first metrics."""
    out: list[tuple[float | None, str, str, str]] = []
    for name, text in HEADLINE:
        if name in metrics:
            out.append((metrics[name], text, name, _change(metrics[name], name, previous)))
    return out


def _change(now: float | None, name: str, previous: Previous | None) -> str:
    then = previous.metrics.get(name) if previous else None
    if previous is None or now is None or then is None:
        return ""
    change = f"{now - then:+.3f}"
    return f"as in {previous.run}" if float(change) == 0 else f"{change} since {previous.run}"


def _rank(row: ClassRow) -> tuple[str, float, str]:
    """Return the place of a row: best first in each group, without a score last."""
    return row.group, -row.AP50 if math.isfinite(row.AP50) else math.inf, row.name


def _grouped(metrics: Mapping[str, float | None]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return (group, its metrics by name), sorted."""
    pairs = groupby(sorted(metrics.items()), key=lambda pair: pair[0].partition("/")[0])
    return [(group, list(of_group)) for group, of_group in pairs]


def _figure(chart: Chart) -> Figure:
    legend = [(line.name, short(line.points[-1][1])) for line in chart.lines]
    return Figure(title=chart.title, svg=Markup(chart_svg(chart)), lines=legend)  # noqa: S704


def _training(curves: Mapping[str, Mapping[str, Points]]) -> list[Figure]:
    """Return a chart of all losses of each node, and one of its learning rate."""
    figures: list[Figure] = []
    for node, metrics in curves.items():
        losses = {n: p for n, p in sorted(metrics.items()) if n.startswith("train/loss")}
        rates = {n: p for n, p in metrics.items() if n == "train/lr"}
        for what, chosen in (("losses", losses), ("learning rate", rates)):
            named = [Line(name=n.removeprefix("train/"), points=p) for n, p in chosen.items()]
            if lines := drawable(named):
                chart = Chart(title=f"{node}: {what}", x_text="steps", lines=lines)
                figures.append(_figure(chart))
    return figures


def _neighbors(found: Transferred | None) -> list[Figure]:
    """Return a chart of the neighbours that were kept, beside all that could be."""
    if found is None or len(found.kept) < 2:
        return []
    every = [(k, k) for k, _ in found.kept]
    lines = [Line(name="kept", points=found.kept), Line(name="all", points=every)]
    title = f"neighbours kept by {found.method}, of the k nearest (mean of {found.asked} classes)"
    return [_figure(Chart(title=title, x_text="k", lines=lines))]


def _precision_recall(scored: Scored) -> list[Figure]:
    """Return precision over recall of all classes and the halves, and of a few classes."""
    figures: list[Figure] = []
    for title, curves in (
        ("all, seen and novel classes", scored.curves),
        ("a few classes, best to worst", scored.class_curves),
    ):
        named = [
            Line(name=name, points=[(k / max(1, len(curve) - 1), y) for k, y in enumerate(curve)])
            for name, curve in curves.items()
        ]
        if lines := drawable(named):
            text = f"{title}: precision over recall, IoU .50"
            figure = _figure(Chart(title=text, x_text="recall", lines=lines, top=1.0))
            means = [
                (line.name, number(sum(y for _, y in line.points) / len(line.points)))
                for line in lines
            ]
            figures.append(Figure(title=figure.title, svg=figure.svg, lines=means))
    return figures


def _shares(shares: Mapping[str, int]) -> tuple[Markup, list[tuple[str, int, str, int]]]:
    """Return a bar, and (style, count, words, all) of each part that is not empty."""
    parts = [(style, shares.get(key, 0), words) for style, key, words in SHARES]
    svg = Markup(shares_svg([(style, count) for style, count, _ in parts]))  # noqa: S704
    total = sum(shares.values())
    return svg, [(style, count, words, total) for style, count, words in parts if count]


def _examples(packed: PackedSet) -> list[int]:
    return [
        packed.boxes_of.get(name, 0) + packed.labels_of.get(name, 0)
        for name in packed.boxes_of.keys() | packed.labels_of.keys()
    ]


def _counts_table(sets: Sequence[PackedSet]) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """Return the heads and the rows of the table of counts: a column a set and what it counts."""
    columns = [
        (f"{packed.name}: {what}", counts)
        for packed in sets
        for what, counts in (("boxes", packed.boxes_of), ("labels", packed.labels_of))
        if counts
    ]
    names = sorted({name for _, counts in columns for name in counts})
    rows = [(name, [counts.get(name, 0) for _, counts in columns]) for name in names]
    return [head for head, _ in columns], rows
