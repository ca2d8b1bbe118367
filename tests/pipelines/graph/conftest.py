"""A fresh bench for each test."""

from pathlib import Path

import pytest

from tests.pipelines.graph.bodies import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
