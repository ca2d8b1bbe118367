"""The door of the command: help is cheap and shows an example; nothing ends in a traceback."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.searchers import Tried
from pipelines.runs.search import Searched
from pipelines.runs.states import Standing
from pipelines.settings.space import Space
from tests.pipelines.cli.small import Ended, Found, Sent, Written, call, page, work

ROOT = Path(__file__).parents[3]
TRIED = Tried(point={"stage2.image_weight": 0.1}, status="done", metrics={"val/AP": 0.5})
HELPS = ("", "run", "tune", "check", "show", "predict", "data", "data check", "data show",
         "export", "submit", "status", "logs", "stop")  # fmt: skip
HEAVY = ("torch", "torchvision", "ray", "mlflow", "pyarrow", "numpy", "pydantic", "matplotlib")
ASK = """
import resource, sys
from pipelines.cli.entry import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
used = resource.getrusage(resource.RUSAGE_SELF)
heavy = [name for name in {heavy!r} if name in sys.modules]
print(used.ru_utime + used.ru_stime, heavy, file=sys.stderr)
"""


@pytest.mark.parametrize("command", HELPS)
def test_help_is_cheap_and_shows_an_example(command: str) -> None:
    asked = [sys.executable, "-c", ASK.format(heavy=HEAVY), *command.split(), "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, _, heavy = done.stderr.strip().partition(" ")
    assert heavy == "[]"
    assert float(seconds) <= 0.5, f"{seconds} s of CPU"
    assert re.search(rf"Example:\n +vocabox {command}", done.stdout)


@pytest.mark.parametrize("command", HELPS)
def test_the_example_of_a_help_works(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = re.search(r"Example:\n +vocabox (.*)", call(*command.split(), "--help").stdout)
    assert example is not None
    (tmp_path / "configs").mkdir()
    Path(page(tmp_path)).rename(tmp_path / "configs" / "first_run.yaml")
    model = tmp_path / ".vocabox" / "runs" / "joint-1" / "model"
    model.mkdir(parents=True)
    (model / "model.json").write_text("{}")
    (tmp_path / ".vocabox" / "format").write_text('{"version": 1}')
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("")
    monkeypatch.chdir(tmp_path)
    rows = {
        "run": lambda loaded, **how: Ended(),
        "space": lambda path, loaded: Space(axes={}),
        "tune": lambda loaded, space, **how: Searched(
            search="joint-1", tried=(TRIED,), best=TRIED, default=TRIED, page=Path("best.yaml")
        ),
        "plan": lambda loaded, **how: "",
        "predict": lambda model, **how: Found(pictures=1),
        "export": lambda model, **how: Written(),
        "sheet_of_config": lambda loaded, **how: 1,
        "sources_of_config": lambda config, settings: [],
        "submission": lambda loaded, **how: Sent(),
        "standings": lambda store, **how: [Standing(run="joint-1", status="failed", heard=None)],
        "events": lambda store, **how: ([], 0),
        "stop": lambda store, **how: None,
        "drawn_of_config": lambda config, settings: [],
    }
    with work(**rows):
        result = call(*shlex.split(example[1]))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["", "data"])
def test_a_list_of_commands_cuts_no_sentence(command: str) -> None:
    listed = call(*command.split(), "--help").stdout.partition("Commands:")[2]
    assert "..." not in listed


def test_no_argument_shows_the_help() -> None:
    result = call()
    assert result.exit_code == 0
    assert "Commands:" in result.stdout


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"vocabox \d+\.\d+\.\d+\n", call("--version").stdout)


def test_an_unexpected_error_leaves_a_log_and_one_line(tmp_path: Path) -> None:
    def broken(loaded: object, **how: object) -> Ended:
        raise RuntimeError("\x1b[31mbroken")

    with work(run=broken):
        result = call("run", page(tmp_path), "--store", str(tmp_path / "s"))
    assert result.exit_code == 1
    assert "RuntimeError: \\x1b[31mbroken" in result.stderr
    log = Path(result.stderr.split("The traceback is in ")[1].strip().rstrip("."))
    assert "raise RuntimeError" in log.read_text()
    log.unlink()


def test_an_unexpected_error_is_told_to_a_program(tmp_path: Path) -> None:
    def full(loaded: object, **how: object) -> Ended:
        raise OSError(28, "No space left on device")

    with work(run=full):
        result = call("run", page(tmp_path), "--store", str(tmp_path / "s"), "--json")
    assert result.exit_code == 4
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["event"], last["status"], last["code"]) == ("finished", "failed", 4)
    os.unlink(result.stderr.split("The traceback is in ")[1].strip().rstrip("."))


def test_an_interrupt_ends_with_130(tmp_path: Path) -> None:
    def stopped(loaded: object, **how: object) -> Ended:
        raise KeyboardInterrupt

    with work(run=stopped):
        result = call("run", page(tmp_path), "--store", str(tmp_path / "s"))
    assert result.exit_code == 130
    assert "goes on" in result.stderr


def test_an_interrupt_of_predict_promises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(model: Path, **how: object) -> Found:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    Path("model/model.json").write_text("{}")
    Path("a.jpg").write_text("")
    with work(predict=stopped):
        result = call("predict", "model", "a.jpg")
    assert result.exit_code == 130
    assert result.stderr.strip() == "Interrupted."


def test_who_stops_reading_ends_us_quietly() -> None:
    shell = f"{shlex.quote(sys.executable)} -m pipelines.cli.entry run --help | true"
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr == ""


def test_a_name_no_file_can_have_is_refused() -> None:
    for line in (["check", "9" * 400], ["predict", "m", "9" * 400], ["show", "x" * 5000]):
        result = call(*line)
        assert result.exit_code == 2
        assert "file name too long" in result.stderr


@pytest.mark.parametrize("command", ["check", "show"])
def test_looking_at_a_config_imports_no_runtime(command: str, tmp_path: Path) -> None:
    heavy = ("torch", "ray", "mlflow", "pyarrow", "matplotlib")
    asked = [sys.executable, "-c", ASK.format(heavy=heavy), command, "configs/first_run.yaml"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().endswith("[]"), done.stderr
