from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.eval.detections import Detections, coco_results, xywh


def some(n: int, seed: int = 0) -> Detections:
    rng = np.random.default_rng(seed)
    return Detections(
        image=rng.integers(0, 9, n),
        category=rng.integers(0, 30_000, n),
        score=rng.random(n).astype(np.float32),
        boxes=rng.random((n, 4)).astype(np.float32) * 500,
    )


def same(a: Detections, b: Detections) -> bool:
    pairs = ((getattr(a, n), getattr(b, n)) for n in ("image", "category", "score", "boxes"))
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)


@given(n=st.integers(0, 50), seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_file_gives_back_what_was_written(n: int, seed: int, tmp_path_factory) -> None:
    path: Path = tmp_path_factory.mktemp("found") / "detections.parquet"
    wanted = some(n, seed)
    wanted.write(path)
    assert same(Detections.read(path), wanted)


def test_equal_detections_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        some(1000).write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_parts_join_in_their_order() -> None:
    whole = some(7)
    parts = [whole.where(np.arange(7) < 3), some(0), whole.where(np.arange(7) >= 3)]
    assert same(Detections.join(parts), whole)
    nothing = Detections.join([])
    assert len(nothing) == 0
    assert nothing.boxes.shape == (0, 4)


def test_sides_are_taken_in_float64() -> None:
    left, right = np.float32(0.1), np.float32(1000.3)
    ((x, _, width, _),) = xywh(np.array([[left, 0, right, 1]], np.float32)).tolist()
    assert (x, width) == (float(left), float(right) - float(left))
    assert width != float(right - left)


def test_coco_boxes_have_sides() -> None:
    found = Detections(
        image=np.array([1]),
        category=np.array([0]),
        score=np.float32([0.25]),
        boxes=np.float32([[1, 2, 4, 8]]),
    )
    assert xywh(found.boxes).tolist() == [[1, 2, 3, 6]]
    assert coco_results(found, images=["a", "b"], categories=[7]) == [
        {"image_id": "b", "category_id": 7, "bbox": [1, 2, 3, 6], "score": 0.25}
    ]
