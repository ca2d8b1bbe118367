from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.vocab import class_graph, sparse_rows
from components.vocab.class_graph import ClassGraph, Edge, HierarchyError
from components.vocab.classes import Vocabulary
from components.vocab.sparse_rows import Rows
from tests.components.vocab.drawn_graphs import above, dags

DIAMOND = [Edge("pup", "dog"), Edge("dog", "canine"), Edge("dog", "pet"),
           Edge("canine", "animal"), Edge("pet", "animal")]  # fmt: skip


def named(graph: ClassGraph, rows: Rows) -> dict[str, set[str]]:
    """Return the rows in words."""
    return {name: {graph.ids[j] for j in rows.row(i)} for i, name in enumerate(graph.ids)}


def vocabulary(*ids: str) -> Vocabulary:
    return Vocabulary(ids=ids, names=ids)


def test_a_diamond_keeps_the_second_parent() -> None:
    made = ClassGraph.of(DIAMOND)
    assert made.ids == ("animal", "canine", "dog", "pet", "pup")
    assert named(made, made.ancestors) == {
        "animal": set(),
        "canine": {"animal"},
        "dog": {"canine", "pet", "animal"},
        "pet": {"animal"},
        "pup": {"dog", "canine", "pet", "animal"},
    }
    assert named(made, made.descendants)["pet"] == {"dog", "pup"}
    assert named(made, made.children)["animal"] == {"canine", "pet"}


@settings(max_examples=100, deadline=None)
@given(dags())
def test_the_closure_is_the_definition_and_descendants_are_its_transpose(drawn: Any) -> None:
    ids, edges = drawn
    made = ClassGraph.of(edges, ids=ids)
    wanted = {name: above(name, edges) for name in ids}
    assert named(made, made.ancestors) == wanted
    assert named(made, made.descendants) == {
        name: {other for other in ids if name in wanted[other]} for name in ids
    }
    assert named(made, made.children) == {
        name: {child for child, parent in edges if parent == name} for name in ids
    }
    for rows in (made.ancestors, made.descendants, made.children):
        assert len(rows) == len(ids)
        assert all((np.diff(rows.row(i)) > 0).all() for i in range(len(ids)))


@settings(max_examples=100, deadline=None)
@given(dags(), st.data(), st.sampled_from([1, 1000]))
def test_within_a_vocabulary_the_closure_goes_through_what_is_left_out(
    drawn: Any, data: st.DataObject, chunk: int
) -> None:
    ids, edges = drawn
    kept = data.draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    whole = ClassGraph.of(edges, ids=ids)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_rows, "CHUNK", chunk)
        made = whole.within(vocabulary(*kept, "new"))
    assert made.ids == (*kept, "new")
    wanted = {name: above(name, edges) & set(kept) for name in kept}
    assert named(made, made.ancestors) == wanted | {"new": set()}
    near = [Edge(name, up) for name in kept for up in wanted[name]
            if not any(up in wanted[mid] for mid in wanted[name])]  # fmt: skip
    assert named(made, made.children) == {
        name: {c for c, p in near if p == name} for name in made.ids
    }
    again = ClassGraph.of(near, ids=made.ids)
    assert named(again, again.ancestors) == named(made, made.ancestors)
    assert named(again, again.descendants) == named(made, made.descendants)


def test_a_class_is_found_by_its_id_or_by_its_name_after_the_level() -> None:
    whole = ClassGraph.of([*DIAMOND, Edge("fine:cat", "pet")])
    made = whole.within(vocabulary("fine:pup", "coarse:animal", "fine:cat", "dog", "fine:canines"))
    assert named(made, made.ancestors) == {
        "fine:pup": {"dog", "coarse:animal"},
        "coarse:animal": set(),
        "fine:cat": {"coarse:animal"},
        "dog": {"coarse:animal"},
        "fine:canines": set(),
    }


def test_two_classes_of_a_vocabulary_are_not_one_of_the_graph() -> None:
    with pytest.raises(HierarchyError, match=r"got 'coarse:dog' and 'fine:dog' for 'dog'\. Write"):
        ClassGraph.of(DIAMOND).within(vocabulary("coarse:dog", "fine:dog"))
    levels = ClassGraph.of([Edge("fine:dog", "coarse:dog")])
    made = levels.within(vocabulary("coarse:dog", "fine:dog"))
    assert named(made, made.ancestors)["fine:dog"] == {"coarse:dog"}


def test_a_vocabulary_of_other_names_is_refused() -> None:
    said = (
        r"hierarchy: none of the 4 classes is in it; got 'a', 'b', 'c' and 1 more for 'animal', "
        r"'canine', 'dog' and 2 more\. Name classes as it does\."
    )
    with pytest.raises(HierarchyError, match=said):
        ClassGraph.of(DIAMOND).within(vocabulary("a", "b", "c", "d"))


def test_a_cycle_is_named() -> None:
    with pytest.raises(HierarchyError, match=r"^x\.csv: a cycle; got 'a' is a 'a'\. Take one"):
        ClassGraph.of([Edge("a", "a")], where="x.csv")
    ring = [*DIAMOND, Edge("animal", "pup")]
    said = "got 'animal' is a 'pup' is a 'dog' is a 'canine' is a 'animal'. Take"
    with pytest.raises(HierarchyError, match=said):
        ClassGraph.of(ring)


@settings(max_examples=50, deadline=None)
@given(dags(), st.data())
def test_a_cycle_that_is_named_is_one(drawn: Any, data: st.DataObject) -> None:
    ids, edges = drawn
    child = data.draw(st.sampled_from(ids))
    back = Edge(data.draw(st.sampled_from(sorted(above(child, edges) | {child}))), child)
    with pytest.raises(HierarchyError) as caught:
        ClassGraph.of([*edges, back], ids=ids)
    names = str(caught.value).split("; got '")[1].split("'. Take")[0].split("' is a '")
    if not any("more" in name for name in names):
        assert names[0] == names[-1]
        assert set(pairwise(names)) <= {*edges, back}


def test_a_long_cycle_is_cut_in_words_and_found_in_time() -> None:
    ring = [Edge(f"{i:06}", f"{(i + 1) % 50_000:06}") for i in range(50_000)]
    with pytest.raises(HierarchyError, match=r"is a '000005' is a \.\.\. 49994 more is a '000000'"):
        ClassGraph.of(ring)


def test_ids_twice_and_edges_to_no_class_are_refused() -> None:
    with pytest.raises(HierarchyError, match="each class once; got 'dog' twice and 1 such ids"):
        ClassGraph.of([], ids=("dog", "cat", "dog"))
    with pytest.raises(HierarchyError, match=r"to no class; got 'kat'\. Did you mean 'cat'\?"):
        ClassGraph.of([Edge("kat", "dog")], ids=("dog", "cat"))


def test_what_is_too_deep_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = [Edge(f"{i + 1:04}", f"{i:04}") for i in range(99)]
    assert ClassGraph.of(chain).ancestors.counts.max() == 99
    with pytest.raises(HierarchyError, match="at most 100 levels; got '0100' below them"):
        ClassGraph.of([*chain, Edge("0100", "0099")])
    monkeypatch.setattr(class_graph, "MOST_PAIRS", 99 * 100 // 2 - 1)
    with pytest.raises(HierarchyError, match="too large; got more than 4,949 pairs"):
        ClassGraph.of(chain)


def test_no_edge_and_no_class() -> None:
    assert len(ClassGraph.of([])) == 0
    alone = ClassGraph.of([], ids=("b", "a"))
    assert alone.ids == ("b", "a")
    assert alone.ancestors.counts.tolist() == [0, 0]


@settings(max_examples=30, deadline=None)
@given(drawn=dags())
def test_a_file_gives_the_graph_back_with_equal_bytes(
    drawn: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ids, edges = drawn
    place = tmp_path_factory.mktemp("hierarchy") / "hierarchy.parquet"
    made = ClassGraph.of(edges, ids=ids)
    made.write(place)
    data = place.read_bytes()
    read = ClassGraph.read(place)
    assert read.ids == made.ids
    for name in ("children", "ancestors", "descendants"):
        assert named(read, getattr(read, name)) == named(made, getattr(made, name))
    ClassGraph.of(edges[::-1], ids=ids).write(place)
    assert place.read_bytes() == data
    read.write(place)
    assert place.read_bytes() == data


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "hierarchy.parquet"
    with pytest.raises(HierarchyError, match="no hierarchy; got"):
        ClassGraph.read(place)
    place.write_bytes(b"PAR1")
    with pytest.raises(HierarchyError, match="no hierarchy; got"):
        ClassGraph.read(place)
    pq.write_table(pa.table({"child": ["a"], "parent": ["b"]}), place)
    with pytest.raises(HierarchyError, match="of version 1 is read here; got version none"):
        ClassGraph.read(place)


@pytest.mark.parametrize(
    ("ids", "ancestors"),
    [(["a", "a"], [[], []]), (["a", "b"], [[], [2]]), (["a", "b"], [[], [1]])],
)
def test_rows_that_cannot_be_are_refused(tmp_path: Path, ids: Any, ancestors: Any) -> None:
    columns = {"id": ids, "parents": [[], []], "ancestors": ancestors}
    with pq.ParquetWriter(tmp_path / "hierarchy.parquet", class_graph.SCHEMA) as file:
        file.write_table(pa.Table.from_pydict(columns, schema=class_graph.SCHEMA))
        file.add_key_value_metadata({class_graph.MARK: class_graph.VERSION})
    with pytest.raises(HierarchyError, match="damaged; got rows that cannot be"):
        ClassGraph.read(tmp_path / "hierarchy.parquet")
