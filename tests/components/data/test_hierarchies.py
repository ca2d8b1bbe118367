"""Edge tables and Open Images hierarchies; the real one where VOCABOX_OPENIMAGES says it lies."""

import csv
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.hierarchies import (
    HIERARCHIES,
    Edges,
    EdgesReader,
    OpenImages,
    OpenImagesReader,
    graph_of,
    hierarchy_files,
)
from components.data.sources import edge_table
from components.data.sources.label_problems import DataError
from components.transfer.source import shared
from components.vocab.class_graph import ClassGraph, Edge
from components.vocab.classes import Vocabulary
from tests.components.vocab.drawn_graphs import dags

PAIRS = {("dog", "canine"), ("dog", "pet"), ("canine", "animal"), ("pet", "animal")}
TREE = {
    "LabelName": "entity",
    "Subcategory": [
        {
            "LabelName": "animal",
            "Subcategory": [
                {"LabelName": "canine", "Subcategory": [{"LabelName": "dog"}]},
                {"LabelName": "pet", "Subcategory": [{"LabelName": "dog"}]},
            ],
            "Part": [{"LabelName": "eye", "Subcategory": [{"LabelName": "human eye"}]}],
        }
    ],
    "Part": [{"LabelName": "soul"}],
}


def pairs(graph: ClassGraph) -> set[tuple[str, str]]:
    """Return (child, parent)."""
    down = graph.children
    return {
        (graph.ids[c], graph.ids[p])
        for p, c in zip(down.owners.tolist(), down.columns.tolist(), strict=True)
    }


def edges(folder: Path, content: Any, *columns: Any, name: str = "edges.csv") -> ClassGraph:
    """Return the graph of a table of text, or of columns as Parquet."""
    if isinstance(content, dict):
        pq.write_table(pa.table(content), folder / name)
    else:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    source = Edges(table=name, columns=columns)
    return graph_of(source.reader, hierarchy_files(source, folder))


def tree(folder: Path, content: Any) -> ClassGraph:
    (folder / "tree.json").write_text(json.dumps(content))
    source = OpenImages(tree="tree.json")
    return graph_of(source.reader, hierarchy_files(source, folder))


@pytest.mark.parametrize("mark", [",", "\t", " "])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_table_is_read_by_its_header(tmp_path: Path, mark: str, start: str) -> None:
    rows = [("source", "parent", "child"), *(("x", p, c) for c, p in sorted(PAIRS))]
    text = start + "".join(mark.join(row) + "\r\n" for row in rows)
    assert pairs(edges(tmp_path, text)) == PAIRS


def test_a_table_without_a_header_is_read_as_the_page_says(tmp_path: Path) -> None:
    text = "".join(f"{child}\t{parent}\n" for child, parent in sorted(PAIRS))
    assert pairs(edges(tmp_path, text, "child", "parent")) == PAIRS
    turned = {(parent, child) for child, parent in PAIRS}
    assert pairs(edges(tmp_path, text, "parent", "child")) == turned
    with pytest.raises(DataError, match="no columns child and parent, each once; got 'canine', "):
        edges(tmp_path, text)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), "dictionary"])
def test_parquet_gives_the_same(tmp_path: Path, kind: Any) -> None:
    columns = {
        name: pa.array([pair[i] for pair in sorted(PAIRS)], pa.string())
        for i, name in enumerate(("child", "parent"))
    }
    for name, column in columns.items():
        columns[name] = column.dictionary_encode() if kind == "dictionary" else column.cast(kind)
    assert pairs(edges(tmp_path, columns, name="edges.bin")) == PAIRS


def test_a_class_on_top_may_have_a_row(tmp_path: Path) -> None:
    text = "child,parent\nanimal,\ndog,animal\nstone,\n"
    made = edges(tmp_path, text)
    assert made.ids == ("animal", "dog", "stone")
    assert pairs(made) == {("dog", "animal")}
    columns = {"child": ["animal", "dog", "stone"], "parent": [None, "animal", None]}
    assert edges(tmp_path, columns).ids == made.ids


@settings(max_examples=30, deadline=None)
@given(drawn=dags(), data=st.data())
def test_the_order_of_rows_is_nothing(
    drawn: Any, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wanted = {*drawn[1]} or {Edge("b", "a")}
    rows = data.draw(st.permutations(sorted(wanted)))
    text = "child,parent\n" + "".join(f"{c}, {p}\n" for c, p in rows)
    made = edges(tmp_path_factory.mktemp("edges"), text)
    assert pairs(made) == wanted
    assert made.ids == tuple(sorted({name for pair in wanted for name in pair}))


def test_a_parquet_that_unpacks_to_much_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"child": ["a" * 9] * 300, "parent": ["b"] * 300}
    monkeypatch.setattr(edge_table, "MOST_ROWS", 299)
    with pytest.raises(DataError, match=r"299 rows and 134217728 bytes are the most; got 300 rows"):
        edges(tmp_path, columns)
    monkeypatch.setattr(edge_table, "MOST_ROWS", 300)
    monkeypatch.setattr(edge_table, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="300 rows and 100 bytes are the most; got 300 rows"):
        edges(tmp_path, columns)


def test_a_text_of_too_many_rows_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_table, "MOST_ROWS", 2)
    with pytest.raises(DataError, match="too many edges; got more than 2"):
        edges(tmp_path, "child,parent\nb,a\nc,a\nd,a\n")


def test_a_label_in_several_places_has_several_parents_and_parts_are_no_kinds(
    tmp_path: Path,
) -> None:
    made = tree(tmp_path, TREE)
    assert pairs(made) == PAIRS | {("animal", "entity")}
    assert {"eye", "human eye", "soul"}.isdisjoint(made.ids)


def test_the_root_may_be_named_last(tmp_path: Path) -> None:
    turned = {key: TREE[key] for key in reversed(TREE)}
    assert pairs(tree(tmp_path, turned)) == pairs(tree(tmp_path, TREE))


def test_a_subtree_that_is_written_twice_is_read_once(tmp_path: Path) -> None:
    dog = {"LabelName": "dog", "Subcategory": [{"LabelName": "pup"}]}
    top = [{"LabelName": name, "Subcategory": [dog]} for name in ("canine", "pet")]
    made = tree(tmp_path, {"LabelName": "entity", "Subcategory": top})
    assert [*pairs(made)].count(("pup", "dog")) == 1
    assert len(made) == 5


def test_every_kind_has_a_reader() -> None:
    assert {"edges", "openimages", "wordnet"} == {*HIERARCHIES}


@pytest.fixture(scope="module")
def place() -> Path:
    """Return the folder of Open Images' hierarchy and of the class list of paper 4."""
    named = os.environ.get("VOCABOX_OPENIMAGES")
    if not named:
        pytest.skip(
            "set VOCABOX_OPENIMAGES to a folder with bbox_labels_600_hierarchy.json and "
            "challenge-2018-class-descriptions-new.csv"
        )
    return Path(named)


def test_open_images_has_the_known_classes(place: Path) -> None:
    (file,) = place.rglob("bbox_labels_600_hierarchy.json")
    whole = graph_of(OpenImagesReader(), {"tree": file})
    assert len(whole) == 602  # 601 below the root /m/0bl9f
    (listed,) = place.rglob("challenge-2018-class-descriptions-new.csv")
    ids = tuple(row[0] for row in csv.reader(listed.read_text("utf-8").splitlines()))[1:]
    made = whole.within(Vocabulary(ids=ids, names=ids))
    above = made.ancestors.counts
    assert len(made) == 500
    assert int((made.descendants.counts == 0).sum()) == 443  # leaves; 57 are above some
    assert int((above > 0).sum()) == 323
    # The data of paper 4's code hold 442 pairs of a class and one above it, and 467 of a class and
    # one below: they lack 25 second parents, so there 96 classes have two or more, and none five.
    assert int(above.sum()) == int(made.descendants.counts.sum()) == 467
    assert Counter(above.tolist()) == {0: 177, 1: 216, 2: 81, 3: 18, 4: 5, 5: 3}


def test_paper_4_shares_486_classes_of_open_images_and_has_14_others(place: Path) -> None:
    """The list says which of the classifier's 5,000 rows is a class's; -1: it has none."""
    (listed,) = place.rglob("challenge-2018-class-descriptions-new.csv")
    lines = list(csv.reader(listed.read_text("utf-8").splitlines()))[1:]
    at = {int(row[2]): row[0] for row in lines if int(row[2]) >= 0}
    classifier = tuple(at.get(i, f"not boxed {i}") for i in range(5000))
    boxed = Vocabulary(ids=tuple(row[0] for row in lines), names=tuple(row[1] for row in lines))
    rows = shared(Vocabulary(ids=classifier, names=classifier), boxed)
    assert rows.tolist() == [int(row[2]) for row in lines]
    assert int((rows >= 0).sum()) == 486
    assert {name for name, row in zip(boxed.names, rows.tolist(), strict=True) if row < 0} == {
        "Toaster", "Torch", "Beaker", "Ring binder", "Wrench", "Crutch", "Tick", "Spatula",
        "Pressure cooker", "Screwdriver", "Coconut", "Adhesive tape", "Nail", "Measuring cup",
    }  # fmt: skip


def test_edges_reader_is_part_of_identity_and_the_place_is_not() -> None:
    assert Edges(table="a.csv").reader == Edges(table="b.csv").reader == EdgesReader()
