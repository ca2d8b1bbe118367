"""`run`, `check`, `show` and `predict` with the work behind them put in by the test."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings.problems import Problem
from tests.pipelines.cli.small import Ended, Found, call, load, page, work

DONE = Ended(
    nodes={"draw": {"state": "cached", "seconds": 3.0}, "stage2": {"state": "done", "seconds": 61}},
    metrics={"novel/AP50": 0.41, "seen/AP50": float("nan")},
    model="/s/runs/example-1/model",
    report="/s/runs/example-1/report.html",
    tracking="sqlite:////s/mlflow.db",
)


def _walked(loaded: Any, **how: Any) -> Ended:
    how["emit"]({"event": "node", "node": "draw", "state": "cached", "key": "ab"})
    how["emit"]({"event": "progress", "node": "stage2", "done": 1, "total": 2, "metrics": {}})
    how["emit"]({"event": "node", "node": "stage2", "state": "done", "key": "cd", "seconds": 61.0})
    how["emit"]({"event": "session", "text": "Ray is here."})
    return DONE


def test_a_run_is_told_in_lines_and_ends_with_what_to_do_next(tmp_path: Path) -> None:
    with work(run=_walked):
        result = call("run", page(tmp_path), "--store", str(tmp_path / "store"))
    assert result.exit_code == 0
    for text in (
        "draw: cached",
        "stage2: 1/2",
        "stage2: done in 1 min 01 s",
        "Ray is here.",
        "example-1: done; 1 cached, 1 done; 1 min 01 s of work.",
        "novel/AP50     0.410",
        "seen/AP50          -",
        "/s/runs/example-1/report.html",
        f"vocabox predict example-1 --store {tmp_path / 'store'} PICTURES",
    ):
        assert text in result.stdout
    assert result.stderr == ""


def _next(folder: Path, *given: str) -> list[str]:
    """Return the words of the command that `run` names for what would run again."""
    with work(run=_walked):
        result = call("run", page(folder), *given)
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.stdout.splitlines() if "# what would run again" in line)
    return shlex.split(line.partition("#")[0])


def test_the_next_command_is_one_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = page(tmp_path)
    assert _next(tmp_path) == ["vocabox", "show", config, "stage2.lr=1e-3"]
    given = ("stage2.lr=1", "stage2.steps=7", "--store", "a store", "--until", "stage2",
             "--force", "stage2", "--address", "auto", "--executor", "inline")  # fmt: skip
    words = _next(tmp_path, *given)
    shown = ["stage2.lr=1e-3", "stage2.steps=7", "--store", "a store", "--until", "stage2"]
    assert words == ["vocabox", "show", config, *shown]
    with work(plan=lambda loaded, **how: str(loaded.cfg.stage2.lr)):
        assert call(*words[1:]).stdout == "0.001"
    assert "stage2.lr=2e-3" in _next(tmp_path, "stage2.lr=1e-3"), "else nothing would run"


def test_a_run_goes_on_by_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config, given = page(tmp_path), ("stage2.steps=7", "--store", "a store", "--force", "stage2")
    more = ("--address", "auto")
    with work(run=lambda loaded, **how: Ended(status="failed", code=1, reason="x: no.")):
        result = call("run", config, *given, *more)
        plain = call("run", config)
    line = shlex.join(["vocabox", "run", config, *given, *more])
    assert f"Go on with: {line}\n" in result.stderr
    assert f"Go on with: vocabox run {config}\n" in plain.stderr


def test_a_program_reads_the_nodes_and_the_end_and_nothing_else(tmp_path: Path) -> None:
    with work(run=_walked):
        result = call("run", page(tmp_path), "--store", str(tmp_path / "store"), "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["node", "node", "finished"]
    assert all(line["v"] == 1 for line in lines)
    assert lines[2]["metrics"] == {"novel/AP50": 0.41, "seen/AP50": None}
    assert lines[2]["run"] == "example-1"
    assert lines[2]["nodes"]["draw"]["state"] == "cached"


def test_warnings_are_said_and_stop_nothing(tmp_path: Path) -> None:
    warning = Problem(where="labels.csv", what="odd", got="\x1b[31m", do="Look.", grave=False)

    def warned(config: Path, overrides: tuple[str, ...]) -> Any:
        return replace(load(config, overrides), warnings=(warning,))

    line = ("--store", str(tmp_path / "store"))
    with work(run=_walked, load=warned):
        ran = call("run", page(tmp_path), *line)
        for_programs = call("run", page(tmp_path), *line, "--json")
        checked = call("check", page(tmp_path))
        events = call("check", page(tmp_path), "--json")
    words = "1 warning:\n  labels.csv: odd; got \\x1b[31m. Look.\n"
    assert (ran.exit_code, ran.stderr, for_programs.stderr) == (0, words, words)
    assert words in checked.stdout
    told = [json.loads(line) for line in events.stdout.splitlines()]
    assert [line["event"] for line in told] == ["warning", "finished"]
    assert set(told[0]) == {"v", "event", "where", "what", "got", "do"}


@pytest.mark.parametrize(
    ("words", "rules"),
    [
        ((), ("stop", 0.0)),
        (("--keep-going",), ("continue", 0.0)),
        (("--wait-for-nodes", "90"), ("stop", 90.0)),
    ],
)
def test_what_a_failure_stops_is_chosen_on_the_line(
    tmp_path: Path, words: tuple[str, ...], rules: tuple[str, float]
) -> None:
    seen: list[tuple[str, float]] = []

    def walked(loaded: Any, **how: Any) -> Ended:
        seen.append((how["on_failure"], how["wait_for_nodes_s"]))
        return DONE

    with work(run=walked):
        call("run", page(tmp_path), "--store", str(tmp_path / "store"), *words)
    assert seen == [rules]


@pytest.mark.parametrize(("status", "code"), [("failed", 6), ("interrupted", 130), ("failed", 75)])
def test_the_code_of_a_run_is_the_code_of_the_command(
    tmp_path: Path, status: str, code: int
) -> None:
    ended = Ended(status=status, code=code, reason="stage2: loss is NaN.")
    with work(run=lambda loaded, **how: ended):
        result = call("run", page(tmp_path), "--store", str(tmp_path / "store"))
    assert result.exit_code == code
    assert "stage2: loss is NaN." in result.stderr
    assert "Go on with: vocabox" in result.stderr


def test_what_was_given_reaches_the_work(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def walked(loaded: Any, **how: Any) -> Ended:
        seen.update(how, loaded=loaded)
        return Ended()

    arguments = ["stage2.steps=7", "--until", "draw", "--force", "draw", "--address", "auto"]
    with work(run=walked):
        result = call(
            "run", page(tmp_path), *arguments, "--store", str(tmp_path), "--executor", "inline"
        )
        assert result.exit_code == 2  # a folder with other files is no store
        result = call(
            "run",
            page(tmp_path),
            *arguments,
            "--store",
            str(tmp_path / "s"),
            "--executor",
            "inline",
        )
    assert result.exit_code == 0, result.output
    assert seen["loaded"].cfg.stage2.steps == 7
    assert seen["cuts"].until == seen["cuts"].force == ("draw",)
    assert (seen["address"], seen["executor"]) == ("auto", "inline")
    assert seen["store"] == str(tmp_path / "s")


def test_check_says_that_nothing_is_wrong(tmp_path: Path) -> None:
    with work():
        result = call("check", page(tmp_path))
        as_json = call("check", page(tmp_path), "--json")
    assert result.exit_code == as_json.exit_code == 0
    assert "no problems; recipe joint, 2 nodes" in result.stdout
    assert json.loads(as_json.stdout) == {"v": 1, "event": "finished", "problems": 0, "warnings": 0}
    assert "Run it: vocabox run " in result.stdout


def test_check_names_the_run_of_what_it_checked(tmp_path: Path) -> None:
    config = page(tmp_path)
    with work():
        result = call("check", config, "stage2.steps=7", "stage2.lr=1e-2")
    assert result.stdout.endswith(f"Run it: vocabox run {config} stage2.steps=7 stage2.lr=1e-2\n")


def test_check_looks_at_the_graph_too(tmp_path: Path) -> None:
    wrong = Problem(where="stage2", what="wants Shards", got="Files", do="Give Shards.")
    with work(check=lambda loaded: [wrong]):
        result = call("check", page(tmp_path))
    assert result.exit_code == 2
    assert "stage2: wants Shards; got Files. Give Shards." in result.stderr


@pytest.mark.parametrize("form", ["text", "mermaid", "json"])
def test_show_writes_the_form_that_was_asked_for(tmp_path: Path, form: str) -> None:
    with work(plan=lambda loaded, **how: f"{how['form']} of {len(loaded.graph.every())}\n"):
        result = call("show", page(tmp_path), "--format", form, "--store", str(tmp_path / "s"))
    assert result.stdout == f"{form} of 2\n"
    assert not (tmp_path / "s").exists()


def test_predict_counts_and_names_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for name in ("photos/b.jpg", "photos/deep/a.PNG", "photos/.hidden.jpg", "photos/x.txt"):
        (tmp_path / name).write_text("")
    seen: dict[str, Any] = {}

    def found(model: Path, **how: Any) -> Found:
        seen.update(how, model=model)
        return Found(pictures=1, boxes=3, bad=[(Path("photos/b.jpg"), "cut\x1b")])

    with work(predict=found):
        result = call("predict", "model", "photos", "photos/*.jpg", "--top", "5")
        as_json = call("predict", "model", "photos", "--json")
    assert result.exit_code == 0, result.output
    assert "3 boxes in 1 pictures: detections.json" in result.stdout
    assert "left out: photos/b.jpg: cut\\x1b" in result.stderr
    assert seen["pictures"] == [Path("photos/b.jpg"), Path("photos/deep/a.PNG")]
    last = json.loads(as_json.stdout)
    assert (last["pictures"], last["boxes"]) == (1, 3)
    assert last["bad"] == [{"picture": "photos/b.jpg", "reason": "cut\x1b"}]


def test_predict_fails_when_no_picture_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / ".vocabox" / "runs" / "joint-3" / "model"
    model.mkdir(parents=True)
    (model / "model.json").write_text("{}")
    (tmp_path / "a.jpg").write_text("")
    with work(predict=lambda model, **how: Found(bad=[(Path("a.jpg"), "cut")])):
        assert call("predict", "joint-3", "a.jpg").exit_code == 1
