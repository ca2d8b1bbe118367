"""The page in a real browser: nothing of a stranger runs, nothing is fetched, tables sort."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.report.page import render
from tests.pipelines.conftest import Hostile
from tests.pipelines.report.whole import EVIL, UNSEEN, page

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'"
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"
)


@dataclass
class Opened:
    """A page that is open, and what was noticed while it was."""

    page: Any
    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def quiet(self) -> bool:
        return not self.errors and not self.dialogs and self.requests == [self.page.url]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def tab(browser: Any) -> Any:
    """Return one tab for all tests: a new one costs as much as a test."""
    return browser.new_page()


@pytest.fixture
def see(tab: Any, tmp_path: Path) -> Iterator[Any]:
    told: list[tuple[str, Any]] = []

    def forget() -> None:
        for event, listener in told:
            tab.remove_listener(event, listener)
        told.clear()

    def open_html(html: str | Path, *, width: int = 1240) -> Opened:
        forget()
        place = html if isinstance(html, Path) else tmp_path / "page.html"
        if isinstance(html, str):
            place.write_text(html, encoding="utf-8")
        tab.goto("about:blank")
        tab.set_viewport_size({"width": width, "height": 900})
        seen = Opened(tab)

        def dialog(box: Any) -> None:
            seen.dialogs.append(box.message)
            box.dismiss()

        told.extend([
            ("dialog", dialog),
            ("pageerror", lambda error: seen.errors.append(str(error))),
            ("console", lambda said: seen.errors.append(f"{said.type}: {said.text}")),
            ("request", lambda ask: ask.url.startswith("data:") or seen.requests.append(ask.url)),
        ])  # fmt: skip
        for event, listener in told:
            tab.on(event, listener)
        tab.goto(place.as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        tab.wait_for_timeout(20)
        return seen

    yield open_html
    forget()


def columns(seen: Opened, head: str) -> list[list[str]]:
    """Return the cells of each row of the table of classes."""
    return seen.page.locator(f"table:has(th:text-is('{head}')) tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )


@pytest.mark.parametrize("text", ["plain", *EVIL, *UNSEEN])
def test_nothing_of_a_stranger_runs_and_nothing_is_fetched(see: Any, text: str) -> None:
    seen = see(render(page(text)))
    assert seen.quiet, seen
    assert seen.page.locator("script").count() == 1
    assert seen.page.locator("svg title").first.text_content() == columns(seen, "key")[0][0]


@pytest.mark.parametrize(
    "harm",
    ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
     "<img src=https://example.org/x.png>", "<script src=https://example.org/x.js></script>"],
)  # fmt: skip
def test_the_policy_stops_what_escaping_would_let_through(see: Any, harm: str) -> None:
    whole = render(page())
    seen = see(whole.replace("<main>", f"<main>{harm}"))
    assert seen.dialogs == []
    assert any("Content Security Policy" in error for error in seen.errors)
    bare = see(harm)  # and without our policy the same is noticed: the test can fail
    assert not bare.quiet


def test_a_click_on_a_head_sorts_by_number_and_again_the_other_way(see: Any) -> None:
    seen = see(render(page()))
    head = seen.page.locator(
        "table:has(th:text-is('boxes in train')) th", has_text="boxes in train"
    )
    head = head.last  # the table of classes stands below that of halves
    classes = seen.page.locator("table.sort:has(th:text-is('boxes in train'))")

    def column(k: int) -> list[str]:
        return classes.locator(f"tbody tr td:nth-child({k})").all_text_contents()

    assert column(3) == ["9", "100", "10"]  # best AP50 first
    head.click()
    assert column(3) == ["100", "10", "9"]
    assert head.get_attribute("aria-sort") == "descending"
    head.press("Enter")
    assert column(3) == ["9", "10", "100"]
    assert head.get_attribute("aria-sort") == "ascending"
    score = classes.locator("th", has_text="AP50")
    for wanted in (["0.750", "0.500", "–"], ["0.500", "0.750", "–"]):
        score.click()
        assert column(6) == wanted  # what has no number is last either way
    assert head.get_attribute("aria-sort") is None
    classes.locator("th").first.click()
    assert column(1) == ["plain", "x", "y"]
    assert seen.quiet


@pytest.mark.parametrize("width", [390, 1240])
def test_the_page_is_no_wider_than_its_window(see: Any, width: int) -> None:
    for text in ("plain", "n" * 400):
        seen = see(render(page(text)), width=width)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_of_a_run_with_hostile_names_is_quiet(see: Any, hostile: Hostile) -> None:
    seen = see(hostile.run / "report.html")
    assert seen.quiet, seen
    names = seen.page.locator("table.sort:has(th:text-is('boxes in train')) tbody td:first-child")
    assert "fine:<script>alert(1)</script>" in names.all_text_contents()
    assert seen.page.locator("img").evaluate_all("all => all.every(i => i.naturalWidth > 0)")
