"""What every test shares: one thread of torch, one Ray, and no network beyond this machine."""

import gc
import os
from collections.abc import Iterator

import pytest

from cluster.session import Session, open_session

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


@pytest.fixture(scope="session")
def ray_session() -> Iterator[Session]:
    """Return one Ray for all tests: it costs seconds to start."""
    with open_session("local", cpus=2) as session:
        yield session
