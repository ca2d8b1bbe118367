"""Bars as SVG: how many examples the classes of a set have, and one bar cut into shares."""

from collections.abc import Sequence

from pipelines.report.curves import short

WIDTH, HEIGHT, LEFT = 330, 90, 40  # px
MOST_BARS = 200


def counts_svg(counts: Sequence[int]) -> str:
    """Return one bar a class, most frequent first; very many classes are sampled evenly."""
    ranked = sorted((count for count in counts if count > 0), reverse=True)
    if not ranked:
        return ""
    bars = ranked
    if len(ranked) > MOST_BARS:
        bars = [ranked[k * len(ranked) // MOST_BARS] for k in range(MOST_BARS)]
    step, top = (WIDTH - LEFT) / len(bars), ranked[0]
    drawn = "".join(
        f'<rect class="bar" x="{LEFT + k * step:.1f}" y="{HEIGHT - tall:.1f}" '
        f'width="{max(step * 0.85, 0.5):.1f}" height="{tall:.1f}"/>'
        for k, tall in enumerate(count / top * (HEIGHT - 8) for count in bars)
    )
    return (
        f'<svg class="counts" viewBox="0 0 {WIDTH} {HEIGHT + 2}" role="img" '
        f'aria-label="examples a class"><path class="axis" d="M{LEFT} 4V{HEIGHT}H{WIDTH}"/>{drawn}'
        f'<text class="small" x="{LEFT - 5}" y="14" text-anchor="end">{short(top)}</text>'
        f'<text class="small" x="{LEFT - 5}" y="{HEIGHT}" text-anchor="end">0</text></svg>'
    )


def shares_svg(parts: Sequence[tuple[str, int]]) -> str:
    """Return one bar cut into (style class, count) parts."""
    total = sum(count for _, count in parts)
    if not total:
        return ""
    drawn, x = "", 0.0
    for style, count in parts:
        wide = 1000 * count / total
        drawn += f'<rect class="{style}" x="{x:.1f}" y="0" width="{wide:.1f}" height="22"/>'
        x += wide
    return (
        '<svg class="shares" viewBox="0 0 1000 22" preserveAspectRatio="none" role="img" '
        f'aria-label="what objects are called">{drawn}</svg>'
    )
