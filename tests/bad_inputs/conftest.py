"""What the tests of one door share."""

from pathlib import Path

import pytest

from tests.bad_inputs.doors import Doors


@pytest.fixture
def doors(tmp_path: Path, write_golden: bool) -> Doors:
    return Doors(tmp_path, write=write_golden)
