"""SIGTERM in the middle of training: a checkpoint at that step, exit 75, and the rest later."""

import signal
import time
from pathlib import Path

import pytest

from tests.faults.command import Command, checkpoints, records
from tests.pipelines.runs import tiny

STEPS = 300
NEVER = ("run_on.stage1.checkpoint_every=100000", f"stage1.steps={STEPS}", "stage1.world=2",
         "run_on.stage1.workers=2", "--until", "stage1")  # fmt: skip
FORMS = {"inline": ("--executor", "inline"), "ray": ("run_on.stage1.local=false",)}


@pytest.mark.parametrize("form", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_sigterm_keeps_the_step_and_exits_75(form: str, tmp_path: Path) -> None:
    page, store = tiny.page(tmp_path), tmp_path / "store"
    arguments = [str(page), *NEVER, *FORMS[form]]
    command = Command.start(arguments, store=store)
    log = store / "runs"
    until = time.monotonic() + 120
    while not _training(command, log) and time.monotonic() < until:
        time.sleep(0.05)
        command.hear()
    key = command.key("stage1")
    assert key is not None, (tmp_path / "stderr.txt").read_text()
    time.sleep(0.5)
    sent = time.monotonic()
    command.process.send_signal(signal.SIGTERM)
    assert command.finish(timeout=60) == 75
    assert time.monotonic() - sent < 20 + 15
    [step] = checkpoints(store, key)
    assert 0 < step < STEPS
    again = Command.start([str(page), *NEVER, *FORMS["inline"]], store=store)  # the same key
    assert again.finish(timeout=240) == 0
    assert records(store)["stage1"].body["notes"]["resumed_at"] == step


def _training(command: Command, log: Path) -> bool:
    """Whether workers stand: a group that has not met yet cannot be asked."""
    key = command.key("stage1")
    return key is not None and any(
        p.name.startswith("meet-") for p in (command.store / "work" / key).rglob("meet-*")
    )
