"""B100 and B103: a store of a newer vocabox, a bucket that is not there or not ours to use."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster import bucket
from cluster.storage import open_store
from tests.cluster.moto_server import KEYS, Wire
from tests.pipelines.cli.small import call, page, work
from tests.pipelines.settings.golden import same

Refused = Callable[..., None]
FORBIDDEN = (
    "The AWS Access Key Id AKIATESTTESTTESTTEST you provided (secret canary-secret-of-a-test) "
    "does not exist in our records."
)


@pytest.fixture
def refused(
    s3: str, tmp_path: Path, write_golden: bool, monkeypatch: pytest.MonkeyPatch
) -> Refused:
    """Return a check: with these stores commands end with 2 and these words."""
    monkeypatch.chdir(tmp_path)
    page(tmp_path)

    def check(*stores: str, golden: str, commands: tuple[str, ...] = ("run", "show")) -> None:
        said: list[str] = []
        for store in stores:
            for command in commands:
                with work():
                    result = call(command, "page.yaml", "--store", store)
                assert result.exit_code == 2, f"{store}: {result.output}"
                assert result.stdout == ""
                said.append(f"$ vocabox {command} page.yaml --store {store}\n{result.stderr}")
        text = "".join(said).replace(s3.removeprefix("s3://"), "BUCKET")
        for secret in KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"]:
            assert secret not in text
        same(text, as_file=f"errors/{golden}.txt", folder=tmp_path, write=write_golden)

    return check


@pytest.fixture
def wire(s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire = Wire(s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
    yield wire
    wire.close()


def test_B100_a_store_of_a_newer_version(refused: Refused, s3: str, tmp_path: Path) -> None:
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "format").write_text(json.dumps({"version": 7}))
    open_store(f"{s3}/newer").delete("format")
    open_bucket = bucket.Bucket("s3", f"{s3.removeprefix('s3://')}/newer")
    open_bucket.put("format", json.dumps({"version": 7}).encode())
    before = sorted(tmp_path.rglob("*"))
    refused("newer", f"{s3}/newer", golden="B100_a_store_of_a_newer_version")
    assert sorted(tmp_path.rglob("*")) == before
    assert open_bucket.names("") == ["format"]


def test_B103_a_bucket_that_is_not_there(refused: Refused, s3: str) -> None:
    refused(f"{s3}-not/x", golden="B103_a_bucket_that_is_not_there")


def test_B103_a_prefix_of_something_else(refused: Refused, s3: str) -> None:
    bucket.Bucket("s3", s3.removeprefix("s3://")).put("photos/cat.jpg", b"x")
    refused(s3, f"{s3}/photos", golden="B103_a_prefix_of_something_else")


def test_B103_no_credentials(
    refused: Refused, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    refused(f"{s3}/x", golden="B103_no_credentials")


def test_B103_credentials_that_are_refused_are_masked(
    refused: Refused, s3: str, wire: Wire
) -> None:
    wire.refused = FORBIDDEN
    refused(f"{s3}/x", golden="B103_credentials_that_are_refused")


def test_B103_a_bucket_that_may_be_read_and_not_written(
    s3: str, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_golden: bool
) -> None:
    from tests.pipelines.runs import tiny

    open_store(f"{s3}/x")
    wire.rule = lambda number, line: "403" if line.startswith("PUT") else ""
    result = call("run", str(tiny.page(tmp_path)), "--store", f"{s3}/x", "--executor", "inline")
    assert result.exit_code == 2, result.output
    text = result.stderr.replace(s3.removeprefix("s3://"), "BUCKET")
    golden = "errors/B103_a_bucket_that_may_not_be_written.txt"
    same(text, as_file=golden, folder=tmp_path, write=write_golden)


def test_B103_a_service_that_does_not_answer(
    refused: Refused, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # discard: nobody is there
    refused(f"{s3}/x", golden="B103_a_service_that_does_not_answer", commands=("show",))


def test_B103_the_package_is_not_installed(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> object:
        return None if name in ("s3fs", "gcsfs") else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    bucket._made.clear()
    refused("s3://bucket/x", "gs://bucket/x", golden="B103_the_package_is_not_installed")
