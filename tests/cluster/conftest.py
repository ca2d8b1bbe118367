"""One Ray for all tests of this room: it costs seconds to start."""

from collections.abc import Iterator

import pytest

from cluster.session import Session, open_session


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs Ray last: groups of forked processes come before Ray's threads."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is not None)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[Session]:
    with open_session("local", cpus=2) as session:
        yield session
