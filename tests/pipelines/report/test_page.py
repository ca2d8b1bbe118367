import base64
import hashlib
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines.report import page as page_module
from pipelines.report.page import MOST_CLASSES, number, render
from pipelines.report.parts import Page, Picture, Previous, Scored
from pipelines.report.safe_text import LONGEST, told
from tests.pipelines.report.whole import EVIL, UNSEEN, page, row, scored

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
    return read_html(render(page))


def read_html(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def plain() -> Reader:
    return read(page())


@pytest.mark.parametrize("text", [*EVIL, *UNSEEN])
def test_the_text_of_a_stranger_is_text(plain: Reader, text: str) -> None:
    html = render(page(text))
    evil = read_html(html)
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(a) for _, a in evil.tags] == [sorted(a) for _, a in plain.tags]
    shown = told(text)
    cut = (
        2 if len(shown) > 21 else 0
    )  # a name in the graph, and its state's class, are cut or split
    assert "".join(evil.text).count(shown) >= "".join(plain.text).count("plain") - cut
    assert not [c for c in html if not c.isprintable() and c != "\n"]


def test_nothing_runs_but_the_page_s_own_script_and_nothing_is_fetched() -> None:
    for text in ("https://example.org/x.js", *EVIL):
        html = render(page(text))
        made = read(page(text))
        tags = [tag for tag, _ in made.tags]
        assert not {"iframe", "object", "embed", "link", "base", "form", "a"} & set(tags)
        assert tags.count("script") == 1
        script = html[html.index("<script>") + len("<script>") : html.index("</script>")]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policies = [a["content"] for tag, a in made.tags if tag == "meta" and "http-equiv" in a]
        assert policies == [
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{digest}'"
        ]
        for _, attributes in made.tags:
            assert not [name for name in attributes if name.startswith("on")]
            for name in ("src", "href", "action", "xlink:href"):
                assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?://", render(page()))


def test_the_script_has_no_door() -> None:
    script = (Path(page_module.__file__).parent / "page.js").read_text()
    for door in ("innerHTML", "eval", "Function(", "fetch", "document.write", "import", "</script"):
        assert door not in script


def test_a_name_that_is_no_text_is_written_out_and_an_endless_one_is_cut() -> None:
    path = b"/data/caf\xe9/run.yaml".decode("utf-8", "surrogateescape")
    html = render(page(commands=[f"vocabox show {path}"]))
    assert "vocabox show /data/caf\\udce9/run.yaml" in html
    html.encode()
    endless = render(page("n" * 100_000))
    assert f"{'n' * LONGEST}…" in endless
    assert len(endless) < 100_000


def test_a_missing_number_is_a_dash() -> None:
    assert number(math.nan) == number(None) == "–"
    assert number(0.12345) == "0.123"
    assert number(-0.5, 1) == "-0.5"
    assert number(12345.6) == "12,346"
    html = render(page())
    assert "nan" not in html.lower().replace("sans-serif", "").replace("isnan", "")
    assert "None" not in html


def test_classes_are_sorted_best_first_and_those_without_a_score_last() -> None:
    html = render(page()).partition("AP a class")[2]
    order = [html.index(f"<tr><td>{name}</td><td>plain</td>") for name in ("x", "y", "plain")]
    assert order == sorted(order)
    rows = [row(f"c{i}", AP50=i / 5000) for i in range(MOST_CLASSES + 5)]
    html = render(page(scored=[Scored(test="t", classes=rows)]))
    assert f"{MOST_CLASSES + 5} classes" in html
    assert html.count("<td>seen</td>") == MOST_CLASSES
    assert f"c{MOST_CLASSES + 4}<" in html
    assert "<td>c0<" not in html


def test_counts_and_shares_are_said() -> None:
    text = " ".join("".join(read(page()).text).split())
    for said in (
        "plain 2",
        "plain 1",
        "1,200",
        "38 % its own class (5)",
        "31 % another class of its kind (4)",
        "23 % a class of another kind (3)",
        "8 % nothing",
        "3 more in confusion.parquet",
        "+0.250 since plain",
        "both plain",
    ):
        assert said in text, said
    assert "50 %" in text  # not found: 2 of 4


def test_what_differs_from_the_previous_run_is_said_and_so_is_nothing() -> None:
    before = Previous(run="joint-1", settings=[("stage2.lr", 0.002, 0.001)], metrics={})
    html = render(page(previous=before))
    assert "What differs from joint-1" in html
    assert "<td><code>stage2.lr</code></td><td>0.002</td><td>0.001</td>" in html
    assert "same as those of joint-1" in render(
        page(previous=Previous(run="joint-1", settings=(), metrics={}))
    )
    assert "first run of this recipe" in render(page(previous=None))


def test_a_change_too_small_to_show_is_none() -> None:
    before = Previous(run="joint-1", settings=(), metrics={"seen/AP50": 0.50001})
    assert "as in joint-1" in render(page(previous=before))


def test_a_run_that_made_nothing_has_a_page() -> None:
    nothing = {n: () for n in ("nodes", "sets", "scored", "commands", "notes")}
    gone = {"previous": None, "transferred": None}
    made = read(page(metrics={}, curves={}, settings={}, reason="", **gone, **nothing))
    assert "svg" not in {tag for tag, _ in made.tags}
    assert "All metrics" not in made.text


def test_a_test_set_of_which_nothing_is_known_has_a_heading() -> None:
    made = read(page(scored=[Scored(test="bare"), scored("other")]))
    assert "Scores on bare" in made.text
    assert "Scores on other" in made.text


def test_what_became_of_a_classifiers_rows_is_said(plain: Reader) -> None:
    text = render(page())
    assert "1,200 classes, 70 of them" in text
    assert "neighbours kept by plain, of the k nearest (mean of 20 classes)" in text
    row = re.search(r"<tr><td>plain</td>(<td[^>]*>[^<]*</td>){4}</tr>", text)
    assert row is not None
    assert re.findall(r">([^<]*)</td>", row[0])[1:] == ["1.500", "0.125", "2.500", "–"]
    assert "classifier's rows" not in render(page(transferred=None))


def test_pictures_are_in_the_page() -> None:
    html = render(page(scored=[Scored(test="t", worst=[Picture(caption="c", jpeg=b"123")])]))
    assert f"data:image/jpeg;base64,{base64.b64encode(b'123').decode()}" in html
    assert "Best pictures" not in html
