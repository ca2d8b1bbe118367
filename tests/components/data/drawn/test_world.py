import copy
import subprocess
import sys
from pathlib import Path

import pytest

from components.data.drawn.kinds import class_table
from components.data.drawn.world import (
    PARTS,
    World,
    WorldError,
    boxed_classes,
    novel_classes,
    photos_of_classes,
)

ROOT = Path(__file__).parents[4]


def test_settings_need_neither_torch_nor_pillow():
    code = (
        "import sys, components.data.drawn.world; "
        "print(sorted({'torch', 'PIL', 'simplejpeg', 'ray'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_kind_has_its_share_of_boxed_classes(seed):
    world = World(seed=seed)
    boxed, novel = boxed_classes(world), novel_classes(world)
    assert len(boxed) == 70
    assert len(novel) == 50
    assert not set(boxed) & set(novel)
    for kind in {fine.kind for fine in boxed}:
        assert sum(fine.kind == kind for fine in boxed) == 7


def test_another_seed_boxes_other_classes():
    assert boxed_classes(World(seed=0)) != boxed_classes(World(seed=1))


def test_boxed_classes_by_name_replace_the_drawn_split():
    names = ("blue spotted shark", "orange striped carp")
    world = World(kinds=2, boxed=names)
    assert [fine.name for fine in boxed_classes(world)] == ["orange striped carp", names[0]]
    assert len(novel_classes(world)) == 22


def test_all_classes_boxed_leaves_none_novel():
    assert novel_classes(World(seen_per_kind=12)) == ()


def test_a_flat_world_has_as_many_photos_of_each_class():
    assert set(photos_of_classes(World(photos_per_class=9))) == {9}


def test_a_long_tail_follows_zipf_and_keeps_four():
    counts = sorted(photos_of_classes(World(long_tail=1.0, photos_per_class=60)), reverse=True)
    assert counts == [max(4, round(60 / rank)) for rank in range(1, 121)]
    assert min(photos_of_classes(World(long_tail=1.0, photos_per_class=2))) == 2


def test_the_head_of_the_tail_is_drawn_by_the_seed():
    heads = {photos_of_classes(World(long_tail=1.0, seed=s)).index(60) for s in range(6)}
    assert len(heads) > 3


def test_every_contradiction_is_named_at_once():
    with pytest.raises(WorldError) as caught:
        World(kinds=2, boxed=("red van", "red van"), objects=(5, 2), photo_object=(0.1, 0.5))
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["objects", "photo_object", "boxed", "boxed"]
    assert "'red van'" in lines[2]
    assert "fish, bottle" in lines[2]
    assert str(copy.copy(caught.value)) == str(caught.value)


def test_parts_are_read_by_known_readers_from_places_of_their_own():
    roles = {"coco": {"annotations", "images"}, "folders": {"images"}, "csv": {"table", "images"}}
    for part in PARTS.values():
        assert set(part.files) == roles[part.kind]
        assert not any(Path(place).is_absolute() for place in part.files.values())
    annotations = [part.files.get("annotations") for part in PARTS.values() if part.kind == "coco"]
    assert len(set(annotations)) == len(annotations)


def test_the_class_table_does_not_depend_on_the_seed():
    assert class_table(World(seed=5).kinds) == class_table(10)
