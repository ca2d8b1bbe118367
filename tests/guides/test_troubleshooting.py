"""Every message of the page on exit codes is one that a user really reads, under that code."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.failures import EXIT, Budget, Fail, decide, failure_of
from cluster.ray_faults import fault_of
from pipelines.cli.ending import say_ending
from tests.guides.conftest import Followed
from tests.guides.quoted import ROOT, blocks, unsaid
from tests.pipelines.cli.small import Ended, call, work
from tests.pipelines.runs.tiny import page

GUIDE = ROOT / "configs" / "TROUBLESHOOTING.md"
HERE = ["--executor", "inline", "run_on={stage1: {local: true}, stage2: {local: true}}"]
QUIET = [*HERE, "tracking.kind=none"]
COMMAND = [sys.executable, "-m", "pipelines.cli.entry"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ends(folder: Path, *arguments: str, code: int) -> str:
    """Return what a command said that ended with this code."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def quotes_are_said(code: int, said: str, *, folder: Path) -> None:
    told = [b for b in blocks(GUIDE, "text") if b.section.startswith(f"{code}: ")]
    assert told, f"no message under {code}"
    lost = [line for block in told for line in unsaid(block.text, said, folder=folder)]
    assert lost == [], said


def test_the_page_has_every_code_and_no_other() -> None:
    text = GUIDE.read_text()
    heads = [int(code) for code in re.findall(r"^## (\d+): ", text, re.MULTILINE)]
    assert heads == sorted(EXIT.values())
    assert [int(code) for code in re.findall(r"^\| \[(\d+)\]", text, re.MULTILINE)] == heads
    readme = (ROOT / "README.md").read_text().split("## Exit codes\n")[1].partition("\n## ")[0]
    assert [int(code) for code in re.findall(r"(?:^|· ?)(\d+) ", readme, re.MULTILINE)] == heads


def test_0(followed: Followed) -> None:
    quotes_are_said(0, followed.said[3], folder=followed.folder)


def test_1(followed: Followed, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(loaded: object, **how: object) -> Ended:
        raise RuntimeError("a fault that nobody foresaw")

    folder = followed.folder
    (folder / "photos").mkdir()
    (folder / "photos" / "holiday.jpg").write_text("<html>")
    said = ends(folder, "predict", "joint-1", "photos", "--out", "none.json", code=1)
    absent = ["--address", "127.0.0.1:1", "stage1.seed=5"]
    said += ends(folder, "run", "my_data/page.yaml", *absent, code=1)
    with work(run=broken):
        said += call("run", page(folder).as_posix(), "--store", str(folder / "s")).output
    for log in re.findall(r"traceback is in (/\S+)\.", said):
        Path(log).unlink()
    reason = f"stage2: {failure_of(ValueError('boom'), where='stage2').text}"
    say_ending(Ended(status="failed", code=1, run="joint-1", reason=reason), again="vocabox run p",
               store=".vocabox")  # fmt: skip
    quotes_are_said(1, said + capsys.readouterr().err, folder=folder)


def test_2(followed: Followed) -> None:
    folder = followed.folder
    text = (folder / "my_data/page.yaml").read_text()
    wrong = text.replace("stage2: {steps: 60", "stage2: {steps: 0, lrr: 1")
    (folder / "my_data/page.yaml").write_text(wrong)
    said = ends(folder, "check", "my_data/page.yaml", code=2)
    (folder / "my_data/page.yaml").write_text(text)
    for setting in (
        "sources.boxes.0.annotations=train_scenes/annotation.json",
        "sources.test.0.source.level=coarse",
    ):
        said += ends(folder, "check", "my_data/page.yaml", setting, code=2)
    quotes_are_said(2, said + ends(folder, "rnu", code=2), folder=folder)


def test_3(followed: Followed, tmp_path: Path) -> None:
    told = ["run", str(followed.folder / "my_data/page.yaml"), *QUIET]
    ends(tmp_path, *told, "--until", "labels", code=0)
    for shard in tmp_path.rglob("*.tar"):
        os.truncate(shard, shard.stat().st_size - 4000)
    said = ends(tmp_path, *told, "--until", "stage1", "stage1.steps=2", code=3)
    assert list((tmp_path / ".vocabox" / "quarantine").iterdir())
    quotes_are_said(3, said, folder=tmp_path)
    ends(tmp_path, *told, "--until", "labels", code=0)  # the same command makes it anew


def test_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, block: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cluster.storage._write", full)
    result = call("run", str(page(tmp_path)), *QUIET[:2], "--until", "draw")
    assert result.exit_code == 4
    quotes_are_said(4, result.output, folder=tmp_path)


def test_5_is_reserved() -> None:
    assert "No command ends so today" in GUIDE.read_text()
    rooms = [p for room in ("pipelines", "cluster") for p in (ROOT / room).rglob("*.py")]
    uses = [str(p) for p in rooms if re.search(r"EXIT\[.owned.\]|_never\(.owned.\)", p.read_text())]
    assert uses == [], "tell of it in configs/TROUBLESHOOTING.md"


def test_6(followed: Followed, tmp_path: Path) -> None:
    wild = ["stage1.lr=10", "stage1.weight_decay=10", "stage1.clip=1000000", "stage1.warmup=0"]
    told = ["run", str(followed.folder / "my_data/page.yaml"), *QUIET, "--until", "stage1"]
    said = ends(tmp_path, *told, *wild, code=6)
    quotes_are_said(6, said, folder=tmp_path)


class WorkerCrashedError(Exception):
    """Named as Ray's is: names decide."""


class OutOfMemoryError(Exception):
    """Named as Ray's is: names decide."""


def test_7(tmp_path: Path) -> None:
    said = ""
    for error in (WorkerCrashedError("it is gone"), OutOfMemoryError("it was killed")):
        fault = fault_of(error, where="stage1")
        last = decide(fault, attempt=1 + Budget().retries, policy=Budget())
        assert isinstance(last, Fail)
        assert last.code == 7
        said += f"{last.why}\n"
    quotes_are_said(7, said, folder=tmp_path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_75_and_130(followed: Followed, tmp_path: Path, number: int, code: int) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", str(followed.folder / "my_data/page.yaml"), *QUIET, "stage1.steps=2"],
        cwd=tmp_path,
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert process.stdout is not None
    said = ""
    while "running" not in said:
        said += process.stdout.readline()
    process.send_signal(number)
    said += process.communicate(timeout=120)[0]
    assert process.returncode == code, said
    quotes_are_said(code, said, folder=tmp_path)
