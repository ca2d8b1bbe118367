"""`vocabox store`: the words, the codes, and what is on the disk afterwards."""

import json
from pathlib import Path

import pytest

from pipelines.graph.record import home
from tests.pipelines.cli.small import call
from tests.pipelines.runs.kept import Kept, neutral, pair, wait_for_a_tick
from tests.pipelines.settings.golden import same


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    made = Kept(tmp_path)
    for number in (1, 2):
        made.run(f"toy-{number}", pair(number))
        wait_for_a_tick()
    return made


def _said(kept: Kept, *words: str, code: int = 0) -> str:
    result = call("store", *words, "--store", kept.where)
    assert result.exit_code == code, result.output
    head = f"$ vocabox store {' '.join(words)}\n"
    return head + neutral(result.stdout + result.stderr)


def test_what_is_there_is_listed(kept: Kept, write_golden: bool, tmp_path: Path) -> None:
    text = _said(kept, "ls")
    empty = Kept(tmp_path / "empty")
    text += _said(empty, "ls")
    same(text, as_file="store/ls.txt", folder=tmp_path, write=write_golden)
    lines = [
        json.loads(x)
        for x in call("store", "ls", "--store", kept.where, "--json").stdout.splitlines()
    ]
    assert [(e["recipe"], e["node"], e["run"]) for e in lines] == [
        ("toy", "first", "toy-1"), ("toy", "last", "toy-2"), ("toy", "last", "toy-1"),
    ]  # fmt: skip
    assert all(e["v"] == 1 and e["bytes"] > 0 and len(e["key"]) == 64 for e in lines)


def test_gc_says_what_would_go_and_deletes_when_told(
    kept: Kept, write_golden: bool, tmp_path: Path
) -> None:
    text = _said(kept, "gc", "--keep-runs", "1")
    kept.age()
    before = kept.names()
    text += _said(kept, "gc", "--keep-runs", "1", "--grace", "12")
    assert kept.names() == before
    lines = call("store", "gc", "--store", kept.where, "--keep-runs", "1", "--json").stdout
    assert [json.loads(line)["event"] for line in lines.splitlines()][-1] == "finished"
    assert json.loads(lines.splitlines()[-1])["deleted"] is False
    assert kept.names() == before
    text += _said(kept, "gc", "--keep-runs", "1", "--yes")
    assert kept.names() < before
    text += _said(kept, "gc", "--keep-runs", "1", "--yes")
    with kept.lease("toy-1"):
        text += _said(kept, "gc")
    same(text, as_file="store/gc.txt", folder=tmp_path, write=write_golden)


def test_verify_names_what_is_damaged_and_moves_it_when_told(
    kept: Kept, write_golden: bool, tmp_path: Path
) -> None:
    text = _said(kept, "verify") + _said(kept, "verify", "--deep")
    first, second, third = sorted(kept.manifests())
    _flip(kept, first)
    (torn := kept.store.path(f"{home(second)}/manifest.json")).write_bytes(b"{")
    before = kept.names()
    text += _said(kept, "verify", code=3)
    assert "other bytes" not in text
    text += _said(kept, "verify", "--deep", code=3)
    assert kept.names() == before
    last = call("store", "verify", "--deep", "--store", kept.where, "--json")
    assert last.exit_code == 3
    assert json.loads(last.stdout.splitlines()[-1])["damaged"] == 2
    text += _said(kept, "verify", "--deep", "--repair", code=3)
    assert not torn.exists()
    assert kept.manifests() == {third}
    quarantine = [name for name in kept.names() if name.startswith("quarantine/")]
    assert len(quarantine) >= 6  # two records, and the two files of each: nothing is deleted
    text += _said(kept, "verify", "--deep")
    for number in (1, 2):
        assert kept.run(f"toy-{number}", pair(number))
    assert len(kept.manifests()) == 3
    same(_sorted(text), as_file="store/verify.txt", folder=tmp_path, write=write_golden)


def _flip(kept: Kept, key: str) -> None:
    """Change one byte of an artifact, and not its size."""
    place = next(kept.store.path(home(key)).glob("*/value.json"))
    data = place.read_bytes()
    place.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def _sorted(text: str) -> str:
    """Return a text in which nodes, which lie in the order of their keys, have no names."""
    return text.replace("first KEY", "NODE KEY").replace("last KEY", "NODE KEY")


def test_a_text_of_code_is_verified_too(kept: Kept) -> None:
    place = next(kept.store.path("code").glob("*/*"))
    place.write_text(place.read_text() + "#")
    assert call("store", "verify", "--store", kept.where).exit_code == 0
    result = call("store", "verify", "--deep", "--repair", "--store", kept.where)
    assert result.exit_code == 3
    assert "a text of code with other bytes; moved to" in result.stderr
    assert not place.exists()


def test_pins_are_set_and_taken_away(kept: Kept, write_golden: bool, tmp_path: Path) -> None:
    text = _said(kept, "pin", "toy-1") + _said(kept, "pin", "toy-1")
    assert kept.store.list("pins") == ["toy-1"]
    text += _said(kept, "unpin", "toy-1")
    assert kept.store.list("pins") == []
    text += _said(kept, "pin", "toy-9", code=2) + _said(kept, "pin", "../up", code=2)
    same(text, as_file="store/pin.txt", folder=tmp_path, write=write_golden)


def test_B104_a_path_that_is_no_store(tmp_path: Path, write_golden: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    said: list[str] = []
    for where in ("photos", "empty", "nowhere", "file"):
        others = ("gc", "ls", "verify --repair", "pin r-1") if where == "empty" else ()
        for words in ("gc --yes", *others):
            result = call("store", *words.split(), "--store", str(tmp_path / where))
            assert result.exit_code == 2
            assert result.stdout == ""
            said.append(f"$ vocabox store {words} --store {where}\n{result.stderr}")
    assert sorted(tmp_path.rglob("*")) == before
    golden = "errors/B104_a_path_that_is_no_store.txt"
    same("".join(said), as_file=golden, folder=tmp_path, write=write_golden)
