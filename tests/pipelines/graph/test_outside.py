"""The identity of a user's files."""

import os
import time
from pathlib import Path

import pytest

from cluster.storage import LocalStore, open_store
from pipelines.graph import outside
from pipelines.graph.outside import OutsideError, look


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return open_store(str(tmp_path / "store"))


def _folder(root: Path, *, old: float = 60.0) -> Path:
    (root / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "deep" / "b.txt").write_text("b")
    then = time.time() - old
    for path in root.rglob("*"):
        os.utime(path, (then, then))
    return root


def _digest(path: Path, store: LocalStore) -> str:
    return look(path, where="x", store=store).digest


def test_names_and_bytes_count_and_places_do_not(tmp_path: Path, store: LocalStore) -> None:
    one, two = _folder(tmp_path / "one"), _folder(tmp_path / "two")
    assert _digest(one, store) == _digest(two, store)
    (two / "a.txt").write_text("c")
    assert _digest(one, store) != _digest(two, store)
    (two / "a.txt").write_text("a")
    (two / "a.txt").rename(two / "c.txt")
    assert _digest(one, store) != _digest(two, store)


def test_a_lone_file_is_its_bytes(tmp_path: Path, store: LocalStore) -> None:
    (tmp_path / "a").write_text("same")
    (tmp_path / "b").write_text("same")
    assert _digest(tmp_path / "a", store) == _digest(tmp_path / "b", store)


def test_a_second_look_reads_nothing(
    tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = outside.digest_of

    def count(path: Path) -> str:
        read.append(path)
        return real(path)

    monkeypatch.setattr(outside, "digest_of", count)
    folder = _folder(tmp_path / "one")
    first = _digest(folder, store)
    assert len(read) == 2
    assert _digest(folder, store) == first
    assert len(read) == 2
    (folder / "a.txt").write_text("c")
    os.utime(folder / "a.txt", (time.time() - 9, time.time() - 9))
    assert _digest(folder, store) != first
    assert len(read) == 3  # the changed one alone
    look(folder, where="x", store=store, memory="ignore")
    assert len(read) == 5


def test_a_torn_memory_is_no_memory(tmp_path: Path, store: LocalStore) -> None:
    folder = _folder(tmp_path / "one")
    first = _digest(folder, store)
    for path in (store.root / "sources").rglob("*.json"):
        path.write_bytes(path.read_bytes()[:-9])
    assert _digest(folder, store) == first


def test_looking_writes_no_store(tmp_path: Path) -> None:
    empty = open_store(str(tmp_path / "none"), mode="read")
    _digest(_folder(tmp_path / "one"), empty)
    assert not (tmp_path / "none").exists()


def test_links_are_followed_and_circles_end(tmp_path: Path, store: LocalStore) -> None:
    one, two = _folder(tmp_path / "one"), _folder(tmp_path / "two")
    (two / "deep" / "b.txt").unlink()
    (two / "deep").rmdir()
    (two / "deep").symlink_to(one / "deep")
    assert _digest(one, store) == _digest(two, store)
    (one / "deep" / "up").symlink_to(one)
    assert _digest(one, store)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path, store: LocalStore) -> None:
    folder = _folder(tmp_path / "one")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "lost.jpg").symlink_to("gone.jpg")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    first = _digest(folder, store)
    assert _digest(folder, store) == first
    (folder / "gone.jpg").write_text("here")
    assert _digest(folder, store) != first


def test_a_name_that_is_not_unicode_is_remembered(
    tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path / "one")
    (folder / "a.txt").rename(folder / os.fsdecode(b"caf\xe9.txt"))
    first = _digest(folder, store)
    monkeypatch.setattr(outside, "digest_of", lambda path: pytest.fail(f"{path} is read again"))
    assert _digest(folder, store) == first


def test_what_is_not_there_is_named(tmp_path: Path, store: LocalStore) -> None:
    with pytest.raises(OutsideError, match=r"^pack\.boxes: no such file or folder; got .*/lost"):
        look(tmp_path / "lost", where="pack.boxes", store=store)
