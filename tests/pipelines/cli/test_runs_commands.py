"""`vocabox status | logs | stop` of runs in a store, and what `submit` would send."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.cli import runs_commands
from pipelines.cli.following import code_of, standing_line
from pipelines.graph.cuts import Cuts
from pipelines.runs import stopping
from pipelines.runs.drive import drive
from pipelines.runs.loading import load
from tests.pipelines.cli.small import call
from tests.pipelines.runs import tiny
from tests.pipelines.settings.golden import same

ADDRESS = ("--address", "http://127.0.0.1:8265")


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run that made a part of its graph."""
    folder = tmp_path_factory.mktemp("runs")
    ended, _ = tiny.run(tiny.page(folder), store=folder / "store", cuts=Cuts(until=("boxes",)))
    assert ended.run == "joint-1"
    return folder


def test_status_tells_every_run_and_one_with_its_nodes(part: Path) -> None:
    store = str(part / "store")
    every = call("status", "--store", store)
    assert re.fullmatch(r"joint-1: done; last heard .* ago\.\n", every.stdout), every.output
    one = call("status", "joint-1", "--store", store)
    assert re.search(r"^  boxes +done$", one.stdout, re.MULTILINE)
    told = json.loads(call("status", "joint-1", "--store", store, "--json").stdout)
    assert told == {"v": 1, "event": "status", "run": "joint-1", "status": "done",
                    "nodes": {"draw": "done", "boxes": "done"}, "driver": None}  # fmt: skip


def test_logs_tell_what_was_said_with_its_times(part: Path) -> None:
    said = call("logs", "joint-1", "--store", str(part / "store"), "-f").stdout.splitlines()
    assert any("draw: done in" in line for line in said[:4]), said
    assert said[-1].endswith("joint-1: done.")
    assert all(re.match(r" *\d+(\.\d)? s  ", line) for line in said), said


def test_a_run_that_does_not_exist_gives_the_nearest(part: Path, write_golden: bool) -> None:
    said = ""
    lines = ("status joint-2", "logs joint-7 -f", "stop other", "stop joint-1 --store nowhere",
             "status --store nowhere")  # fmt: skip
    for line in lines:
        asked = [str(part / word) if word == "nowhere" else word for word in shlex.split(line)]
        place = [] if "--store" in asked else ["--store", str(part / "store")]
        result = call(*asked, *place)
        assert (result.exit_code, result.stdout) == (2, "")
        said += f"$ vocabox {line}\n{result.stderr}"
    same(said, as_file="errors/no_such_run.txt", folder=part, write=write_golden)


def test_stop_ends_a_run_that_goes_on_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "LOOK_S", 0.0)
    store, events = tmp_path / "store", list[Mapping[str, Any]]()

    def emit(event: Mapping[str, Any]) -> None:
        events.append(event)
        if (event.get("node"), event.get("state")) == ("draw", "done"):
            who = f"its driver: pid {os.getpid()} on "
            assert who in call("status", "--store", str(store)).stdout
            asked = call("stop", "joint-1", "--store", str(store))
            assert asked.exit_code == 0
            assert asked.stdout.startswith("joint-1: asked to stop")

    loaded = load(tiny.page(tmp_path))
    ended = drive(loaded, store=str(store), emit=emit, executor="inline")
    assert (ended.status, ended.code) == ("interrupted", 130)
    assert [e["node"] for e in events if e.get("state") == "done"] == ["draw"]
    assert "interrupted" in call("status", "--store", str(store)).stdout
    told = call("stop", "joint-1", "--store", str(store)).stdout
    assert told == ("joint-1: is interrupted, and nobody works on it; there is nothing to stop.\n")
    again, _ = tiny.run(tiny.page(tmp_path), store=store, cuts=Cuts(until=("boxes",)))
    assert (again.run, again.status) == ("joint-1", "done"), "an old wish stops nobody"


def test_a_run_whose_driver_was_killed_is_told_from_one_that_works(
    part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_commands, "PACE_S", 0.0)
    store = tmp_path / "store"
    shutil.copytree(part / "store", store)
    place = store / "runs" / "joint-1"
    text = (place / "events.jsonl").read_text()
    (place / "events.jsonl").write_text(text[: text.rindex('{"v"')])  # no last words
    (place / "journal").joinpath(sorted(os.listdir(place / "journal"))[-1]).unlink()  # nor release
    took = sorted((place / "journal").iterdir())[0]
    for path in (place / "journal").iterdir():
        path.write_text(path.read_text().replace(f'"pid":{os.getpid()}', '"pid":4194305'))
    assert "4194305" in took.read_text()
    told = call("status", "--store", str(store)).stdout
    assert re.fullmatch(
        r"joint-1: not finished; last heard .* ago; "
        r"its driver is gone: the same command goes on\.\n", told
    )  # fmt: skip
    followed = call("logs", "joint-1", "-f", "--store", str(store))
    assert followed.stderr == "joint-1: its driver is gone: the same command goes on.\n"


def test_logs_tell_how_far_a_training_is(part: Path, tmp_path: Path) -> None:
    shutil.copytree(part / "store", tmp_path / "store")
    kept = tmp_path / "store" / "runs" / "joint-1" / "events.jsonl"
    begun = {"event": "node", "node": "stage1", "state": "running", "time": 2e9}
    steps = [{"event": "metrics", "node": "stage1", "step": i, "values": {"train/loss": 0.5},
              "time": 2e9 + i} for i in range(1, 26)]  # fmt: skip
    kept.write_text("".join(f"{json.dumps({'v': 1, **event})}\n" for event in (begun, *steps)))
    said = call("logs", "joint-1", "--store", str(tmp_path / "store")).stdout.splitlines()
    assert [line.partition("  stage1: ")[2] for line in said] == [
        "running", "step 10, loss 0.5", "step 20, loss 0.5",
    ]  # fmt: skip


def test_stopping_what_is_done_says_so(part: Path) -> None:
    told = call("stop", "joint-1", "--store", str(part / "store"))
    assert (told.exit_code, told.stdout) == (0, "joint-1: is done; there is nothing to stop.\n")
    assert not (part / "store" / "runs" / "joint-1" / "stop").exists()


def test_a_dry_run_lists_what_would_be_sent_and_asks_nobody(part: Path) -> None:
    told = call("submit", str(part / "tiny.yaml"), "--store", "s3://b/s", *ADDRESS, "--dry-run")
    assert told.exit_code == 0, told.output
    *files, total, command = told.stdout.splitlines()
    names = {line.split()[-1] for line in files}
    assert {"config.yaml", "cluster/jobs.py", "pipelines/report/page.html"} <= names
    kinds = {Path(name).suffix for name in names}
    assert kinds <= {".py", ".html", ".css", ".js", ".yaml", ""}
    assert {n for n in names if not n.endswith((".py", ".html", ".css", ".js"))} == {
        "config.yaml", "vocabox-0.1.0.dist-info/METADATA",
    }  # fmt: skip
    assert re.search(rf"bytes in {len(names)} files$", total)
    words = shlex.split(command)
    assert re.fullmatch(r"joint-[0-9a-f]{12}:", words[0])
    assert words[1:5] == ["python", "-m", "pipelines.cli.entry", "run"]
    assert words[words.index("--store") + 1] == "s3://b/s"
    assert words[words.index("--paths-from") + 1] == str(part)


def test_the_name_of_a_run_is_of_what_is_computed_and_where_it_is_kept(part: Path) -> None:
    def name(*more: str) -> str:
        line = ("submit", str(part / "tiny.yaml"), *ADDRESS, "--dry-run", *more)
        return call(*line).stdout.splitlines()[-1].partition(":")[0]

    usual = name()
    assert usual == name() == name("stage1.steps=4") == name("--insecure-cluster")
    others = [name("stage1.steps=5"), name("--store", "other"), name("--until", "boxes")]
    assert len({usual, *others}) == 4


@pytest.mark.parametrize(
    "address",
    ["head:8265", "ftp://head:1", "http://", "http://h:port", "http://h:1/x", "http://a:b@h"],
)
def test_B20_an_address_that_is_no_dashboard(part: Path, address: str) -> None:
    told = call("submit", str(part / "tiny.yaml"), "--address", address)
    assert told.exit_code == 2
    assert "--address: " in told.stderr
    assert "http://HEAD:8265" in told.stderr
    assert "a:b" not in told.stderr


def test_a_store_with_a_password_is_refused(part: Path) -> None:
    store = "s3://me:secret@host/x"
    told = call("submit", str(part / "tiny.yaml"), *ADDRESS, "--store", store, "--dry-run")
    assert told.exit_code == 2
    assert "holds a password; got s3://***@host/x" in told.stderr
    assert "secret" not in told.output


def test_a_job_that_was_killed_ends_with_7_and_names_the_signal() -> None:
    job = SimpleNamespace(run="joint-3fa", status="failed", code=-9, message="", started=0, ended=0,
                          attempt=1)  # fmt: skip
    assert code_of(job) == 7
    assert "killed by signal 9" in standing_line(job)


def test_a_store_that_can_be_none_is_refused_before_anything_is_sent(part: Path) -> None:
    (part / "file").write_text("x")
    told = call("submit", str(part / "tiny.yaml"), *ADDRESS, "--store", str(part / "file"))
    assert told.exit_code == 2
    assert "--store: must be a folder; got a file" in told.stderr
