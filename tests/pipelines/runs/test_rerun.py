"""Lineage, and results made again from their records."""

import dataclasses
import enum
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from pipelines.graph import closure
from pipelines.graph.key import canonical, plain
from pipelines.graph.node import Node, Outside, RunOn, View
from pipelines.graph.rebuilt import remade
from pipelines.graph.record import home, read_record, sealed
from tests.pipelines.cli.small import call
from tests.pipelines.graph import map_bodies
from tests.pipelines.graph.bodies import Number, Trained, node, parity, train
from tests.pipelines.runs.kept import Kept, neutral
from tests.pipelines.settings.golden import same


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setattr(closure, "PACKAGES", (*closure.PACKAGES, "tests"))
    return Kept(tmp_path)


def _graph(folder: Path) -> Node:
    """Return a graph with every kind of input; one result is used twice."""
    mine = folder / "mine.json"
    mine.write_text("3")
    first = node("first", Outside(name="files", files={"numbers": str(mine)}), value=2)
    odd = Node(name="odd", fn=parity, cfg=Number(), makes=first.makes, inputs={"number": first})
    steps = Trained(steps=7, world=2, inner=Number(value=1.5))
    fit = node("fit", odd, fn=train, cfg=steps, run_on=RunOn(workers=2, local=True))
    return node("last", View(node=first, files={"part": "value.json"}), fit, odd)


def _lines(kept: Kept, *words: str, code: int = 0) -> str:
    result = call("lineage", *words, "--store", kept.where)
    assert result.exit_code == code, result.output
    text = re.sub(r"on \S+, torch \S+( at KEY\+?)?", "on HOST", neutral(result.output))
    text = re.sub(r"\d+\.\d s", "N s", text)
    return f"$ vocabox lineage {' '.join(words)}\n{neutral(text)}"


def _said(text: str) -> str:
    text = re.sub(r"on \S+, torch \S+( at \w+\+?)?", "on HOST", neutral(text))
    return re.sub(r"\d+\.\d s", "N s", text)


def test_a_lineage_leads_to_the_users_files(kept: Kept, tmp_path: Path, write_golden: bool) -> None:
    made = kept.run("toy-1", _graph(tmp_path))
    key = made["last"].key
    text = _lines(kept, "toy-1")
    assert _lines(kept, key[:12]).splitlines()[1:] == text.splitlines()[1:]
    assert _lines(kept, "last").splitlines()[1:] == text.splitlines()[1:]
    text += _lines(kept, "odd")
    same(text, as_file="store/lineage.txt", folder=tmp_path, write=write_golden)
    out = call("lineage", key, "--store", kept.where, "--json").stdout
    events = {e["node"]: e for e in map(json.loads, out.splitlines())}
    assert set(events) == {"last", "first", "odd", "fit"}
    assert events["fit"]["settings"]["steps"] == 7
    numbers = events["first"]["inputs"]["i0"]["files"]["numbers"]
    assert numbers["path"] == str(tmp_path / "mine.json")
    assert events["last"]["inputs"]["i1"] == {"key": made["fit"].key, "there": True}
    for name in ("cpu_s", "gpu_s", "rss_max", "versions", "git", "host", "digest", "bytes"):
        assert name in events["last"]


def test_a_folder_or_a_file_is_known_by_its_bytes(kept: Kept, tmp_path: Path) -> None:
    made = kept.run("toy-1", _graph(tmp_path))
    place = next(kept.store.path(home(made["odd"].key)).glob("*/value.json")).parent
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "value.json").write_bytes((place / "value.json").read_bytes())
    whole = _lines(kept, made["odd"].key).splitlines()[1:]
    for name in (place, copy, copy / "value.json"):
        assert _lines(kept, str(name)).splitlines()[1:] == whole


def test_an_input_that_was_collected_is_said(kept: Kept, tmp_path: Path) -> None:
    made = kept.run("toy-1", _graph(tmp_path))
    kept.store.delete(f"{home(made['first'].key)}/manifest.json")
    assert "number: KEY, not there any more" in _lines(kept, "odd")


def test_what_is_made_again_has_the_same_bytes(
    kept: Kept, tmp_path: Path, write_golden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = kept.run("toy-1", _graph(tmp_path))
    before = kept.manifests()
    words = ("last", "--rerun", str(tmp_path / "again"), "--executor", "inline")
    text = _lines(kept, *words)
    assert text.count("the same bytes") == 4
    assert kept.manifests() == before
    again = Kept(tmp_path / "other")
    again.store.root = tmp_path / "again"
    assert again.manifests() == before  # the same keys
    out = call("lineage", *words, "--store", kept.where, "--json").stdout.splitlines()
    assert json.loads(out[-1])["nodes"]["fit"] == {
        "key": made["fit"].key, "state": "cached", "same": True,
    }  # fmt: skip
    record = read_record(kept.store, made["odd"].key)
    assert record
    forged = {**record.body, "files": {"value.json": [1, "0" * 64]}}
    kept.store.path(f"{home(record.key)}/manifest.json").write_bytes(sealed(forged))
    words = ("odd", "--rerun", str(tmp_path / "third"), "--executor", "inline")
    text += _lines(kept, *words, code=1)
    same(text, as_file="store/rerun.txt", folder=tmp_path, write=write_golden)


@pytest.mark.parametrize("make", [map_bodies.graph, map_bodies.over_shards, map_bodies.twice])
def test_a_map_is_made_again_unit_by_unit(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setenv("VOCABOX_TEST_LOG", str(tmp_path / "log"))
    made = kept.run("toy-1", *make("[3, 1, 2, 3]").nodes)
    words = ("gather", "--rerun", str(tmp_path / "again"), "--executor", "inline")
    assert _lines(kept, *words).count("the same bytes") == len(made)
    again = Kept(tmp_path / "other")
    again.store.root = tmp_path / "again"
    assert again.manifests() == kept.manifests()  # units too
    assert (
        f"square {made['square'].key[:12]}: "
        in call("lineage", "square", "--store", kept.where).output
    )
    record = read_record(kept.store, made["square"].key)
    assert record
    assert record.units
    words = (record.units[0][0], "--rerun", str(tmp_path / "third"), "--executor", "inline")
    result = call("lineage", *words, "--store", kept.where)
    assert result.exit_code == 2
    assert "square: a map is made again whole; got one of its units" in result.output


def test_a_rerun_is_refused_where_something_differs(
    kept: Kept, tmp_path: Path, write_golden: bool
) -> None:
    made = kept.run("toy-1", _graph(tmp_path))
    words = ("--rerun", str(tmp_path / "again"), "--executor", "inline")
    text = ""

    record = read_record(kept.store, made["odd"].key)
    assert record

    def forge(node: str, **change: Any) -> None:
        assert record
        body = {**record.body, "git": None, **change}
        kept.store.path(f"{home(record.key)}/manifest.json").write_bytes(sealed(body))

    code = {**record.body["code"], "tests.pipelines.graph.bodies:parity": "0" * 64}
    forge("odd", code=code)
    text += _lines(kept, "last", *words, code=2)
    forge("odd", code={**record.body["code"], "tests.pipelines.graph.bodies:lost": "0" * 64})
    text += _lines(kept, "odd", *words, code=2)
    forge("odd", code={"os:system": "0" * 64}, fn="os:system")
    text += _lines(kept, "odd", *words, code=2)
    forge("odd", fn="os:system")
    text += _lines(kept, "odd", *words, code=2)
    forge("odd", keyed={"torch": "0.1"}, makes=["files", 7])
    text += _lines(kept, "odd", *words, code=2)
    forge("odd", settings={"kind": "Number", "value": "1", "other": 2})
    text += _lines(kept, "odd", *words, code=2)
    forge("odd")
    (tmp_path / "mine.json").write_text("4")
    text += _lines(kept, "odd", *words, code=2)
    (tmp_path / "mine.json").unlink()
    text += _lines(kept, "odd", *words, code=2)
    same(text, as_file="errors/lineage_rerun.txt", folder=tmp_path, write=write_golden)
    assert not (tmp_path / "again").exists()


def test_what_a_lineage_is_asked_of_must_be_there(
    kept: Kept, tmp_path: Path, write_golden: bool
) -> None:
    kept.run("toy-1", _graph(tmp_path))
    kept.run("toy-2", node("one"), node("two", value=2))
    (tmp_path / "photo.jpg").write_text("x")
    text = ""
    for name in ("nothing", "abcdef012345", str(tmp_path / "photo.jpg"), str(tmp_path / "store")):
        text += _lines(kept, name, code=2)
    again = str(tmp_path / "again")
    text += _lines(kept, "toy-2", "--rerun", again, "--executor", "inline", code=2)
    text += _lines(kept, "one", "--rerun", kept.where, "--executor", "inline", code=2)
    text += _lines(kept, "one", "--rerun", again, "--address", "nonsense:x", code=2)
    same(text, as_file="errors/lineage.txt", folder=tmp_path, write=write_golden)


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    kind: Literal["round"] = "round"
    size: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Square:
    kind: Literal["square"] = "square"
    size: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class All:
    shapes: tuple[Round | Square, ...] = ()
    one: Round | Square | None = None
    inner: Number = dataclasses.field(default_factory=Number)
    pair: tuple[int, float] = (1, 2.0)
    table: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    color: Color = Color.RED
    rate: Annotated[float, "unit"] = 1
    words: list[str] = dataclasses.field(default_factory=list)
    later: int = dataclasses.field(default=3, metadata={"since_default": 3})


@pytest.mark.parametrize(
    "cfg",
    [
        All(),
        All(shapes=(Square(size=2), Round()), one=Square(), table={"a": ("b", "c")}, later=4),
        All(one=Round(size=-0.0), words=["x"], inner=Number(value=7, fail="a")),
        Trained(inner=Number(sleep=2)),
    ],
)
def test_settings_come_back_as_they_were(cfg: Any) -> None:
    text = plain(cfg, where="n")
    back = remade(json.loads(canonical(text)), type(cfg))
    assert type(back) is type(cfg)
    assert canonical(plain(back, where="n")) == canonical(text)
    if isinstance(cfg, All):
        assert (type(back.one), back.color, type(back.words)) == (type(cfg.one), Color.RED, list)
