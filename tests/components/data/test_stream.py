import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from components.data.labelled import CROWD
from components.data.sample import Batch
from components.data.shards import Shards, ShardsError
from components.data.stream import Part, Stream, StreamError, plain_batches, prefetch
from components.data.views import PhotoView, PlainView, SceneView
from tests.components.data.small_sets import jpeg, known, packed, photos

SCENES = SceneView(size=32, scale=(0.8, 1.0), exposure=0.1)
PHOTOS = PhotoView(sizes=(24, 32))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    root = tmp_path_factory.mktemp("scenes")
    samples = [
        known(jpeg(root / f"{i}.jpg", shade=i * 5), *[(2 + i, 3, 20 + i, 25)] * (i % 4))
        for i in range(18)
    ]
    return packed(root / "out", samples)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    root = tmp_path_factory.mktemp("labels")
    return packed(root / "out", photos(root / "p", 31))


def stream(scenes: Shards, labels: Shards, seed: int = 3) -> Stream:
    return Stream(
        {
            "boxes": Part(shards=scenes, view=SCENES, slots=5, keep="boxed"),
            "labels": Part(shards=labels, view=PHOTOS, slots=15),
        },
        seed=seed,
    )


def joined(batches: list[Batch]) -> dict[str, torch.Tensor]:
    """Return the batches of ranks as one: offsets start where the rank before ended."""
    out: dict[str, torch.Tensor] = {}
    for name in (f.name for f in fields(Batch)):
        parts = [getattr(b, name) for b in batches]
        if name.endswith("offsets"):
            counts = torch.cat([p.diff() for p in parts])
            out[name] = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
        else:
            out[name] = torch.cat(parts)
    return out


@pytest.mark.parametrize("world", [2, 3, 5])
def test_ranks_hold_one_batch_together(scenes: Shards, labels: Shards, world: int) -> None:
    alone = stream(scenes, labels)
    ranks = [stream(scenes, labels) for _ in range(world)]
    for step in (0, 3, 4, 11):
        whole = alone.batch(step)
        shares = [s.batch(step, rank=r, world=world) for r, s in enumerate(ranks)]
        for source, batch in whole.items():
            for name, tensor in joined([share[source] for share in shares]).items():
                assert torch.equal(tensor, getattr(batch, name)), (source, name, step)


def test_one_to_three_and_every_row_once_an_epoch(scenes: Shards, labels: Shards) -> None:
    made = stream(scenes, labels)
    rows: dict[str, list[int]] = {"boxes": [], "labels": []}
    for step in range(12):
        batch = made.batch(step)
        assert (len(batch["boxes"]), len(batch["labels"])) == (5, 15)
        for name, own in batch.items():
            rows[name] += own.row.tolist()
    assert sorted(rows["boxes"][:18]) == list(range(18))
    assert sorted(rows["labels"][:31]) == list(range(31))
    assert sorted(rows["labels"][31:62]) == list(range(31))


def test_a_resumed_stream_sees_the_same_pixels(scenes: Shards, labels: Shards) -> None:
    straight = list(prefetch(stream(scenes, labels), start=0, stop=9))
    resumed = list(prefetch(stream(scenes, labels), start=6, stop=9))
    for wanted, found in zip(straight[6:], resumed, strict=True):
        for source in wanted:
            assert torch.equal(wanted[source].image, found[source].image)
            assert torch.equal(wanted[source].boxes, found[source].boxes)
    other = stream(scenes, labels, seed=4)
    assert not torch.equal(other.batch(0)["boxes"].row, straight[0]["boxes"].row)


def test_the_plan_names_what_decides_the_order(scenes: Shards, labels: Shards) -> None:
    assert stream(scenes, labels).plan == stream(scenes, labels).plan
    assert stream(scenes, labels).plan != stream(scenes, labels, seed=4).plan
    plans = {
        Stream({"a": Part(shards=labels, view=view, slots=slots, labels=known)}, seed=3).plan
        for view, slots, known in (
            (PhotoView(sizes=(16,)), 4, None),
            (PhotoView(sizes=(24,)), 4, None),
            (PhotoView(sizes=(16,)), 5, None),
            (PhotoView(sizes=(16,)), 4, np.array([0, 1, -1])),
            (PhotoView(sizes=(16,)), 4, np.array([0, -1, 1])),
        )
    }
    assert len(plans) == 5


def test_boxes_lie_on_the_batch_and_go_back(scenes: Shards, labels: Shards) -> None:
    batch = stream(scenes, labels).batch(2)["boxes"]
    for i in range(len(batch)):
        h, w = batch.image_size[i].tolist()
        boxes = batch.boxes_of(i)
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([w, h, w, h])).all()
        assert len(batch.labels_of(i)) == len(boxes) == scenes.box_counts()[batch.row[i]]
        assert (batch.image[i, h:] == 114).all()


def test_classes_a_model_does_not_know_are_left_out(labels: Shards) -> None:
    columns = np.array([-1, 4, -1])  # of x, y, z only y is known, as class 4
    made = Stream({"a": Part(shards=labels, view=PHOTOS, slots=5, labels=columns)}, seed=0)
    rows = {r for step in range(6) for r in made.batch(step)["a"].row.tolist()}
    assert rows == {r for r in range(31) if labels.target(r).present.tolist() == [1]}
    assert set(made.batch(0)["a"].present.tolist()) == {4}


def test_a_stream_without_samples_is_refused(labels: Shards) -> None:
    nothing = Part(shards=labels, view=PHOTOS, slots=5, labels=np.array([-1, -1, -1]))
    with pytest.raises(StreamError, match="photos: no sample of 31 can be trained on"):
        Stream({"photos": nothing}, seed=0)
    few = Stream({"photos": Part(shards=labels, view=PHOTOS, slots=2)}, seed=0)
    with pytest.raises(StreamError, match="each of 3 workers needs a sample; got 2"):
        few.batch(0, rank=0, world=3)


def test_thin_boxes_teach_nothing_and_crowds_stay(tmp_path: Path) -> None:
    flags = np.array([0, 0, CROWD], np.uint8)
    boxes = [(1, 1, 20, 20), (5, 5, 5.1, 25), (0, 0, 40, 30)]
    shards = packed(tmp_path / "out", [known(jpeg(tmp_path / "a.jpg"), *boxes, flags=flags)])
    (batch,) = plain_batches(shards, view=PlainView(size=40), size=4)
    assert batch.labels.tolist() == [0, 2]
    assert batch.flags.tolist() == [0, CROWD]
    (batch,) = plain_batches(shards, view=PlainView(size=40), size=4, labels=np.array([-1, 0, -1]))
    assert batch.flags.tolist() == [CROWD]


def test_plain_batches_are_in_storage_order_and_whole(labels: Shards) -> None:
    batches = list(plain_batches(labels, view=PlainView(size=32), size=8))
    assert [len(b) for b in batches] == [8, 8, 8, 7]
    assert torch.cat([b.row for b in batches]).tolist() == list(range(31))


def _threads() -> int:
    return sum(t.name == "batches" for t in threading.enumerate())


def test_what_the_thread_raises_is_raised_and_the_thread_ends(tmp_path: Path) -> None:
    shards = packed(tmp_path / "out", photos(tmp_path / "p", 6))
    (tmp_path / "out" / "000000.tar").unlink()
    made = Stream({"a": Part(shards=Shards.open(tmp_path / "out"), view=PHOTOS, slots=2)}, seed=0)
    with pytest.raises(ShardsError, match="cannot be read"):
        list(prefetch(made, start=0, stop=5))
    assert len(shards) == 6
    assert _threads() == 0


def test_a_reader_that_stops_early_leaves_no_thread(labels: Shards) -> None:
    made = Stream({"a": Part(shards=labels, view=PHOTOS, slots=2)}, seed=0)
    batches = prefetch(made, start=0, stop=1000, depth=1)
    next(batches)
    assert _threads() == 1
    batches.close()  # type: ignore[attr-defined]
    assert _threads() == 0
