"""Events survive strange values, writers that die, and a disk that refuses."""

import json
import math
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.journal import Events, is_finished, read_events


def test_an_event_is_one_line_with_version_and_time(tmp_path: Path) -> None:
    events = Events(tmp_path / "run" / "events.jsonl")
    events.append({"event": "node", "node": "pack", "state": "done"})
    (line,) = events.path.read_text().splitlines()
    found = json.loads(line)
    assert (found["v"], found["event"], found["node"]) == (1, "node", "pack")
    assert found["time"] > 1e9


def test_values_that_json_lacks(tmp_path: Path) -> None:
    events = Events(tmp_path / "e")
    events.append(
        {"a": math.nan, "b": np.float32(0.5), "c": Path("x"), "d": (1, {2: "ü"}), "e": np.int64(3)}
    )
    (found,), _ = read_events(events.path)
    del found["v"], found["time"]
    assert found == {"a": None, "b": 0.5, "c": "x", "d": [1, {"2": "ü"}], "e": 3}
    assert events.fault is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=6), st.integers(1, 40))
def test_reading_in_pieces_is_reading_whole(sizes: list[int], limit: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "e"
        path.write_text(
            "".join(json.dumps({"i": i, "x": "y" * n}) + "\n" for i, n in enumerate(sizes))
        )
        offset, seen = 0, []
        while True:
            events, after = read_events(path, offset=offset, limit=limit)
            if after == offset:
                break
            seen += [e["i"] for e in events]
            offset = after
        assert seen == list(range(len(sizes)))


def test_a_half_line_is_left_for_later_and_then_stays_alone(tmp_path: Path) -> None:
    events = Events(tmp_path / "e")
    events.append({"event": "run"})
    with events.path.open("ab") as file:
        file.write(b'{"event":"no')  # the writer died here
    found, offset = read_events(events.path)
    assert [e["event"] for e in found] == ["run"]
    events.append({"event": "finished"})
    found, _ = read_events(events.path, offset=offset)
    assert [e["event"] for e in found] == ["finished"]
    assert is_finished(events.path)


def test_a_fault_is_kept_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where a folder should be")
    events = Events(tmp_path / "run" / "events.jsonl")
    events.append({"event": "run"})
    assert "1 events were not written" in str(events.fault)
    assert not is_finished(events.path)
