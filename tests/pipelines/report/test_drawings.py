import math
import re
from xml.etree import ElementTree

import pytest

from pipelines.report.bars import MOST_BARS, counts_svg, shares_svg
from pipelines.report.curves import MOST_POINTS, Chart, Line, chart_svg, drawable, short
from pipelines.report.drawing import LETTERS, arrows, graph_svg
from pipelines.report.parts import NodeRow
from pipelines.report.safe_text import told
from tests.pipelines.report.whole import EVIL, UNSEEN


def node(name: str, *inputs: str, state: str = "done", seconds: float = 1) -> NodeRow:
    return NodeRow(name=name, state=state, seconds=seconds, key="", inputs=inputs)


def chart(*lines: Line, **more: float) -> ElementTree.Element:
    return ElementTree.fromstring(
        chart_svg(Chart(title="t", x_text="steps", lines=drawable(lines), **more))
    )


@pytest.mark.parametrize("text", ["plain", *EVIL, *UNSEEN])
def test_drawings_are_well_formed(text: str) -> None:
    nodes = [
        node(text),
        node("second", text, "elsewhere", state=text),
        node("n" * 60, "second", text, state="failed"),
    ]
    graph = ElementTree.fromstring(graph_svg(nodes))
    assert [t.text for t in graph.iter("title")] == [told(text), "second", "n" * 60]
    assert max(len(t.text or "") for t in graph.iter("text")) <= max(LETTERS, len(told(text)))
    lines = [Line(name=text, points=[(0, 1), (5, 2)])]
    made = ElementTree.fromstring(chart_svg(Chart(title=text, x_text=text, lines=lines)))
    assert made.get("aria-label") == told(text)


def test_arrows_that_longer_ways_imply_are_left_out() -> None:
    nodes = [node("a"), node("b", "a"), node("c", "b", "a"), node("d", "c", "b", "a", "c", "gone")]
    assert arrows(nodes) == [("a", "b"), ("b", "c"), ("c", "d")]
    nodes = [node("a"), node("b"), node("c", "a", "b")]
    assert arrows(nodes) == [("a", "c"), ("b", "c")]


def test_an_arrow_that_passes_a_column_runs_below_its_boxes() -> None:
    nodes = [node("a"), node("b", "a"), node("x"), node("c", "b"), node("d", "c", "x")]
    graph = ElementTree.fromstring(graph_svg(nodes))
    boxes = [
        {name: float(box.attrib[name]) for name in ("x", "y", "width", "height")}
        for box in graph.iter("rect")
        if box.get("class") == "box"
    ]
    (long,) = [p.attrib["d"] for p in graph.iter("path") if p.attrib["d"].count("C") == 3]
    flat = [int(y) for y in re.findall(r" (\d+)h168", long)]
    assert len(flat) == 2
    for box in boxes[1], boxes[3]:
        assert all(y >= box["y"] + box["height"] for y in flat)
    height = float(graph.attrib["viewBox"].split()[3])
    assert all(y < height for y in flat)


def test_a_node_s_bar_is_its_share_of_the_longest() -> None:
    graph = ElementTree.fromstring(graph_svg([node("a", seconds=2), node("b", seconds=8)]))
    wide = [float(r.attrib["width"]) for r in graph.iter("rect") if r.get("class") == "bar"]
    assert wide[0] == pytest.approx(wide[1] / 4)
    assert "nan" not in graph_svg([node("a", seconds=0)])
    assert graph_svg([]) == ""


def test_the_ends_of_an_axis_are_short_enough_for_the_room_beside_it() -> None:
    wanted = {0.000505: "5.05e-4", -1.25e-5: "-1.25e-5", 4.94: "4.94", 0.0: "0", 0.0123: "0.0123",
              700: "700", 12345: "12345", 1e6: "1e6"}  # fmt: skip
    assert {value: short(value) for value in wanted} == wanted
    for power in range(-12, 13):
        for value in (1.234 * 10.0**power, -9.999 * 10.0**power):
            assert len(short(value)) <= 9
            assert float(short(value)) == pytest.approx(value, rel=5e-3)


def test_lines_stay_in_their_frame_and_leave_out_what_is_no_number() -> None:
    points = [(0, 3.0), (10, math.nan), (20, math.inf), (30, -1.0), (40, 8.0)]
    made = chart(Line(name="c", points=points))
    (line,) = made.iter("polyline")
    at = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
    assert len(at) == 3
    assert all(0 <= x <= 520 and 0 <= y <= 240 for x, y in at)
    assert at[2][1] < at[0][1] < at[1][1]  # up is more
    assert [t.text for t in made.iter("text")][:5] == ["-1", "1.25", "3.5", "5.75", "8"]
    assert drawable([Line(name="c", points=[(0, math.nan), (1, 2.0)])]) == []
    assert chart_svg(Chart(title="t", x_text="x", lines=[])) == ""
    flat = chart(Line(name="c", points=[(0, 0.0), (0, 0.0)]))
    assert "nan" not in ElementTree.tostring(flat, "unicode")


def test_a_top_that_is_given_is_shown() -> None:
    made = chart(Line(name="c", points=[(0, 0.2), (1, 0.1)]), top=1.0)
    assert [t.text for t in made.iter("text")][:5] == ["0", "0.25", "0.5", "0.75", "1"]


def test_equal_lines_are_drawn_once_and_long_ones_are_thinned() -> None:
    same = [(0, 1.0), (5, 2.0)]
    lines = [Line(name="loss", points=same), Line(name="loss_image", points=list(same)),
             Line(name="other", points=[(0, 1.0), (5, 2.5)])]  # fmt: skip
    assert [line.name for line in drawable(lines)] == ["loss = loss_image", "other"]
    (long,) = drawable([Line(name="c", points=[(i, 1.0) for i in range(10 * MOST_POINTS)])])
    assert len(long.points) == MOST_POINTS
    assert (long.points[0][0], long.points[-1][0]) == (0, 10 * MOST_POINTS - 1)


def test_bars_are_counts() -> None:
    made = ElementTree.fromstring(counts_svg([5, 10, 0, 1]))
    tall = [float(r.attrib["height"]) for r in made.iter("rect")]
    assert tall == pytest.approx([82, 41, 8.2])
    assert counts_svg([0, 0]) == counts_svg([]) == ""
    many = ElementTree.fromstring(counts_svg(range(1, 30 * MOST_BARS)))
    assert len(list(many.iter("rect"))) == MOST_BARS


def test_shares_fill_the_bar() -> None:
    made = ElementTree.fromstring(shares_svg([("good", 3), ("none", 1)]))
    assert [(r.get("class"), r.get("x"), r.get("width")) for r in made.iter("rect")] == [
        ("good", "0.0", "750.0"),
        ("none", "750.0", "250.0"),
    ]
    assert shares_svg([("good", 0)]) == ""
