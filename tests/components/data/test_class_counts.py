from pathlib import Path

import numpy as np

from components.data.class_counts import class_counts
from components.data.labelled import CROWD, Labelled, Supervision
from components.data.pack_shards import pack
from components.data.shards import Shards
from tests.components.eval.small_world import picture


def labelled(folder: Path, name: str, boxes: list[tuple[str, int]], *present: str) -> Labelled:
    return Labelled(
        source_name=name,
        source_id=name,
        path=picture(folder / f"{name}.png"),
        supervision=Supervision.BOXED if boxes else Supervision.LABELLED,
        boxes=np.array([[1, 1, 20, 20]] * len(boxes), np.float32).reshape(-1, 4),
        classes=tuple(c for c, _ in boxes),
        flags=np.array([flags for _, flags in boxes], np.uint8),
        present=tuple(dict.fromkeys([*(c for c, _ in boxes), *present])),
    )


def test_boxes_and_labels_are_counted_apart(tmp_path: Path) -> None:
    samples = [
        labelled(tmp_path, "one", [("fine:cat", 0), ("fine:cat", 0), ("fine:dog", CROWD)]),
        labelled(tmp_path, "two", [("fine:cat", 0)], "fine:owl"),
        labelled(tmp_path, "three", [], "fine:owl", "fine:cat"),
        labelled(tmp_path, "four", []),
    ]
    out = tmp_path / "shards"
    out.mkdir()
    pack(samples, out=out, vocabulary=None, name="t", seed=0, shuffle=True, say=lambda n: None)
    counts = class_counts(Shards.open(out))
    assert counts.boxes == {"fine:cat": 3}
    assert counts.labels == {"fine:owl": 2, "fine:cat": 1}
