"""Short forms of `python -m tests.faults`, and that the harness finds what it looks for."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from pipelines.graph.circumstances import boot
from tests.faults import commits, page, power, takeover
from tests.faults.command import records
from tests.faults.disks import KINDS
from tests.faults.driver import drivers
from tests.faults.kill import Trial, compare, kill_once, unbroken

SHORT = ("stage1.steps=2", "evaluate.pictures=0")  # stage 2 must outlive the kill by many steps


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, Path, Path]:
    """One run left alone, one killed after the second checkpoint of stage 2 and run again."""
    folder = tmp_path_factory.mktemp("killed")
    arguments = [str(page.write(folder)), *page.ALONE, *SHORT]
    alone, store = folder / "alone" / "store", folder / "again" / "store"
    for place in (alone, store):
        place.parent.mkdir()
    seconds = unbroken(arguments, store=alone)
    trial = kill_once(
        arguments, moment="stage2, second checkpoint", alone=alone, store=store, seconds=seconds,
        rng=random.Random(1),
    )  # fmt: skip
    return trial, alone, store


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory where there is one: thousands of flushes take minutes on a disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("before", "policy", "kinds"),
    [("", "durable", KINDS), ("torn", "durable", ("crash after", "half write", "ENOSPC")),
     ("", "fast", ("crash before", "half write", "ENOSPC"))],
)  # fmt: skip
def test_a_fault_at_each_operation_of_a_commit_leaves_it_absent_or_whole(
    memory: Path, before: str, policy: Literal["durable", "fast"], kinds: tuple[str, ...]
) -> None:
    with commits.flushing(policy):
        for found in commits.every_kind(memory, kinds=kinds, before=before):
            assert found.operations > {"durable": 30, "fast": 20}[policy], found.kind
            assert found.wrong == []


def test_a_power_cut_leaves_it_absent_or_whole(memory: Path) -> None:
    cut = power.power_cuts(memory)
    assert cut.images > 500
    assert cut.whole > 100
    assert (cut.torn, cut.lost, cut.noticed) == ([], 0, 0)


def test_what_was_not_flushed_is_noticed_after_a_power_cut(memory: Path) -> None:
    cut = power.power_cuts(memory, policy="fast")
    assert cut.images > 500
    assert cut.torn == []
    assert cut.noticed > 50


def test_a_reader_that_does_not_ask_for_the_boot_is_found(memory: Path) -> None:
    assert power.power_cuts(memory, policy="fast", boot=boot()).torn


@pytest.mark.parametrize(
    ("planted", "text"), [("manifest first", "is missing"), ("in place", "cannot be read")]
)
def test_a_fault_planted_on_purpose_is_found(memory: Path, planted: str, text: str) -> None:
    with commits.PLANTED[planted]():
        found = commits.points(memory, kind="half write", first_only=True)
    assert any(text in wrong for wrong in found.wrong)


def test_a_disk_that_never_flushes_is_found(memory: Path) -> None:
    cut = power.power_cuts(memory, flushes=False)
    assert cut.torn
    assert cut.lost


@pytest.mark.ray
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    killed: tuple[Trial, Path, Path],
) -> None:
    trial, _, store = killed
    assert trial.killed
    assert trial.wrong == []
    assert trial.resumed["stage2"] >= 2 * page.EVERY
    assert "stage1" in trial.done_before
    assert "evaluate" in records(store)


@pytest.mark.ray
def test_other_bytes_and_a_torn_artifact_are_found(
    killed: tuple[Trial, Path, Path], tmp_path: Path
) -> None:
    _, alone, store = killed
    hurt = tmp_path / "store"
    shutil.copytree(store, hurt)
    record = records(hurt)["stage2"]
    [model] = (hurt / "nodes").glob(f"*/{record.key}/*/model.safetensors")
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    assert any("stage2: model.safetensors has other bytes" in w for w in compare(hurt, alone=alone))
    shutil.rmtree(hurt / "nodes" / record.key[:2] / record.key)
    assert "stage2: other bytes than undisturbed" in compare(hurt, alone=alone)


def test_a_driver_that_was_followed_changes_nothing_when_it_wakes(tmp_path: Path) -> None:
    _, takeovers, wrong = takeover.points(tmp_path, every=31, first=3)
    assert takeovers >= 8
    assert wrong == []


def test_an_owner_that_never_asks_is_found(tmp_path: Path) -> None:
    _, _, wrong = takeover.points(tmp_path, planted=takeover.racy, every=41, first=40)
    assert wrong


def test_a_driver_killed_at_random_ends_with_the_same_bytes(tmp_path: Path) -> None:
    found = drivers(tmp_path, times=8, seed=1, executor="inline", say=print)
    assert sum(one.kills for one in found) >= 8
    assert [text for one in found for text in one.wrong] == []


@pytest.mark.ray
@pytest.mark.long
def test_a_driver_killed_at_random_over_ray_ends_with_the_same_bytes(tmp_path: Path) -> None:
    found = drivers(tmp_path, times=2, seed=2, executor="ray", say=print)
    assert sum(one.kills for one in found) >= 2
    assert [text for one in found for text in one.wrong] == []
