"""What is shown while a run goes on: lines away from a terminal, a table on one, or JSON."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from cluster.call import InProcessExecutor
from cluster.failures import Failure
from pipelines.cli.event_lines import EventLines
from pipelines.cli.json_lines import write_event
from pipelines.cli.live_table import LiveTable, table
from pipelines.cli.progress import Progress, duration, how_far
from pipelines.graph.saying import Saying
from pipelines.graph.telling import Telling


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _tell(see: Any, done: float, *, node: str = "stage2", **metrics: float) -> None:
    """What a body says, through the executor's board and the walk's own telling, to a display."""
    calls = InProcessExecutor()
    Saying(calls.reporter(node))(done, 300, "steps", **metrics)
    Telling(see).heard(calls)


def test_rate_and_time_left_follow_from_the_progress() -> None:
    clock = Clock()
    progress = Progress(clock=clock)
    row = progress.take({"event": "node", "node": "stage2", "state": "running"})
    assert row is not None
    assert row.rate is row.left is None
    _tell(progress.take, 100)
    clock.now += 10
    _tell(progress.take, 150, **{"train/loss": 2.0, "train/loss_box": 1.0})
    assert row.rate == 5.0  # 50 in 10 s
    assert row.left == 30.0  # 150 to go
    assert row.loss == 2.0


def test_a_retry_counts_from_its_own_start() -> None:
    clock = Clock()
    progress = Progress(clock=clock)
    _tell(progress.take, 100)
    clock.now += 10
    row = progress.take({"event": "node", "node": "stage2", "state": "running"})
    _tell(progress.take, 50)
    assert row is not None
    assert row.rate is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0.41, "0.4 s"), (41, "41 s"), (372, "6 min 12 s"), (7500, "2 h 05 min")],
)
def test_a_duration_is_told_in_words(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_lines_come_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = EventLines(every=10, clock=clock)
    lines({"event": "node", "node": "stage2", "state": "running"})
    for done in range(1, 101):
        clock.now += 0.5
        _tell(lines, done, loss=1.5)
    fault = Failure("user", "stage2", "stage2: loss is NaN\x1b", "Traceback ...")
    Telling(lines).failed("stage2", key="k", error=fault, code=1)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 1 + 5 + 1  # a line in 10 of the 50 s
    assert out[1].split("  ")[-1] == "stage2: 20/300, 2/s, loss 1.5, 2 min 20 s left"
    assert out[-1].endswith("stage2: failed: loss is NaN\\x1b")


def test_the_table_shows_every_node_and_no_markup() -> None:
    clock = Clock()
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    live = LiveTable(["draw", "stage2"], console=console, clock=clock)
    live({"event": "node", "node": "draw", "state": "done", "seconds": 41.0})
    live({"event": "node", "node": "stage2", "state": "running"})
    _tell(live, 100)
    clock.now += 10
    _tell(live, 150, loss=0.25)
    live({"event": "note", "text": "[red]hostile[/red]\x1b"})
    live.close()
    drawn = Console(file=io.StringIO(), width=100)
    drawn.print(table(live.progress.rows))
    assert isinstance(drawn.file, io.StringIO)
    assert isinstance(console.file, io.StringIO)
    rows = [line.split() for line in drawn.file.getvalue().splitlines()]
    assert rows[1] == ["draw", "done", "took", "41", "s"]
    assert rows[2] == ["stage2", "running", "150/300", "5/s", "0.25", "30", "s"]
    assert "[red]hostile[/red]\\x1b" in console.file.getvalue()


def test_json_holds_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    write_event({"event": "x", "nan": float("nan"), "list": (float("inf"), {1: {2}})})
    line = json.loads(capsys.readouterr().out)
    assert line == {"v": 1, "event": "x", "nan": None, "list": [None, {"1": [2]}]}


def test_a_note_of_a_node_is_shown_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """That a damaged checkpoint was set aside, or that a training goes on, is for people too."""
    event = {"event": "note", "node": "stage2", "text": "goes on from step 16 of 40"}
    EventLines()(event)
    assert "stage2: goes on from step 16 of 40" in capsys.readouterr().out
    out = io.StringIO()
    live = LiveTable(["stage2"], console=Console(file=out, force_terminal=True, width=100))
    live(event)
    live.close()
    assert "stage2: goes on from step 16 of 40" in out.getvalue()


def test_silence_and_retries_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    live = LiveTable(["stage2"], console=Console(file=out, force_terminal=True, width=100))
    for see in (EventLines(), live):
        see({"event": "node", "node": "stage2", "state": "running"})
        see({"event": "silent", "node": "stage2", "seconds": 60, "text": ""})
        see({"event": "silent", "node": "score", "seconds": 120, "text": "unit 3"})
        why = "stage2: a worker process died"
        see({"event": "retry", "node": "stage2", "why": why, "after_s": 4.0, "attempt": 2})
    live.close()
    said = capsys.readouterr().out
    for text in (
        "stage2: has said nothing for 1 min 00 s",
        "score: unit 3: has said nothing for 2 min 00 s",
        "stage2: a worker process died; tried again in 4.0 s",
    ):
        assert text in said
        assert text in out.getvalue()


def test_a_silent_row_says_so_until_something_is_heard() -> None:
    progress = Progress()
    _tell(progress.take, 100)
    row = progress.take({"event": "silent", "node": "stage2", "seconds": 60, "text": ""})
    assert row is not None
    assert how_far(row) == "silent 1 min 00 s"
    _tell(progress.take, 150)
    assert how_far(row) == "150/300"
