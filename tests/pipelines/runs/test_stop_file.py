"""The file that asks a run to stop."""

import threading
from dataclasses import asdict
from pathlib import Path

from cluster.lease import journal
from cluster.owner import Owner
from cluster.storage import open_store
from pipelines.graph.cuts import Cuts
from pipelines.runs.directory import take
from pipelines.runs.drive import Finished
from pipelines.runs.loading import load
from pipelines.runs.stopping import StopFile
from tests.pipelines.runs.tiny import page, run

DRAW = Cuts(until=("draw",))


def test_a_stop_that_was_asked_for_while_a_driver_waits_is_for_it(tmp_path: Path) -> None:
    config, place = page(tmp_path), tmp_path / "store"
    store = open_store(str(place))
    directory = take(store, recipe="joint", config=load(config).digest)
    owner = {**asdict(Owner.here()), "machine": "another", "host": "gone"}
    journal(store, f"runs/{directory.run}").create(1, {"kind": "take", "epoch": 1, "owner": owner})
    wish = StopFile(store, directory.run)
    timer = threading.Timer(1.0, wish.ask)
    timer.start()
    ended: Finished = run(config, store=place, cuts=DRAW, take_over_after=3.0)[0]
    timer.join()
    assert (ended.status, ended.code) == ("interrupted", 130)
    ended = run(config, store=place, cuts=DRAW)[0]  # an earlier wish is forgotten
    assert ended.status == "done"
    assert not store.exists(wish.name)
