"""A snapshot is whole or it is not taken: cut, flipped and blanked at many places."""

import random
import shutil
from pathlib import Path

import pytest

from components.train.snapshot_folders import DIGESTS, KEPT, damage, draft_of, finish, newest

SIZES = {"state.safetensors": 3000, "state.json": 200, "rank00000.safetensors": 500}


def _leave(root: Path, step: int) -> Path:
    draft = draft_of(root, step)
    draft.mkdir(parents=True)
    rng = random.Random(step)
    for name, size in SIZES.items():
        (draft / name).write_bytes(rng.randbytes(size))
    return finish(root, step)


def _refuse(folder: Path, wrong: str) -> None:
    raise AssertionError(f"{folder} is set aside: {wrong}")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("snapshots")
    for step in (10, 20):
        _leave(root, step)
    return root


def test_the_newest_whole_one_is_found(pair: Path, tmp_path: Path) -> None:
    assert newest(tmp_path / "none", aside=_refuse) is None
    found = newest(pair, aside=_refuse)
    assert found is not None
    assert (found.step, found.folder.name) == (20, "step00000020")


def test_old_ones_go_and_drafts_are_no_snapshots(tmp_path: Path) -> None:
    for step in (1, 2, 3, 30):
        _leave(tmp_path, step)
    draft_of(tmp_path, 40).mkdir()
    assert newest(tmp_path, aside=_refuse).step == 30
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step00000003", "step00000030"]
    assert KEPT == 2


def _places() -> list[tuple[str, str, int]]:
    """64 cuts, 64 flips and 16 blanks, spread over all files by their sizes, ends included."""
    rng = random.Random(0)
    sizes = {**SIZES, DIGESTS: 300}
    found: list[tuple[str, str, int]] = []
    for how, count in (("cut", 64), ("flip", 64), ("blank", 16)):
        for i in range(count):
            name = list(sizes)[i % len(sizes)]
            at = 0 if i < len(sizes) else rng.randrange(sizes[name])
            found.append((how, name, at))
    return found


def _hurt(path: Path, how: str, at: int) -> None:
    data = bytearray(path.read_bytes())
    at = min(at, len(data) - 1)
    if how == "cut":
        data = data[:at]
    elif how == "flip":
        data[at] ^= 1 << at % 8
    else:
        data[at : at + 64] = bytes(len(data[at : at + 64]))
    path.write_bytes(data)


@pytest.mark.parametrize(("how", "name", "at"), _places())
def test_every_damage_is_noticed_and_the_one_before_is_taken(
    how: str, name: str, at: int, pair: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(pair, root)
    _hurt(root / "step00000020" / name, how, at)
    aside: list[tuple[str, str]] = []

    def take(folder: Path, wrong: str) -> None:
        aside.append((folder.name, wrong))
        folder.rename(tmp_path / "quarantined")

    found = newest(root, aside=take)
    assert found is not None
    assert found.step == 10
    assert damage(found.folder) is None
    [(folder, wrong)] = aside
    assert folder == "step00000020"
    assert name in wrong or DIGESTS in wrong


def test_a_file_that_is_gone_is_noticed(pair: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(pair, root)
    for name in SIZES:
        (root / "step00000020" / name).unlink()
        assert damage(root / "step00000020") is not None
        shutil.copy(pair / "step00000020" / name, root / "step00000020")
        assert damage(root / "step00000020") is None
