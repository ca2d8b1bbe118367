"""The verbs of a store in a folder, and opening a store."""

import errno
import os
import pickle
import threading
from pathlib import Path

import pytest

from cluster.disk import Disk
from cluster.local_store import LocalStore
from cluster.storage import DamagedError, StorageError, StoreError, open_store
from tests.faults.disks import FaultDisk


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    open_store(str(tmp_path / "store"))
    return LocalStore(tmp_path / "store")


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


@pytest.mark.parametrize("kind", ["ENOSPC", "EIO", "EROFS"])
@pytest.mark.parametrize("operation", ["mkdir", "write_new", "fsync"])
def test_a_full_or_broken_disk_leaves_the_name_absent(
    store: LocalStore, operation: str, kind: str
) -> None:
    plain = FaultDisk()
    LocalStore(store.root, disk=plain).put_new("b/b", b"whole")
    at = [name for name, _ in plain.log].index(operation) + 1
    broken = LocalStore(store.root, disk=FaultDisk(at=at, kind=kind))
    with pytest.raises(
        StorageError, match=r"store: .*/a/b cannot be read or written; got"
    ) as caught:
        broken.put_new("a/b", b"whole")
    assert caught.value.errno == getattr(errno, kind)
    assert ("bytes free" in str(caught.value)) == (kind == "ENOSPC")
    assert store.read("a/b") is None
    assert not (store.root / "a").exists() or os.listdir(store.root / "a") == []
    assert store.put_new("a/b", b"whole")


@pytest.mark.parametrize(
    ("number", "raised"),
    [(errno.ENOSPC, StorageError), (errno.EDQUOT, StorageError), (errno.EIO, StorageError),
     (errno.EROFS, StoreError), (errno.EACCES, StoreError)],
)  # fmt: skip
def test_a_store_without_room_is_a_fault_of_storage_from_the_start(
    store: LocalStore, number: int, raised: type
) -> None:
    class Full(Disk):
        def write_new(self, path: Path, data: bytes | Path) -> None:
            raise OSError(number, os.strerror(number))

    with pytest.raises(raised, match=os.strerror(number)):
        open_store(str(store.root), disk=Full())
    open_store(str(store.root), mode="read")


def test_a_second_write_flushes_what_a_first_left_open(store: LocalStore) -> None:
    disk = FaultDisk()
    quick = LocalStore(store.root, disk=disk)
    quick.put_new("a/b/one", b"1", sync="fast")
    assert "fsync" not in [name for name, _ in disk.log]
    disk.log.clear()
    quick.put_new("a/b/two", b"2")
    flushed = [path.removeprefix(str(store.root)) for name, path in disk.log if name == "fsync"]
    assert {"", "/a", "/a/b"} <= set(flushed)


def test_a_file_system_without_links_still_makes_whole_names(store: LocalStore) -> None:
    plain = LocalStore(store.root, disk=NoLinks())
    assert plain.put_new("a/b", b"one")
    assert not plain.put_new("a/b", b"two")
    assert plain.read("a/b") == b"one"
    assert os.listdir(store.root / "a") == ["b"]


def test_a_link_that_says_it_failed_and_did_not_counts(store: LocalStore) -> None:
    assert LocalStore(store.root, disk=Stale()).put_new("a/b", b"one")
    assert store.read("a/b") == b"one"


def test_setting_aside_keeps_what_was_there(store: LocalStore) -> None:
    store.put_new("a/b", b"bad")
    place = store.set_aside("a/b")
    assert place is not None
    assert Path(place).read_bytes() == b"bad"
    assert Path(place).parent == store.root / "quarantine"
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
            "gcs://bucket/x",
            r"--store: no store has the scheme 'gcs' \(of Google's buckets it is gs\)",
        ),
        ("s3:///x", r"--store: a bucket is needed; got 's3:///x'\. Name s3://bucket/prefix\."),
        ("s3://me:word@b/x", r"--store: must hold no password; got 's3://\*\*\*@b/x'\."),
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


def test_a_place_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    open_store(str(tmp_path / "s"))
    with pytest.raises(StoreError, match=r"/s cannot be written; got 'Read-only file system'"):
        open_store(str(tmp_path / "s"), disk=FaultDisk(at=1, kind="EROFS"))


def test_a_worker_joins_only_what_it_sees(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"must be seen by every machine that works; got .*/s, wh"):
        open_store(str(tmp_path / "s"), mode="join")
    assert not (tmp_path / "s").exists()
    open_store(str(tmp_path / "s"))
    disk = FaultDisk(at=1, kind="EROFS")
    open_store(str(tmp_path / "s"), mode="join", disk=disk)  # the driver has tried already
    assert disk.log == []


class Stale(Disk):
    """A disk as NFS is: a link that was made may be told to have failed."""

    def link(self, path: Path, name: Path) -> None:
        super().link(path, name)
        raise OSError(errno.EIO, "Input/output error")


class NoLinks(Disk):
    """A file system that has no links."""

    def link(self, path: Path, name: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")


def test_errors_cross_processes() -> None:
    for error in (StoreError("x"), StorageError(28, "y"), DamagedError("z")):
        again = pickle.loads(pickle.dumps(error))  # noqa: TID251
        assert (type(again), str(again)) == (type(error), str(error))


def test_a_store_whose_making_was_killed_is_made(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / ".0123456789abcdef0123456789abcdef.tmp").write_bytes(b"{")
    assert open_store(str(tmp_path / "s")).read("format")
