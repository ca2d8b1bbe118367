"""Lines that share their axes, as an SVG: no library, no text that is not escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pipelines.report.parts import Points
from pipelines.report.safe_text import told

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 520, 240, 62, 34, 10, 10  # px
ROOM = 7  # signs of a number that fit left of the axis
MOST_POINTS = 400  # of one line
COLOURS = 10  # of the style sheet; more lines begin again


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    points: Points


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Lines that share their axes."""

    title: str
    x_text: str
    lines: Sequence[Line]
    top: float | None = None  # least y that is shown at the top; None: the largest value


def drawable(lines: Sequence[Line]) -> list[Line]:
    """Return lines of finite points, thinned; one equal to an earlier joins its name."""
    kept: dict[tuple[tuple[float, float], ...], str] = {}
    for line in lines:
        good = tuple((x, y) for x, y in line.points if math.isfinite(x) and math.isfinite(y))
        if len(good) > 1:
            kept[good] = f"{kept[good]} = {line.name}" if good in kept else line.name
    return [Line(name=name, points=_thinned(points)) for points, name in kept.items()]


def chart_svg(chart: Chart) -> str:
    """Return the chart; its lines have the classes c0, c1 ... of the style sheet."""
    points = [point for line in chart.lines for point in line.points]
    if not points:
        return ""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(0.0, *ys), max(*ys, chart.top if chart.top is not None else -math.inf)
    left, right = min(0.0, *xs), max(xs)
    high, right = (high if high > low else low + 1), (right if right > left else left + 1)
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP

    def place(x: float, y: float) -> str:
        across, up = (x - left) / (right - left), (y - low) / (high - low)
        return f"{LEFT + across * wide:.1f},{TOP + (1 - up) * tall:.1f}"

    drawn = "".join(
        f'<polyline class="line c{i % COLOURS}" '
        f'points="{" ".join(place(x, y) for x, y in line.points)}"/>'
        for i, line in enumerate(chart.lines)
    )
    base = HEIGHT - BOTTOM
    levels = "".join(
        f'<path class="axis" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="small" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
        f"{short(value)}</text>"
        for value, y in ((low + (high - low) * k / 4, base - tall * k / 4) for k in range(5))
    )
    ends = "".join(
        f'<text class="small" x="{LEFT + wide * k / 2:.1f}" y="{base + 15}" '
        f'text-anchor="{anchor}">{short(left + (right - left) * k / 2)}</text>'
        for k, anchor in ((0, "start"), (1, "middle"), (2, "end"))
    )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(told(chart.title))}">{levels}{ends}'
        f'<text class="small" x="{LEFT + wide / 2:.1f}" y="{HEIGHT - 4}" text-anchor="middle">'
        f"{escape(told(chart.x_text))}</text>{drawn}</svg>"
    )


def short(value: float) -> str:
    """Return a number of three digits in the room left of the axis: 5.05e-4 for 0.000505."""
    text = f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.3g}"
    if len(text.lstrip("-")) > ROOM:
        text = f"{value:.2e}"
    digits, e, power = text.partition("e")
    return f"{digits}e{int(power)}" if e else text


def _thinned(points: tuple[tuple[float, float], ...]) -> Points:
    """Return at most MOST_POINTS points, evenly, the first and the last among them."""
    last = len(points) - 1
    if last < MOST_POINTS:
        return points
    return [points[round(k * last / (MOST_POINTS - 1))] for k in range(MOST_POINTS)]
