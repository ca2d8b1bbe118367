"""A store on gs://, through the real gcsfs, against a small server of our own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.storage import StoreError, open_store
from cluster.store_files import digest_of
from pipelines.graph.commit import carry_out
from pipelines.graph.record import faults, read_record
from tests.cluster.gcs_server import BUCKET, Handler, gcs_server
from tests.faults.commits import call_of


@pytest.fixture
def gs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with gcs_server() as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        monkeypatch.setenv("FSSPEC_GS_TOKEN", "anon")
        monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "cache"))
        import fsspec.config

        fsspec.config.set_conf_env(fsspec.config.conf)
        yield f"gs://{BUCKET}/p"
        fsspec.config.conf.pop("gs", None)


def test_the_verbs(gs: str) -> None:
    assert not open_store(gs, mode="read").exists("a")
    store = open_store(gs)
    assert store._bucket.condition  # type: ignore[attr-defined]
    assert store.put_new("a/b", b"one")
    assert not store.put_new("a/b", b"two")
    assert (store.read("a/b"), store.size("a/b"), store.list("a")) == (b"one", 3, ["b"])
    assert store.read("a/none") is None
    assert store.list("none") == []
    assert (store.exists("a"), store.exists("a/bb")) == (True, False)
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")


def test_a_folder_goes_up_and_comes_down(
    gs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(gs)
    folder = store.new_folder("nodes/k/1")
    (folder / "below").mkdir()
    (folder / "below" / "file").write_bytes(b"x" * 100_000)
    store.publish("nodes/k/1", folder)
    files = {"below/file": (100_000, digest_of(folder / "below" / "file"))}
    assert store.faults("nodes/k/1", files, check="all") == []
    monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "another"))
    place = open_store(gs, mode="read").folder("nodes/k/1", files)
    assert (place / "below" / "file").read_bytes() == b"x" * 100_000
    aside = store.set_aside("nodes/k/1")
    assert aside is not None
    assert store.list("nodes/k") == []
    assert store.read(f"quarantine/{aside.rpartition('/')[2]}/below/file") == b"x" * 100_000
    store.keep("runs/r-1", tmp_path / "another")
    store.drop("runs/r-1")
    assert [name for name in Handler.objects if "runs/" in name] == []


def test_a_commit_is_whole(gs: str) -> None:
    store = open_store(gs)
    call = call_of(store)
    carry_out(call, store)
    record = read_record(store, call.key)
    assert record is not None
    assert faults(store, record, check="all") == []


def test_B103_a_bucket_that_is_not_there(gs: str) -> None:
    for mode in ("read", "write"):
        with pytest.raises(StoreError, match=r"--store: gs://none/p cannot be used; got '"):
            open_store(gs.replace(BUCKET, "none"), mode=mode)  # type: ignore[arg-type]
