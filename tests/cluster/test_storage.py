"""The six verbs, and opening a store."""

import errno
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from cluster import storage
from cluster.storage import LocalStore, StorageError, StoreError, open_store


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return open_store(str(tmp_path / "store"))


def test_the_six_verbs(store: LocalStore, tmp_path: Path) -> None:
    assert store.read("a/b") is None
    assert store.size("a/b") is None
    assert not store.exists("a/b")
    assert store.list("a") == []
    assert store.put_new("a/b", b"one")
    assert not store.put_new("a/b", b"two")
    assert (store.read("a/b"), store.size("a/b"), store.list("a")) == (b"one", 3, ["b"])
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    assert store.put_new("a/c", tmp_path / "file", sync="fast")
    assert store.size("a/c") == 3_000_000
    store.delete("a/b")
    store.delete("a/b")
    assert store.list("a") == ["c"]
    assert store.read("a/c/below") is None
    assert store.list("a/c") == []


def test_a_name_cannot_leave_the_store(store: LocalStore) -> None:
    for name in ("../x", "/x", "a//b", "a/../b", "", "."):
        with pytest.raises(StoreError, match="store name: must stay in the store; got"):
            store.put_new(name, b"")


def test_one_of_many_writers_wins_and_readers_see_all_or_nothing(store: LocalStore) -> None:
    gate = threading.Barrier(8)
    won: list[int] = []
    seen: set[bytes | None] = set()

    def write(i: int) -> None:
        gate.wait()
        if store.put_new("a/one", bytes([i]) * 100_000):
            won.append(i)
        seen.add(store.read("a/one"))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert seen == {bytes([won[0]]) * 100_000}
    assert os.listdir(store.root / "a") == ["one"]


@pytest.mark.parametrize("fault", ["write", "fsync", "link", "open"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_full_or_broken_disk_leaves_the_name_absent(
    store: LocalStore, fault: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write

    def broken(*args: Any, **more: Any) -> int:
        if fault == "write":
            real_write(args[0], b"half")
        raise OSError(number, os.strerror(number))

    if fault == "open":
        monkeypatch.setattr(Path, "open", broken)
    else:
        monkeypatch.setattr(os, fault, broken)
        if fault == "link":  # the way without links writes too
            monkeypatch.setattr(storage, "_create", broken)
    with pytest.raises(
        StorageError, match=r"store: .*/a/b cannot be read or written; got"
    ) as caught:
        store.put_new("a/b", b"whole")
    monkeypatch.undo()
    assert caught.value.errno == number
    assert store.read("a/b") is None
    assert os.listdir(store.root / "a") == []
    assert store.put_new("a/b", b"whole")


@pytest.mark.parametrize(
    ("number", "raised"),
    [(errno.ENOSPC, StorageError), (errno.EDQUOT, StorageError), (errno.EIO, StorageError),
     (errno.EROFS, StoreError), (errno.EACCES, StoreError)],
)  # fmt: skip
def test_a_store_without_room_is_a_fault_of_storage_from_the_start(
    store: LocalStore, number: int, raised: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(raised, match=os.strerror(number)):
        open_store(str(store.root))
    open_store(str(store.root), mode="read")


def test_a_file_system_without_links_still_makes_whole_names(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert store.put_new("a/b", b"one")
    assert not store.put_new("a/b", b"two")
    assert store.read("a/b") == b"one"


def test_a_link_that_says_it_failed_and_did_not_counts(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def lies(*args: Any, **more: Any) -> None:
        real(*args, **more)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", lies)
    assert store.put_new("a/b", b"one")


def test_setting_aside_keeps_what_was_there(store: LocalStore) -> None:
    store.put_new("a/b", b"bad")
    place = store.set_aside("a/b")
    assert place is not None
    assert place.read_bytes() == b"bad"
    assert place.parent == store.root / "quarantine"
    assert store.read("a/b") is None
    assert store.set_aside("a/b") is None


def test_a_folder_is_new(store: LocalStore) -> None:
    assert store.new_folder("a/b/c").is_dir()
    with pytest.raises(StorageError):
        store.new_folder("a/b/c")


def test_opening_twice_is_the_same_store(tmp_path: Path) -> None:
    first = open_store(str(tmp_path / "s"))
    first.put_new("a", b"x")
    assert open_store(str(tmp_path / "s")).read("a") == b"x"
    assert open_store(f"file://{tmp_path}/s").read("a") == b"x"
    assert (tmp_path / "s" / "format").read_text() == '{"version": 1}'


def test_reading_makes_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "s"), mode="read")
    assert store.read("a") is None
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "s3://bucket/x",
            r"--store: stores on s3:// are not there yet; got 's3://bucket/x'\. Name a",
        ),
        ("ftp://x/y", r"--store: no store has the scheme 'ftp'; got 'ftp://x/y'\. Name a folder"),
        ("", r"--store: a folder is needed; got ''\. Name one\."),
        ("{tmp}/file", r"--store: must be a folder; got a file, .*/file\. Name another place\."),
        ("{tmp}/file/below", r"--store: .*/file/below cannot be written; got 'Not a directory'"),
        ("{tmp}/full", r"--store: .*/full holds other files and no store"),
        ("{tmp}/newer", r"--store: .*/newer has format 2; this vocabox writes 1"),
        ("{tmp}/odd", r"--store: .*/odd/format is not the record of a store; got b'hello'"),
    ],
)
def test_what_is_no_store_is_refused(tmp_path: Path, where: str, message: str) -> None:
    (tmp_path / "file").write_text("x")
    for name, text in (("full", None), ("newer", '{"version": 2}'), ("odd", "hello")):
        (tmp_path / name).mkdir()
        (tmp_path / name / ("format" if text else "photo.jpg")).write_text(text or "x")
    with pytest.raises(StoreError, match=message):
        open_store(where.format(tmp=tmp_path))


def test_a_place_that_cannot_be_written_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(str(tmp_path / "s"))

    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", read_only)  # tests may run as root: chmod is no help
    with pytest.raises(StoreError, match=r"/s cannot be written; got 'Read-only file system'"):
        open_store(str(tmp_path / "s"))


def test_errors_cross_processes() -> None:
    for error in (StoreError("x"), StorageError(28, "y"), storage.DamagedError("z")):
        again = pickle.loads(pickle.dumps(error))  # noqa: TID251
        assert (type(again), str(again)) == (type(error), str(error))


def test_a_store_whose_making_was_killed_is_made(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / ".0123456789abcdef0123456789abcdef.tmp").write_bytes(b"{")
    assert open_store(str(tmp_path / "s")).read("format")
