"""One run with the names of an attacker, for every test that looks at what it leaves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.runs.hostile import hostile_run


@dataclass(frozen=True)
class Hostile:
    ended: Any
    events: list[Mapping[str, Any]]
    store: Path

    @property
    def run(self) -> Path:
        return self.store / "runs" / self.ended.run


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    ended, events, store = hostile_run(tmp_path_factory.mktemp("hostile"))
    assert ended.status == "done", ended.reason
    return Hostile(ended, events, store)
