"""A store in a bucket: the same verbs, whole things only, faults of the service asked again."""

import json
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.bucket_door import open_bucket
from cluster.failures import failure_of
from cluster.object_store import ObjectStore
from cluster.patience import Patience
from cluster.storage import DamagedError, StorageError, StoreError, open_store
from cluster.store_files import digest_of
from tests.cluster.moto_server import Wire
from tests.faults.bucket_commits import points

QUICK = Patience(first_s=0.01, deadline_s=5.0)


@pytest.fixture
def store(s3: str) -> ObjectStore:
    return open_bucket(f"{s3}/a/prefix", mode="write", patience=QUICK)


@pytest.fixture
def wire(s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire = Wire(s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
    yield wire
    wire.close()


def _filled(store: ObjectStore, name: str = "nodes/k/1") -> tuple[Path, dict[str, tuple[int, str]]]:
    folder = store.new_folder(name)
    (folder / "below").mkdir()
    (folder / "below" / "small.json").write_text("7")
    (folder / "large.bin").write_bytes(bytes(range(256)) * 12_000)
    store.publish(name, folder)
    names = ("below/small.json", "large.bin")
    return folder, {n: ((folder / n).stat().st_size, digest_of(folder / n)) for n in names}


def test_the_verbs(store: ObjectStore, tmp_path: Path) -> None:
    assert store.read("a/b") is None
    assert store.size("a/b") is None
    assert not store.exists("a")
    assert store.list("a") == []
    assert store.put_new("a/b", b"one")
    assert not store.put_new("a/b", b"two")
    assert (store.read("a/b"), store.size("a/b"), store.list("a")) == (b"one", 3, ["b"])
    assert store.exists("a")
    assert not store.exists("a/bb")
    (tmp_path / "file").write_bytes(b"x" * 300_000)
    assert store.put_new("a/c/d", tmp_path / "file")
    assert store.size("a/c/d") == 300_000
    assert store.list("a") == ["b", "c"]
    store.delete("a/b")
    store.delete("a/b")
    assert store.list("a") == ["c"]
    with pytest.raises(StoreError, match="must stay in the store"):
        store.read("../x")


def test_one_of_many_writers_wins(store: ObjectStore) -> None:
    gate = threading.Barrier(8)
    won: list[int] = []

    def write(i: int) -> None:
        gate.wait()
        if store.put_new("a/one", bytes([i]) * 1000):
            won.append(i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read("a/one") == bytes([won[0]]) * 1000


def test_a_folder_is_brought_whole_and_checked(
    store: ObjectStore, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, files = _filled(store)
    assert store.faults("nodes/k/1", files, check="all") == []
    monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "another machine"))
    other = open_bucket(f"{s3}/a/prefix", mode="read", patience=QUICK)
    assert other.home != store.home
    place = other.folder("nodes/k/1", {"large.bin": files["large.bin"]})
    assert [p.name for p in place.rglob("*")] == ["large.bin"]
    assert other.folder("nodes/k/1", files) == place
    for name in files:
        assert (place / name).read_bytes() == (folder / name).read_bytes()
    assert list((other.home / ".brought").iterdir()) == []


def test_a_spoilt_file_of_the_cache_is_brought_again(store: ObjectStore) -> None:
    folder, files = _filled(store)
    (folder / "large.bin").write_bytes(b"a part")
    (folder / "below" / "small.json").write_text("8")
    store.folder("nodes/k/1", files)
    assert {n: digest_of(folder / n) for n in files} == {n: files[n][1] for n in files}


def test_a_spoilt_file_of_the_bucket_is_said_and_never_used(store: ObjectStore, s3: str) -> None:
    folder, files = _filled(store)
    store._bucket.put("nodes/k/1/below/small.json", b"8")
    store._bucket.put("nodes/k/1/large.bin", b"cut")
    for name in files:
        (folder / name).unlink()
    assert store.faults("nodes/k/1", files, check="sizes") == [
        "large.bin has 3 bytes, its record says 3072000"
    ]
    assert len(store.faults("nodes/k/1", files, check="all")) == 2
    with pytest.raises(
        DamagedError, match=r"below/small.json has other bytes .*large.bin has 3 by"
    ):
        store.folder("nodes/k/1", files)
    assert not (folder / "large.bin").exists()
    store.delete("nodes/k/1/large.bin")
    with pytest.raises(DamagedError, match=r"large\.bin is missing"):
        store.folder("nodes/k/1", files)
    aside = store.set_aside("nodes/k/1")
    assert aside is not None
    assert aside.startswith(f"{s3}/a/prefix/quarantine/nodes.k.1.")
    assert not store.exists("nodes/k/1")
    assert store.read(f"quarantine/{aside.rpartition('/')[2]}/below/small.json") == b"8"


def test_what_is_dropped_is_gone_everywhere(store: ObjectStore) -> None:
    folder, _ = _filled(store)
    store.put_new("nodes/k/12/x", b"")
    store.drop("nodes/k/1")
    assert not folder.exists()
    assert store.list("nodes/k") == ["12"]


def test_a_kept_folder_comes_back_as_it_was_kept_last(store: ObjectStore, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "m").write_text("one")
    (folder / "events").write_text("1")
    (folder / ".draft").write_text("no")
    assert store.fetch("runs/joint-1") is None
    store.keep("runs/joint-1", folder)
    (folder / "events").write_text("12")
    store.keep("runs/joint-1", folder)
    place = store.fetch("runs/joint-1", only=frozenset({"events"}))
    assert place == store.home / "runs/joint-1"
    assert [(p.name, p.read_text()) for p in place.rglob("*")] == [("events", "12")]
    store.fetch("runs/joint-1", only=frozenset({"model/"}))
    assert (place / "model" / "m").read_text() == "one"
    store._bucket.put("runs/joint-1/events", b"spoilt")
    (place / "events").unlink()
    store.fetch("runs/joint-1")
    assert not (place / "events").exists()


def test_the_store_crosses_processes_by_its_uri(store: ObjectStore, s3: str) -> None:
    uri = pickle.loads(pickle.dumps(store.uri))  # noqa: TID251
    assert uri == f"{s3}/a/prefix"
    store.put_new("a", b"1")
    assert open_store(uri, mode="join").read("a") == b"1"


def test_a_new_store_of_an_old_name_has_a_home_of_its_own(s3: str) -> None:
    first = open_store(f"{s3}/p")
    assert open_store(f"{s3}/p/").home == first.home
    first.delete("format")
    assert open_store(f"{s3}/p").home != first.home


@pytest.mark.parametrize("kind", ["request", "answer", "short", "503"])
def test_a_fault_at_a_request_of_a_commit_is_asked_again(wire: Wire, s3: str, kind: str) -> None:
    found = points(wire, s3, kind=kind, step=4)  # all of them: python -m tests.faults store
    assert found.operations >= 3
    assert found.wrong == []


@pytest.mark.parametrize("kind", ["request", "answer", "503"])
def test_what_was_heard_although_the_answer_was_lost_is_ours(
    wire: Wire, store: ObjectStore, kind: str
) -> None:
    wire.rule = lambda number, line: kind if "PUT" in line and len(wire.done) < 2 else ""
    assert store.put_new("a/b", b"ours " * 1000)
    assert len(wire.done) == 2
    wire.done = []
    assert not store.put_new("a/b", b"other")
    assert store.read("a/b") == b"ours " * 1000


def test_a_large_write_that_is_cut_leaves_nothing(wire: Wire, store: ObjectStore) -> None:
    folder = store.new_folder("nodes/k/1")
    (folder / "large.bin").write_bytes(b"x" * 3_000_000)
    wire.rule = lambda number, line: "request" if "PUT" in line else ""
    with pytest.raises(StorageError, match=r"large\.bin cannot be read or written \(5 tries\)"):
        store.publish("nodes/k/1", folder)
    wire.rule = lambda number, line: ""
    assert store.list("nodes/k") == []
    store.publish("nodes/k/1", folder)
    assert store.size("nodes/k/1/large.bin") == 3_000_000


def test_a_service_that_stays_away_is_a_fault_of_storage(wire: Wire, store: ObjectStore) -> None:
    wire.rule = lambda number, line: "503"
    with pytest.raises(StorageError, match=r"/a/b cannot be read or written \(5 tries\); got") as e:
        store.put_new("a/b", b"x")
    assert len(wire.done) == 5
    assert failure_of(e.value, where="n").kind == "storage"


def test_a_service_that_hangs_is_left_at_the_deadline(wire: Wire, s3: str) -> None:
    patience = Patience(deadline_s=0.5, first_s=0.01, tries=2)
    store = open_bucket(f"{s3}/p", mode="write", patience=QUICK)
    store._bucket.patience = patience
    wire.rule = lambda number, line: "hang"
    started = time.monotonic()
    with pytest.raises(StorageError, match=r"\(2 tries\)"):
        store.read("a")
    assert time.monotonic() - started < 30  # 1 s on an idle machine


@pytest.mark.parametrize("kind", ["501", "plain"])
def test_without_conditional_writes_names_are_read_back(wire: Wire, s3: str, kind: str) -> None:
    wire.rule = lambda number, line: kind if "PUT" in line and kind == "plain" else ""
    if kind == "501":  # refused, unless it is asked without a condition
        wire.refuse_conditions = True
    store = open_bucket(f"{s3}/p", mode="write", patience=QUICK)
    assert json.loads(store.read("format") or b"")["create"] == "look"
    again = open_bucket(f"{s3}/p", mode="write", patience=QUICK)
    assert not again._bucket.condition
    assert again.put_new("a", b"one")
    assert not again.put_new("a", b"two")
    assert again.read("a") == b"one"


def test_a_name_that_somebody_else_wrote_meanwhile_is_not_ours(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._bucket.condition = False
    monkeypatch.setattr(time, "sleep", lambda seconds: store._bucket.put("a", b"theirs"))
    assert not store.put_new("a", b"ours")
    assert store.read("a") == b"theirs"


def test_pauses_grow_and_end_on_a_virtual_clock() -> None:
    slept: list[float] = []
    patience = Patience(sleep=slept.append, draw=lambda low, high: (low + high) / 2)

    def fails(number: int) -> None:
        raise ConnectionError("away")

    with pytest.raises(StorageError, match=r"store: s3://b/x cannot .* \(5 tries\); got 'away'"):
        patience.insist(fails, what="s3://b/x")
    assert slept == [0.2, 0.4, 0.8, 1.6]
    assert patience.seconds(100 << 20) == pytest.approx(430)
    with pytest.raises(PermissionError):
        patience.insist(lambda number: (_ for _ in ()).throw(PermissionError("no")), what="x")
    assert len(slept) == 4
