"""The short form of `python -m tests.faults raylet`: one lost while it trains, ten from toys."""

import random
import tempfile
import time
from pathlib import Path

import pytest

from tests.cluster.small_cluster import SmallCluster
from tests.faults import page
from tests.faults.raylet import lose_from_toys, lose_one, on_cluster
from tests.faults.toy import COUNT

SHORT = ("stage1.steps=2", "evaluate.pictures=0")


@pytest.mark.ray
@pytest.mark.long
def test_a_machine_lost_in_mid_run_costs_what_was_on_it_and_no_more(tmp_path: Path) -> None:
    arguments = [str(page.write(tmp_path)), *page.ALONE, *SHORT]
    alone, store = tmp_path / "alone" / "store", tmp_path / "again" / "store"
    for place in (alone, store):
        place.parent.mkdir()
    with tempfile.TemporaryDirectory(prefix="vbx", ignore_cleanup_errors=True) as logs:
        cluster = SmallCluster.start(Path(logs))
        try:
            started = time.monotonic()
            assert on_cluster(arguments, cluster, store=alone).finish() == 0
            trial = lose_one(
                arguments, cluster, alone=alone, store=store, rng=random.Random(3),
                seconds=time.monotonic() - started, while_running="stage2",
            )  # fmt: skip
        finally:
            cluster.close()
    assert trial.killed
    assert trial.lost, "else the machine had nothing to lose"
    assert trial.retried == ["stage2"]
    assert trial.wrong == []


@pytest.mark.ray
@pytest.mark.long
def test_ten_machines_lost_from_under_a_small_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some two minutes."""
    monkeypatch.setenv(COUNT, str(tmp_path / "count"))
    with tempfile.TemporaryDirectory(prefix="vbx", ignore_cleanup_errors=True) as logs:
        cluster = SmallCluster.start(Path(logs))
        try:
            trials = lose_from_toys(tmp_path, cluster, times=10, seed=1, say=print)
        finally:
            cluster.close()
    assert [trial.wrong for trial in trials] == [[]] * 10
    assert all(trial.killed for trial in trials)
    assert sum(trial.lost == ["look_here"] for trial in trials) >= 3
    assert any(trial.retried for trial in trials)
