"""Class trees that are none: B84, B85, B87, and JSON of another shape (B25, B42)."""

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.hierarchies import (
    Edges,
    OpenImages,
    Source,
    WordNet,
    graph_of,
    hierarchy_files,
)
from components.data.sources.label_problems import DataError
from tests.components.data.sources.small_wordnet import NOUNS, Noun, data_noun
from tests.pipelines.settings.golden import same

Said = Callable[..., str]
METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


@pytest.fixture
def said(tmp_path: Path) -> Said:
    """Return what is said of a file: of edges, of a tree, or data.noun."""

    def door(name: str, content: Any, **how: Any) -> str:
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_text(content if isinstance(content, str) else json.dumps(content))
        return refused(tmp_path, name, **how)

    return door


def refused(folder: Path, name: str, **how: Any) -> str:
    kinds: dict[str, Callable[..., Source]] = {
        ".json": lambda: OpenImages(tree=name),
        ".noun": lambda: WordNet(folder=name, **how),
        ".zip": lambda: WordNet(folder=name, **how),
    }
    source = kinds.get(Path(name).suffix, lambda: Edges(table=name, **how))()
    with pytest.raises(DataError) as caught:
        graph_of(source.reader, hierarchy_files(source, folder))
    return str(caught.value) + "\n"


@pytest.fixture
def golden(tmp_path: Path, write_golden: bool) -> Callable[[str, str], None]:
    def compare(name: str, text: str) -> None:
        same(text, as_file=f"errors/{name}.txt", folder=tmp_path, write=write_golden)

    return compare


def node(label: Any, *below: Any) -> dict[str, Any]:
    return {"LabelName": label} | ({"Subcategory": list(below)} if below else {})


def test_B84_a_cycle_is_told_with_its_path(said: Said, golden: Callable[..., None]) -> None:
    text = said("ring.csv", "child,parent\npup,dog\ndog,pet\ndog,animal\npet,pup\n")
    text += said("long.tsv", "child\tparent\n" + "".join(f"{i}\t{(i + 1) % 9}\n" for i in range(9)))
    text += said("tree.json", node("entity", node("dog", node("pup", node("dog")))))
    text += said("own.json", node("entity", node("dog", node("dog"))))
    ring = (*NOUNS[:1], Noun(words=("x",), kind_of=("y",)), Noun(words=("y",), kind_of=("x",)))
    text += said("data.noun", data_noun(ring)[0])
    golden("B84_a_cycle", text)


def test_B85_a_class_twice_its_own_parent_or_no_class(
    said: Said, golden: Callable[..., None], tmp_path: Path
) -> None:
    rows = "child,parent\nanimal,\ndog,animal\ndog,anmal\ncat,animal\ncat,animal\n,dog\npet,pet\n"
    text = said("rows.csv", rows)
    columns = {"child": ["cat", "dog", "cat", None], "parent": ["pet", "pet", "pet", "pet"]}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    text += refused(tmp_path, "rows.parquet")
    text += said("tops.csv", "child,parent\ndog,\ncat,\n")
    twice = node("entity", node("dog"), node("cat", node("kitten"), node("kitten")), node("dog"))
    text += said("twice.json", twice)
    golden("B85_twice_or_no_class", text)


def test_B55_what_is_no_table_of_edges(
    said: Said, golden: Callable[..., None], tmp_path: Path
) -> None:
    text = said("no_header.tsv", "n02084071\tn02083346\n")
    text += said("semicolons.csv", "child;parent\na;b\n")
    text += said("twice.csv", "child,parent,child\na,b,c\n")
    text += said("ragged.csv", "child,parent\na,b\na,b,c\n")
    text += said("both.csv", "child,parent\na,b\n", columns=("child", "parent"))
    text += said("half.csv", "a,b\n", columns=("child", "other"))
    text += said("latin.csv", b"child,parent\ncaf\xe9,place\n")
    text += said("empty.csv", "")
    text += refused(tmp_path, "missing.csv")
    text += said("cut.parquet", b"PAR1 and no more")
    for name, columns in {
        "names": {"parent": ["a"], "kid": ["b"]},
        "numbers": {"parent": ["a"], "child": [7]},
        "bytes": {"parent": ["a"], "child": pa.array([b"\xff"]).cast(pa.string(), safe=False)},
    }.items():
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
        text += refused(tmp_path, f"{name}.parquet")
    golden("B55_no_table_of_edges", text)


def test_B25_B42_json_of_another_shape(said: Said, golden: Callable[..., None]) -> None:
    text = said("groups.json", {"coarse": {"dog": ["pug"]}, "note": "ours"})
    text += said("list.json", [node("dog")])
    text += said("text.json", '"dog"')
    text += said("nothing.json", {})
    text += said("leaf.json", node("entity"))
    text += said("map.json", {"LabelName": "entity", "Subcategory": {"dog": []}})
    text += said("strings.json", {"LabelName": "entity", "Subcategory": ["dog", node(7)]})
    inner = {"LabelName": "dog", "Subcategory": "pug"}
    text += said("inner.json", node("entity", node("animal", inner, {"name": "cat"})))
    text += said("root.json", {"LabelName": None, "Subcategory": [node("dog")]})
    text += said("cut.json", '{"LabelName": "entity", "Subcategory": [{"Label')
    text += said("key.json", '{"LabelName": "a", "LabelName": "b"}')
    golden("B25_no_hierarchy", text)


def test_B42_a_deep_or_wide_tree_is_refused(said: Said, golden: Callable[..., None]) -> None:
    deep = node("a0")
    for i in range(1, 300):
        deep = node(f"a{i}", deep)
    text = said("deep.json", deep)
    text += said("deeper.json", '{"LabelName": "a", "Subcategory": [' * 100_000)
    text += said("chain.csv", "child,parent\n" + "".join(f"{i},{i + 1}\n" for i in range(2_000)))
    many = "0," * 1_500_000
    text += said("wide.json", f'{{"LabelName": "e", "Subcategory": [[{many}0]]}}')
    golden("B42_deep_or_wide_tree", text)


def test_B87_wordnet_is_not_there(golden: Callable[..., None], tmp_path: Path) -> None:
    text = refused(tmp_path, "nothing.noun")
    (tmp_path / "empty.noun").mkdir()
    text += refused(tmp_path, "empty.noun")
    golden("B87_no_wordnet", text)


def test_B87_wordnet_is_damaged_or_of_another_version(
    said: Said, golden: Callable[..., None]
) -> None:
    data, at = data_noun()
    lines = data.splitlines(keepends=True)
    text = said("version/data.noun", data_noun(version="3.1")[0])
    text += said("unknown/data.noun", b"".join(lines[2:]))
    text += said("converted/data.noun", data.replace(b"\n", b"\r\n"))
    text += said("moved/data.noun", b"".join([*lines[:2], *lines[3:]]))
    text += said("cut/data.noun", data[:-9])
    text += said("short/data.noun", b"".join(lines[:-1]))
    text += said("flipped/data.noun", data.replace(f"@ {at['canine']:08}".encode(), b"@ 00000147"))
    text += said("letters/data.noun", data.replace(b" 001 @", b" 00x @"))
    text += said("licence/data.noun", b"".join(lines[:2]))
    text += said("verbs/data.noun", data.replace(b" 03 n ", b" 03 v "))
    text += said("page/data.noun", b"<html>not found</html>\n")
    golden("B87_damaged_wordnet", text)


def test_B87_a_zip_without_wordnet(golden: Callable[..., None], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as packed:
        packed.writestr("omw/data.txt", "x")
    text = refused(tmp_path, "other.zip")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    text += refused(tmp_path, "cut.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("wordnet/data.noun", b"  licence\n" * 7_000_000)
    assert (tmp_path / "bomb.zip").stat().st_size < 2**18
    text += refused(tmp_path, "bomb.zip")
    golden("B87_zips", text)


def zipped(place: Path, method: int) -> bytearray:
    """Write the nouns as nltk's zip has them, packed by a method; return its bytes."""
    with zipfile.ZipFile(place, "w", method) as packed:
        packed.writestr(zipfile.ZipInfo("wordnet/data.noun"), data_noun()[0], method)
    return bytearray(place.read_bytes())


def test_B87_a_zip_that_cannot_be_unpacked(golden: Callable[..., None], tmp_path: Path) -> None:
    text = ""
    for name, at, value in (("locked", 6, 1), ("method", 8, 99)):
        place = tmp_path / f"{name}.zip"
        raw = zipped(place, zipfile.ZIP_DEFLATED)
        directory = raw.index(b"PK\x01\x02")
        raw[at] = raw[directory + at + 2] = value  # the same field in both headers
        place.write_bytes(raw)
        text += refused(tmp_path, place.name)
    for name, method in METHODS.items():
        place = tmp_path / f"{name}.zip"
        raw = zipped(place, method)
        half = raw.index(b"PK\x01\x02") // 2
        raw[half : half + 40] = b"\xff" * 40
        place.write_bytes(raw)
        text += refused(tmp_path, place.name)
    golden("B87_zips_damaged", text)


@pytest.mark.parametrize("method", METHODS)
def test_B87_every_flipped_byte_of_a_zip_is_read_or_told(tmp_path: Path, method: str) -> None:
    place = tmp_path / "nouns.zip"
    good = zipped(place, METHODS[method])
    source = WordNet(folder="nouns.zip")
    whole = graph_of(source.reader, hierarchy_files(source, tmp_path))
    read = 0
    for i in range(len(good)):
        raw = good.copy()
        raw[i] ^= 0xFF
        place.write_bytes(raw)
        with suppress(DataError):  # any other error fails
            assert graph_of(source.reader, hierarchy_files(source, tmp_path)).ids == whole.ids, i
            read += 1
    assert read < len(good) / 2


def test_B87_every_cut_of_data_noun_is_noticed(tmp_path: Path) -> None:
    data, _ = data_noun()
    lines = data.splitlines(keepends=True)
    for count in range(1, len(lines)):
        (tmp_path / "data.noun").write_bytes(b"".join(lines[:count]))
        assert "damaged" in refused(tmp_path, "data.noun")
