"""One curve as an SVG: no library in the page, no text that is not escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM = 340, 150, 58, 20  # px
ROOM = 7  # signs of a number that fit left of the axis


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A metric over steps."""

    name: str
    points: Sequence[tuple[float, float]]  # step, value


def curve_svg(curve: Curve) -> str:
    """Return the curve with its least and largest value and its last step."""
    good = [(x, y) for x, y in curve.points if math.isfinite(x) and math.isfinite(y)]
    if not good:
        return ""
    xs, ys = [x for x, _ in good], [y for _, y in good]
    low, high = min(0.0, *ys), max(ys)
    wide, tall = (max(xs) - min(xs)) or 1.0, (high - low) or 1.0
    line = " ".join(
        f"{LEFT + (x - min(xs)) / wide * (WIDTH - LEFT - 8):.1f},"
        f"{8 + (high - y) / tall * (HEIGHT - BOTTOM - 16):.1f}"
        for x, y in good
    )
    base = HEIGHT - BOTTOM
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(curve.name)}">'
        f'<path class="axis" d="M{LEFT} 4V{base}H{WIDTH - 4}"/>'
        f'<polyline class="curve" points="{line}"/>'
        f'<text x="{LEFT - 4}" y="14" text-anchor="end">{short(high)}</text>'
        f'<text x="{LEFT - 4}" y="{base}" text-anchor="end">{short(low)}</text>'
        f'<text x="{WIDTH - 4}" y="{HEIGHT - 4}" text-anchor="end">{max(xs):.0f} steps</text>'
        "</svg>"
    )


def short(value: float) -> str:
    """Return a number of three digits in the room left of the axis: 5.05e-4 for 0.000505."""
    text = f"{value:.3g}"
    if len(text.lstrip("-")) > ROOM:
        text = f"{value:.2e}"
    digits, e, power = text.partition("e")
    return f"{digits}e{int(power)}" if e else text
