import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from pipelines.report.curves import Curve, curve_svg, short
from pipelines.report.drawing import LETTERS, Placed, graph_svg
from pipelines.report.page import MOST_CLASSES, ClassRow, NodeRow, Page, Picture, number, render

EVIL = ("<script>alert(1)</script>", '"><img src=x>', "'><svg onload=x>", "{{ 7 * 7 }}", "a&b")
VOID = {"meta", "img", "br", "link", "input"}


class Reader(HTMLParser):
    """Collects tags with their attributes, and the text; tags must close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: Page) -> Reader:
    reader = Reader()
    reader.feed(render(page))
    reader.close()
    assert not reader.open
    return reader


def page(text: str = "plain", **more: object) -> Page:
    """A page that shows one text of a stranger's in every place."""
    parts = {
        "run": text,
        "recipe": text,
        "status": text,
        "reason": text,
        "notes": [text],
        "metrics": {"coco/AP": math.nan, "novel/AP50": None, "cost/wall_s": 1234.5, text: 0.25},
        "nodes": [
            NodeRow(name=text, state=text, seconds=1.25, key="k" * 40, inputs=(), why=text),
            NodeRow(name="b", state="done", seconds=0.0, key="", inputs=(text, "gone")),
        ],
        "curves": {text: {f"train/{text}": [(0, 1.0), (10, math.nan), (20, 0.5)]}},
        "classes": [
            ClassRow(test=text, name=text, group=text, truths=3, AP=0.5, AP50=math.nan),
            ClassRow(test=text, name="x", group=text, truths=1, AP=0.125, AP50=0.75),
        ],
        "pictures": [Picture(caption=text, jpeg=b"\xff\xd8<script>")],
        "settings": {text: text, "groups": {text: (text,)}},
        "commands": [text],
    }
    return Page(**(parts | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", EVIL)
def test_the_text_of_a_stranger_is_text(text: str) -> None:
    plain, evil = read(page()), read(page(text))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(a) for _, a in evil.tags] == [sorted(a) for _, a in plain.tags]
    cut = len(text) > LETTERS  # in the drawing of the graph
    assert "".join(plain.text).count("plain") == "".join(evil.text).count(text) + cut
    if text != "a&b":
        assert text not in render(page(text)) or text.startswith("{{")


def test_nothing_runs_and_nothing_is_fetched() -> None:
    for text in ("https://example.org/x.js", *EVIL):
        made = read(page(text, classes=[], pictures=[Picture(caption="p", jpeg=b"x")]))
        tags = {tag for tag, _ in made.tags}
        assert not tags & {"script", "iframe", "object", "embed", "link", "base", "form", "a"}
        policies = [a["content"] for tag, a in made.tags if tag == "meta" and "http-equiv" in a]
        assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
        for _, attributes in made.tags:
            assert not [name for name in attributes if name.startswith("on")]
            for name in ("src", "href", "action", "xlink:href"):
                assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import", render(page()))


def test_a_name_that_is_no_text_is_written_out() -> None:
    path = b"/data/caf\xe9/run.yaml".decode("utf-8", "surrogateescape")
    html = render(page(commands=[f"vocabox show {path}"]))
    assert "vocabox show /data/caf\\udce9/run.yaml" in html
    html.encode()


def test_a_missing_number_is_a_dash() -> None:
    assert number(math.nan) == number(None) == "–"
    assert number(0.12345) == "0.123"
    assert number(-0.5, 1) == "-0.5"
    assert number(12345.6) == "12,346"
    html = render(page())
    assert "nan" not in html.lower().replace("sans-serif", "")
    assert "None" not in html


def test_classes_are_sorted_best_first_and_those_without_a_score_last() -> None:
    html = render(page(classes=[*page().classes]))
    assert html.index("<td>x</td>") < html.index("0.500</td>")
    rows = [
        ClassRow(test="t", name=f"c{i}", group="seen", truths=1, AP=0, AP50=i / 5000)
        for i in range(MOST_CLASSES + 5)
    ]
    html = render(page(classes=rows))
    assert f"{MOST_CLASSES + 5} rows" in html
    assert html.count("<td>seen</td>") == MOST_CLASSES
    assert f"c{MOST_CLASSES + 4}<" in html
    assert "<td>c0<" not in html


def test_a_run_that_made_nothing_has_a_page() -> None:
    nothing = {n: () for n in ("nodes", "classes", "pictures", "commands", "notes")}
    made = read(page(metrics={}, curves={}, settings={}, reason="", **nothing))
    assert "svg" not in {tag for tag, _ in made.tags}
    assert "Metrics" not in made.text


@pytest.mark.parametrize("text", ["plain", *EVIL])
def test_drawings_are_well_formed(text: str) -> None:
    placed = [
        Placed(name=text, inputs=(), state="done", seconds=3),
        Placed(name="second", inputs=(text, "elsewhere"), state=text, seconds=0),
        Placed(name="n" * 60, inputs=("second", text), state="failed", seconds=0),
    ]
    graph = ElementTree.fromstring(graph_svg(placed))
    assert [t.text for t in graph.iter("title")] == [text, "second", "n" * 60]
    assert len([p for p in graph.iter("path") if p.get("class") == "edge"]) == 3
    assert max(len(t.text or "") for t in graph.iter("text")) <= max(LETTERS, len(text))
    curve = ElementTree.fromstring(curve_svg(Curve(name=text, points=[(0, 1), (5, 2)])))
    assert curve.get("aria-label") == text


def test_the_ends_of_a_curve_are_short_enough_for_the_room_beside_it() -> None:
    wanted = {0.000505: "5.05e-4", -1.25e-5: "-1.25e-5", 4.94: "4.94", 0.0: "0", 0.0123: "0.0123"}
    assert {value: short(value) for value in wanted} == wanted
    for power in range(-12, 13):
        for value in (1.234 * 10.0**power, -9.999 * 10.0**power):
            assert len(short(value)) <= 9
            assert float(short(value)) == pytest.approx(value, rel=5e-3)
    svg = ElementTree.fromstring(curve_svg(Curve(name="lr", points=[(0, 5.05e-4), (9, 0)])))
    assert [t.text for t in svg.iter("text")] == ["5.05e-4", "0", "9 steps"]


def test_a_curve_stays_in_its_frame_and_leaves_out_what_is_no_number() -> None:
    points = [(0, 3.0), (10, math.nan), (20, math.inf), (30, -1.0), (40, 8.0)]
    (line,) = ElementTree.fromstring(curve_svg(Curve(name="c", points=points))).iter("polyline")
    at = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
    assert len(at) == 3
    assert all(0 <= x <= 340 and 0 <= y <= 150 for x, y in at)
    assert at[2][1] < at[0][1] < at[1][1]
    assert curve_svg(Curve(name="c", points=[(0, math.nan)])) == ""
    assert graph_svg([]) == ""
    for same in ([(0, 0.0), (0, 0.0)], [(5, 2.0)]):
        assert "nan" not in curve_svg(Curve(name="c", points=same))
