"""`vocabox data show`: the sheet follows the overrides, and what it refuses."""

from pathlib import Path

import pytest

from tests.pipelines.cli.small import call
from tests.pipelines.runs.tiny import page


def _sheet(folder: Path, name: str, *settings: str) -> bytes:
    out = folder / name
    result = call("data", "show", str(page(folder)), *settings, "--count", "2", "--out", str(out))
    assert result.exit_code == 0, result.output
    return out.read_bytes()


def test_a_setting_on_the_line_changes_what_is_shown(tmp_path: Path) -> None:
    first = _sheet(tmp_path, "first.png")
    assert _sheet(tmp_path, "again.png", "draw.seed=3") == first  # as on the page
    assert _sheet(tmp_path, "other.png", "draw.seed=4") != first


def test_a_wrong_setting_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = call("data", "show", str(page(tmp_path)), "draw.sead=4", "--out", str(out))
    assert result.exit_code == 2
    assert "Did you mean 'seed'?" in result.stderr
    assert not out.exists()


def test_packed_shards_take_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shards").mkdir()
    Path("shards/record.json").write_text("{}")
    result = call("data", "show", "shards", "draw.seed=4")
    assert result.exit_code == 2
    assert "KEY=VALUE: packed shards have no settings to change; got draw.seed=4." in result.stderr
