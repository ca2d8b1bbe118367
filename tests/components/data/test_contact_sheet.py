"""A sheet shows what the labels say: the right pictures, boxes where they are, names beside."""

from pathlib import Path

import numpy as np
from PIL import Image

from components.data.contact_sheet import (
    CAPTION,
    COLUMNS,
    SIDE,
    Sample,
    contact_sheet,
    of_drawn,
    of_labelled,
    of_shards,
    write_contact_sheet,
)
from components.data.drawn.world import World
from components.data.labelled import Labelled, Supervision
from components.data.pack_shards import pack

YELLOW = (255, 235, 0)


def _labelled(folder: Path, count: int) -> list[Labelled]:
    made: list[Labelled] = []
    for i in range(count):
        path = folder / f"{i}.jpg"
        Image.new("RGB", (60 + i, 40), (10 * i, 0, 0)).save(path)
        made.append(
            Labelled(
                source_name=path.name,
                source_id=str(i),
                path=path,
                supervision=Supervision.BOXED,
                boxes=np.array([[5, 6, 25, 26]], np.float32),
                classes=("fine:carp",),
                flags=np.zeros(1, np.uint8),
                present=("fine:carp",),
            )
        )
    return made


def test_a_box_is_drawn_where_it_is(tmp_path: Path) -> None:
    black = np.zeros((100, 200, 3), np.uint8)
    sample = Sample(pixels=black, boxes=np.array([[50, 20, 100, 60]]), names=("",))
    assert write_contact_sheet([sample], out=tmp_path / "sheet.png") == 1
    page = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert page.shape == (SIDE + CAPTION, COLUMNS * SIDE, 3)
    rows, columns = np.nonzero((page == YELLOW).all(2))
    zoom = (SIDE - 2) / 200
    wanted = 1 + zoom * np.array([50, 20, 100, 60])
    got = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(got, wanted, atol=1)


def test_a_name_can_do_nothing_but_be_read() -> None:
    pixels, box = np.full((40, 40, 3), 128, np.uint8), np.array([[5.0, 5.0, 30.0, 30.0]])
    for odd, shown in (("a\nb", "a\\nb"), ("\x1b[31m", "\\x1b[31m"), ("n" * 99, "n" * 38)):
        sheets = [
            contact_sheet([Sample(pixels=pixels, boxes=box, names=(name,), caption=name)])
            for name in (odd, shown)
        ]
        assert sheets[0].tobytes() == sheets[1].tobytes()


def test_samples_are_spread_over_a_source(tmp_path: Path) -> None:
    found = list(of_labelled(_labelled(tmp_path, 9), count=3))
    assert [s.pixels.shape[1] for s in found if s.pixels is not None] == [60, 63, 66]
    assert {(s.caption, s.names) for s in found} == {("carp", ("carp",))}


def test_a_picture_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    made = _labelled(tmp_path, 2)
    made[0].path.write_text("no picture")
    made[1].path.unlink()
    found = list(of_labelled(made, count=5))
    assert [s.pixels for s in found] == [None, None]
    assert all(s.caption.startswith(f"{i}.jpg: ") for i, s in enumerate(found))
    assert write_contact_sheet(found, out=tmp_path / "sheet.png") == 2


def test_no_sample_is_an_empty_page(tmp_path: Path) -> None:
    assert write_contact_sheet([], out=tmp_path / "sheet.png") == 0
    assert (tmp_path / "sheet.png").is_file()


def test_samples_of_shards(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    pictures = _labelled(tmp_path, 4)
    pack(
        pictures, out=tmp_path / "shards", vocabulary=None, name="t", seed=0, shuffle=False,
        say=lambda _: None,
    )  # fmt: skip
    found = list(of_shards(tmp_path / "shards", count=2))
    assert len(found) == 2
    assert {(s.caption, s.names) for s in found} == {("carp", ("carp",))}
    np.testing.assert_allclose(found[0].boxes, [[5, 6, 25, 26]])


def test_samples_of_a_drawn_world() -> None:
    world = World(kinds=2, photos_per_class=2, train_scenes=3)
    photos = list(of_drawn(world, part="train_photos", count=4))
    assert len({s.caption for s in photos}) == 4  # spread over the classes
    scenes = list(of_drawn(world, part="test_scenes", count=3))
    assert all(len(s.boxes) == len(s.names) for s in scenes)
    assert any(len(s.boxes) for s in scenes)
