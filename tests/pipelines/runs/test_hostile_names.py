"""A vocabulary of hostile names through every output of a run."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from pipelines.cli.entry import main
from tests.pipelines.conftest import Hostile
from tests.pipelines.runs.hostile import NAMES, PICTURE

IDS = {f"fine:{name}" for name in NAMES}
OURS = """\
html head meta title style body header h1 h2 h3 p main section div b span code table thead tbody tr
th td i figure figcaption img details summary pre script svg g rect text path polyline"""


def plain(text: str) -> bool:
    """Return whether a terminal shows the text and does nothing else."""
    return all(char.isprintable() or char == "\n" for char in text)


def test_tables_bring_names_back_as_they_were(hostile: Hostile) -> None:
    rows = pq.read_table(hostile.run / "per_class.parquet").to_pylist()
    assert {row["class"] for row in rows} <= IDS
    assert len(rows) == len(NAMES)
    metrics = json.loads((hostile.run / "metrics.json").read_text())
    assert metrics == hostile.ended.metrics
    for name in metrics:
        assert not any(hostile_name in name for hostile_name in NAMES)


def test_the_page_shows_names_and_holds_no_tag_of_theirs(hostile: Hostile) -> None:
    html = (hostile.run / "report.html").read_text(encoding="utf-8")
    tags: list[tuple[str, dict[str, str | None]]] = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attrs: tags.append((tag, dict(attrs)))  # type: ignore[method-assign]
    reader.feed(html)
    assert {tag for tag, _ in tags} <= set(OURS.split())
    assert sum(tag == "script" for tag, _ in tags) == 1
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
    assert plain(html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "n" * 301 not in html
    assert "&lt;b&gt;broken.png" in html  # a picture that was left out
    assert len(html) < 3_000_000


def test_pictures_are_named_by_us_and_can_be_read(hostile: Hostile) -> None:
    place = next(hostile.store.glob("nodes/*/*/*/explained.json")).parent
    drawn = sorted((place / "pictures").iterdir())
    wanted = [f"scenes_{place}_00{i}.jpg" for place in ("best", "worst") for i in (0, 1)]
    assert [p.name for p in drawn] == wanted
    for picture in drawn:
        with Image.open(picture) as image:
            image.load()
            assert image.format == "JPEG"
    inside = {p.resolve() for p in hostile.store.rglob("*")}
    assert all(p.is_relative_to(hostile.store.resolve()) for p in inside)


def test_events_are_lines_of_json(hostile: Hostile) -> None:
    data = (hostile.run / "events.jsonl").read_text(encoding="utf-8")
    lines = data.split("\n")
    assert lines.pop() == ""
    assert all(json.loads(line)["event"] for line in lines)
    assert plain(data)


@pytest.mark.parametrize("command", ["show", "show --format mermaid", "check"])
def test_a_terminal_only_shows_them(hostile: Hostile, command: str) -> None:
    config = hostile.store.parent / "hostile.yaml"
    name, *options = command.split()
    store = [] if name == "check" else ["--store", str(hostile.store)]
    result = CliRunner().invoke(main, [name, str(config), *options, *store])
    assert result.exit_code == 0, result.output
    assert plain(result.output)


def test_detections_and_drawings_of_predict(hostile: Hostile, tmp_path: Path) -> None:
    picture = hostile.store.parent / "pictures" / PICTURE
    out, drawn = tmp_path / "found.json", tmp_path / "drawn"
    result = CliRunner().invoke(
        main,
        ["predict", str(hostile.run / "model"), str(picture), "--out", str(out), "--draw",
         str(drawn), "--score", "0.001"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert plain(result.output)
    found = json.loads(out.read_text())
    assert found
    assert {row["category_name"] for row in found} <= IDS
    (copy,) = drawn.iterdir()
    assert copy.parent == drawn


def test_a_sheet_of_samples(hostile: Hostile, tmp_path: Path) -> None:
    config, out = hostile.store.parent / "hostile.yaml", tmp_path / "sheet.png"
    result = CliRunner().invoke(main, ["data", "show", str(config), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert plain(result.output)
    with Image.open(out) as image:
        image.load()
