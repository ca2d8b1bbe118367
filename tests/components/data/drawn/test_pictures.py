import hashlib
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.drawn.kinds import class_table
from components.data.drawn.pictures import NUMBERS, photo, photo_classes, scene, truth
from components.data.drawn.world import PARTS, World, boxed_classes, novel_classes

WORLD = World()
CROWD = World(apart=0.0, objects=(8, 12), hidden=0.4)
PAINTERS = {part: photo if part.endswith("photos") else scene for part in NUMBERS}
DIGESTS = {  # sha256, first 16 digits
    ("train_scenes", 0): "f5b214e65f5c7a99",
    ("train_scenes", 7): "659c30d5862516ef",
    ("train_scenes", 301): "1074e3e42cb4ec7a",
    ("train_photos", 0): "139a8b6e0a4d62e3",
    ("train_photos", 7): "452df189bfdd80a2",
    ("train_photos", 301): "82e340da67338ffe",
    ("tune_scenes", 0): "580c42f7bc752190",
    ("tune_scenes", 7): "4fc787210c857364",
    ("tune_scenes", 301): "5a8ae1fd78825b53",
    ("test_scenes", 0): "fdc154c55a11a419",
    ("test_scenes", 7): "d57e8219f57f4ae6",
    ("test_scenes", 301): "0a4ecefe7f154977",
    ("test_photos", 0): "55dbc5d5f2602f31",
    ("test_photos", 7): "310f6b28901e7cd6",
    ("test_photos", 301): "a08f4d44e2a1061e",
    ("unlabelled", 0): "451b144eb0737466",
    ("unlabelled", 7): "4385c91662702101",
    ("unlabelled", 301): "aa7d770b78dc32ea",
}


def digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(("part", "index"), DIGESTS)
def test_a_picture_has_the_bytes_it_always_had(part, index):
    picture = PAINTERS[part](WORLD, part=part, index=index)
    assert digest(picture.pixels) == DIGESTS[part, index]


@given(st.lists(st.tuples(st.sampled_from(sorted(NUMBERS)), st.integers(0, 599)), max_size=4))
@settings(max_examples=15, deadline=None)
def test_a_picture_does_not_depend_on_what_was_drawn_before(order):
    def paint(part, index):
        return PAINTERS[part](WORLD, part=part, index=index)

    there = [paint(*which) for which in order]
    back = [paint(*which) for which in reversed(order)][::-1]
    for one, two in zip(there, back, strict=True):
        np.testing.assert_array_equal(one.pixels, two.pixels)
        assert one.things == two.things


def test_the_parts_and_the_seeds_share_no_picture():
    seen = Counter(
        digest(PAINTERS[part](World(seed=seed), part=part, index=index).pixels)
        for seed in (0, 1)
        for part in NUMBERS
        for index in range(8)
    )
    assert max(seen.values()) == 1
    assert len(set(NUMBERS.values())) == len(NUMBERS)
    assert set(NUMBERS) == set(PARTS) - {"train_labels"}  # the same photos, told by a table


def test_more_pictures_do_not_change_the_first_ones():
    small, large = World(test_scenes=3), World(test_scenes=900, train_scenes=7)
    one, two = (scene(w, part="test_scenes", index=2) for w in (small, large))
    np.testing.assert_array_equal(one.pixels, two.pixels)


@pytest.mark.parametrize("part", NUMBERS)
def test_boxes_lie_inside_the_picture(part):
    for index in range(0, 600, 40):
        picture = PAINTERS[part](WORLD, part=part, index=index)
        side = 72 if part.endswith("photos") else 128
        assert picture.pixels.shape == (side, side, 3)
        for thing in picture.things:
            x0, y0, x1, y1 = thing.box
            assert 0 <= x0 < x1 <= side
            assert 0 <= y0 < y1 <= side


def test_a_photo_shows_the_class_of_its_index_in_full():
    classes = photo_classes(WORLD, "test_photos")
    assert Counter(classes) == dict.fromkeys(class_table(10), 5)
    for index in range(0, 600, 50):
        (thing,) = photo(WORLD, part="test_photos", index=index).things
        assert thing.fine == classes[index]
        assert thing.visible == 1
        x0, y0, x1, y1 = thing.box
        assert max(x1 - x0, y1 - y0) > 0.4 * 72


def test_photos_of_a_long_tail_are_counted_class_by_class():
    world = World(kinds=2, long_tail=1.0, photos_per_class=40)
    counts = Counter(photo_classes(world, "train_photos")).values()
    assert sorted(counts)[:3] == [4, 4, 4]
    assert sorted(counts)[-2:] == [20, 40]


def test_scenes_hold_as_many_objects_as_asked():
    counts = Counter(len(scene(WORLD, part="test_scenes", index=i).things) for i in range(60))
    assert set(counts) <= {1, 2, 3, 4, 5}  # one may find no free place
    assert {2, 3, 4, 5} <= set(counts)


def test_sizes_spread_over_the_range_asked_for():
    sides = [
        max(t.box[2] - t.box[0], t.box[3] - t.box[1])
        for i in range(60)
        for t in scene(WORLD, part="test_scenes", index=i).things
    ]
    assert min(sides) < 32
    assert max(sides) > 60


def test_hidden_objects_leave_the_truth():
    left = kept = 0
    for index in range(12):
        things = scene(CROWD, part="test_scenes", index=index).things
        told = truth(CROWD, part="test_scenes", things=things)
        assert all(t.visible > 0.6 for t in told)
        assert all(t in told for t in things if t.visible > 0.6)
        left, kept = left + len(things) - len(told), kept + len(told)
    assert left > 10
    assert kept > 10


def test_the_visible_share_is_what_later_objects_leave_by_their_boxes():
    """Objects whose boxes no later box meets are seen whole; a covered one is not."""
    part = 0
    for index in range(12):
        things = scene(CROWD, part="test_scenes", index=index).things
        for i, thing in enumerate(things):
            later = [other.box for other in things[i + 1 :]]
            x0, y0, x1, y1 = thing.box
            met = [b for b in later if b[0] < x1 and x0 < b[2] and b[1] < y1 and y0 < b[3]]
            assert 0 <= thing.visible <= 1
            if not met:
                assert thing.visible == 1
            part += thing.visible < 1
    assert part > 20


def test_training_scenes_show_and_tell_boxed_classes_only():
    boxed = set(boxed_classes(WORLD))
    for index in range(30):
        things = scene(WORLD, part="train_scenes", index=index).things
        assert {t.fine for t in things} <= boxed


def test_novel_objects_are_painted_in_training_scenes_and_get_no_box():
    world = World(novel_in_scenes=1.0)
    novel = set(novel_classes(world))
    things = [t for i in range(100) for t in scene(world, part="train_scenes", index=i).things]
    told = truth(world, part="train_scenes", things=things)
    share = sum(t.fine in novel for t in things) / len(things)
    assert abs(share - 50 / 120) < 0.1  # equal rates: as many as they are among the classes
    assert not {t.fine for t in told} & novel
    assert len(told) < len(things)


@pytest.mark.parametrize("part", ["tune_scenes", "test_scenes"])
def test_tune_and_test_scenes_tell_all_classes(part):
    things = [t for i in range(60) for t in scene(WORLD, part=part, index=i).things]
    told = {t.fine for t in truth(WORLD, part=part, things=things)}
    assert told & set(novel_classes(WORLD))
    assert told & set(boxed_classes(WORLD))


def test_unlabelled_scenes_tell_nothing():
    picture = scene(WORLD, part="unlabelled", index=0)
    assert picture.things
    assert truth(WORLD, part="unlabelled", things=picture.things) == ()


def test_named_classes_alone_are_boxed():
    name = "orange striped carp"
    world = World(kinds=2, boxed=(name,), novel_in_scenes=1.0)
    things = [t for i in range(80) for t in scene(world, part="train_scenes", index=i).things]
    assert {t.fine.name for t in truth(world, part="train_scenes", things=things)} == {name}


def test_classes_of_one_outline_look_different():
    """Colors in the middle of the box, over five photos of a class."""
    plain = World(jitter=0.5, light=0.2, photo_clutter=0)
    table = class_table(10)
    looks = {}
    for first in range(0, 120, 4):
        for fine in table[first : first + 4]:
            index = table.index(fine) * 5
            pages = [photo(plain, part="test_photos", index=index + i) for i in range(5)]
            looks[fine] = np.mean([color_histogram(p) for p in pages], axis=0)
        for one, two in pairwise(table[first : first + 4]):
            assert np.abs(looks[one] - looks[two]).sum() > 0.2, (one.name, two.name)


def color_histogram(picture) -> np.ndarray:
    x0, y0, x1, y1 = picture.things[0].box
    w, h = (x1 - x0) // 4, (y1 - y0) // 4
    inner = picture.pixels[y0 + h : y1 - h, x0 + w : x1 - w].reshape(-1, 3) // 64
    cells = inner[:, 0].astype(int) * 16 + inner[:, 1] * 4 + inner[:, 2]
    return np.bincount(cells, minlength=64) / len(cells)
