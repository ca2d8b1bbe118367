"""What two runs after another leave: numbers, and a page that says why and what differs."""

import html as html_text
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.journal import Events, read_events
from cluster.storage import open_store
from pipelines.graph.outcome import NodeOutcome, Outcome
from pipelines.graph.plan import plan
from pipelines.runs.directory import RunDirectory
from pipelines.runs.drive import Finished
from pipelines.runs.loading import load
from pipelines.runs.loss_curves import curves_of, with_earlier
from pipelines.runs.node_rows import node_rows
from pipelines.runs.packed_sets import packed_sets
from pipelines.runs.previous import differences, previous_run
from pipelines.runs.scored_sets import PICTURE_BYTES, scored_sets
from tests.pipelines.runs.tiny import page, run

STEPS = ("stage1.steps=21", "stage2.steps=21")  # said twice: a curve
SCORES = "nodes/*/*/*/explained.json"


@dataclass(frozen=True)
class Twice:
    config: Path
    store: Path
    ended: tuple[Finished, Finished]

    def text(self, number: int) -> str:
        """Return the words of a run's page."""
        return words(Path(self.ended[number].report or ""))


def words(report: Path) -> str:
    body = report.read_text().partition("</style>")[2].partition("<script>")[0]
    return " ".join(html_text.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    folder = tmp_path_factory.mktemp("twice")
    config, store = page(folder), folder / "store"
    first, _ = run(config, *STEPS, store=store)
    second, _ = run(config, *STEPS, "stage2.lr=1e-3", store=store)
    assert (first.status, second.status) == ("done", "done")
    return Twice(config, store, (first, second))


def test_the_numbers_of_a_run_lie_beside_its_page(twice: Twice) -> None:
    for ended in twice.ended:
        place = twice.store / "runs" / ended.run
        assert json.loads((place / "metrics.json").read_text()) == ended.metrics
        rows = pq.read_table(place / "per_class.parquet").to_pylist()
        half = [row["AP50"] for row in rows if (row["test"], row["group"]) == ("scenes", "seen")]
        assert sum(half) / len(half) == pytest.approx(ended.metrics["seen/AP50"])
        evaluated = ended.nodes["evaluate"]["key"]
        (kept,) = (twice.store / "nodes" / evaluated[:2] / evaluated).glob("*/per_class.parquet")
        assert (place / "per_class.parquet").read_bytes() == kept.read_bytes()


def test_the_page_says_why_each_node_ran_or_where_it_was_found(twice: Twice) -> None:
    first, second = twice.text(0), twice.text(1)
    assert "never run under this name" in first
    assert "an input was made anew: stage2" in second
    assert "settings: stage2.lr" in second
    assert second.count("made by joint-1; nothing that counts has changed") == 7
    assert "made by" not in first


def test_the_page_names_a_command_with_the_settings_of_its_run(twice: Twice) -> None:
    place = f"--store {twice.store}"
    assert f"vocabox show {twice.config} {' '.join(STEPS)} stage2.lr=1e-3 {place}" in twice.text(1)


def test_the_page_shows_what_nodes_said_beside_their_numbers(twice: Twice, tmp_path: Path) -> None:
    journal = Events(tmp_path / "events.jsonl")
    journal.append({"event": "note", "node": "stage2", "text": "goes on from step 16 of 40"})
    journal.append({"event": "note", "text": "of no node"})
    loaded, store = load(twice.config, STEPS), open_store(str(twice.store))
    planned = plan(loaded.graph, store)
    ended = {name: NodeOutcome(state="done") for name in ("stage1", "stage2")}
    outcome = Outcome(status="done", code=0, nodes=ended, artifacts={})
    rows = node_rows(planned, outcome, made={}, run="x", events=journal.path)
    said = {row.name: row.why[-1:] for row in rows}
    assert said["stage2"] == ["goes on from step 16 of 40"]
    assert said["stage1"] != said["stage2"]


def test_the_page_says_what_differs_from_the_run_before(twice: Twice) -> None:
    first, second = twice.text(0), twice.text(1)
    assert "The first run of this recipe in its store." in first
    assert re.search(r"differs from joint-1: setting joint-1 joint-2 stage2.lr \S+ 0.001", second)
    assert "in joint-1" in second or "since joint-1" in second


def test_curves_of_a_node_that_was_found_come_from_the_run_that_made_it(twice: Twice) -> None:
    for number in (0, 1):
        text = twice.text(number)
        assert 0 < text.index("stage1: losses") < text.index("stage2: losses")
    events, _ = read_events(twice.store / "runs" / "joint-2" / "events.jsonl")
    assert "stage1" not in {e["node"] for e in events if e["event"] == "metrics"}


def test_the_page_counts_the_data(twice: Twice) -> None:
    text = twice.text(0)
    assert re.search(r"boxes 12 \d+ 0 14 boxed 12 – –", text)  # pictures, boxes, labels, classes
    assert "labels 96 0 96 24 labelled 96 – –" in text


def test_the_same_again_keeps_what_the_page_said(twice: Twice) -> None:
    before = Path(twice.ended[1].report or "").read_bytes()
    again, _ = run(twice.config, *STEPS, "stage2.lr=1e-3", store=twice.store)
    assert again.report == twice.ended[1].report
    assert Path(again.report or "").read_bytes() == before


def test_what_cannot_be_shown_is_a_note_and_no_failure(twice: Twice, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(twice.store, store)
    (store / "runs" / "joint-2" / "finished.json").unlink()
    for shard in store.glob("nodes/*/*/*/000000.tar"):
        shard.write_bytes(
            bytes(shard.stat().st_size)
        )  # all is found, and nobody but the page reads
    (store / "runs" / "joint-1" / "events.jsonl").unlink()
    ended, _ = run(twice.config, *STEPS, "stage2.lr=1e-3", store=store)
    text = words(store / "runs" / "joint-2" / "report.html")
    assert ended.status == "done"
    assert "data: not shown; got DamagedError: 000000.tar" in text
    assert "stage2: losses" in text
    assert "The first run of this recipe" in text


def test_pictures_of_a_page_are_bounded_and_come_in_turns(twice: Twice, tmp_path: Path) -> None:
    place = next(twice.store.glob(SCORES)).parent
    copy = tmp_path / "scores"
    shutil.copytree(place, copy)
    for i, picture in enumerate(sorted((copy / "pictures").iterdir())):
        picture.write_bytes(bytes([i]) * (PICTURE_BYTES // 3))
    scored = scored_sets(copy)[0]
    assert (len(scored.worst), len(scored.best)) == (2, 1)
    assert len(scored.worst[0].jpeg) == PICTURE_BYTES // 3


def test_kinds_of_the_drawn_world_are_on_the_page(twice: Twice) -> None:
    scored = scored_sets(next(twice.store.glob(SCORES)).parent)[0]
    assert scored.test == "scenes"
    assert scored.kinds
    for kind in scored.kinds:
        assert len(kind.classes) > 1
        for name, counts in zip(kind.classes, kind.counts, strict=True):
            objects = next((row.truths for row in scored.classes if row.name == name), 0)
            assert sum(counts) == objects
    wrong = sum(kind.wrong for kind in scored.kinds)
    assert wrong == scored.shares["within"]
    assert not scored.shares["unsorted"]


def test_a_step_that_was_taken_twice_counts_once(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    said = [(20, 5.0), (40, 4.0), (60, 3.0), (40, 4.5), (60, 3.5)]
    lines = [
        {"event": "metrics", "node": "n", "step": step, "values": {"train/loss": value}}
        for step, value in said
    ]
    filler = [{"event": "note", "text": "x" * 1000}] * 6000  # more than is read at once
    events.write_text("".join(json.dumps(e) + "\n" for e in [*lines[:3], *filler, *lines[3:]]))
    assert curves_of(events) == {"n": {"train/loss": [(20, 5.0), (40, 4.5), (60, 3.5)]}}
    assert curves_of(tmp_path / "absent") == {}
    own = {"m": {"train/loss": [(1.0, 1.0)]}}
    both = with_earlier(own, {"n": events, "m": events, "gone": tmp_path / "absent"})
    assert set(both) == {"m", "n"}
    assert both["m"] == own["m"]


def test_settings_differ_by_value_and_not_by_kind_of_list() -> None:
    then = {"a": 1, "same": [1, 2], "gone": "x", "deep": {"b": [1]}}
    now = {"a": 2, "same": (1, 2), "new": None, "deep": {"b": (1,)}}
    assert differences(then, now) == [("a", 1, 2), ("gone", "x", "–"), ("new", "–", None)]


def test_the_run_before_is_the_newest_that_says_its_settings(tmp_path: Path) -> None:
    for number, config in ((1, {"a": 1}), (2, {"a": 2}), (3, None), (10, {"a": 10})):
        place = tmp_path / "runs" / f"joint-{number}"
        place.mkdir(parents=True)
        if config:
            (place / "events.jsonl").write_text(
                json.dumps({"event": "run", "config": config}) + "\n"
            )
    own = RunDirectory(run="joint-9", path=tmp_path / "runs" / "joint-9")
    before = previous_run(own, store=tmp_path, recipe="joint", settings={"a": 9})
    assert before is not None
    assert (before.run, list(before.settings), before.metrics) == ("joint-2", [("a", 2, 9)], {})
    other = previous_run(own, store=tmp_path, recipe="joint", settings={"sources.test": "b"})
    assert other is None  # nobody was scored by these sets
    first = RunDirectory(run="joint-1", path=tmp_path / "runs" / "joint-1")
    assert previous_run(first, store=tmp_path, recipe="joint", settings={}) is None


def test_only_sets_that_are_there_are_shown(twice: Twice) -> None:
    from pipelines.runs.loading import load

    assert packed_sets(load(twice.config).graph, {}) == []
