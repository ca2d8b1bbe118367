"""What every test shares: one thread of torch, one Ray, and no network beyond this machine."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.session import Session, open_session
from tests.cluster.moto_server import KEYS, moto_server, new_bucket

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # a neighbour's memory is not our fault


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-golden", action="store_true", help="Write tests/golden anew; look at the diff."
    )


def pytest_collection_finish() -> None:
    """Keep what the tests have imported out of every later look for garbage: a million objects."""
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # else libraries count their objects as leaked


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs Ray last: groups of forked processes come before Ray's threads."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is not None)


@pytest.fixture
def write_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--write-golden"))


class _SharedRay:
    """One Ray for all tests, because it costs seconds to start; opened again where it is gone."""

    def __init__(self) -> None:
        self._open, self._session = ExitStack(), None

    def session(self) -> Session:
        """Return the session that is open."""
        ray = sys.modules.get("ray")  # imported by whoever opens a session: its environment counts
        if self._session is None or ray is None or not ray.is_initialized():
            self.close()
            self._session = self._open.enter_context(open_session("local", cpus=2))
        return self._session

    def close(self) -> None:
        """End it, for a test that opens one of its own in this process."""
        self._session = None
        self._open.close()


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[_SharedRay]:
    shared = _SharedRay()
    yield shared
    shared.close()


@pytest.fixture
def ray_session(shared_ray: _SharedRay) -> Session:
    """Return the Ray that tests share."""
    return shared_ray.session()


@pytest.fixture
def own_ray(shared_ray: _SharedRay) -> None:
    """Make room for a Ray that the test opens in this process."""
    shared_ray.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Give the address of one S3 server for all tests."""
    with moto_server() as url:
        yield url


@pytest.fixture
def s3(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give s3://bucket of a new bucket; what a machine keeps of it is in tmp_path/cache."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VOCABOX_CACHE", str(tmp_path / "cache"))
    return f"s3://{new_bucket(s3_server)}"
