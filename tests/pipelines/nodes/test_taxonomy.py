"""The node taxonomy in a real walk: a file in, the closure out, read by who comes after."""

from pathlib import Path
from typing import Any

import pytest

from cluster.failures import failure_of
from components.data.hierarchies import Edges, Source, WordNet, hierarchy_files
from components.vocab.class_graph import ClassGraph, HierarchyError
from components.vocab.classes import Vocabulary
from pipelines.graph.artifact import HIERARCHY
from pipelines.graph.node import Graph, Node, Outside, RunOn
from pipelines.nodes.taxonomy import Taxonomy, taxonomy
from tests.components.data.sources.small_wordnet import write_wordnet
from tests.pipelines.graph.bodies import Bench

TABLE = "child,parent\npup,dog\ndog,canine\ndog,pet\ncanine,animal\npet,animal\n"


def node(source: Source, folder: Path, *vocabularies: tuple[str, ...]) -> Node:
    """Return the node for a source, restricted to vocabularies if there are any."""
    inputs: dict[str, Any] = {}
    for i, ids in enumerate(vocabularies):
        Vocabulary.of(ids).write(folder / f"vocabulary{i}.json")
        files = {"vocabulary": str(folder / f"vocabulary{i}.json")}
        inputs[f"classes{i}"] = Outside(name=f"classes{i}", files=files)
    files = {role: str(place) for role, place in hierarchy_files(source, folder).items()}
    inputs["hierarchy"] = Outside(name="hierarchy", files=files)
    return Node(
        name="taxonomy",
        fn=taxonomy,
        cfg=Taxonomy(reader=source.reader),
        inputs=inputs,
        makes=HIERARCHY,
        run_on=RunOn(retries=0),
    )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "edges.csv").write_text(TABLE)
    return Bench(tmp_path)


def walked(bench: Bench, made: Node) -> Any:
    return bench.walk(Graph(nodes=(made,), recipe="taxonomy"))


def read(outcome: Any) -> ClassGraph:
    assert outcome.status == "done"
    return ClassGraph.read(outcome.artifacts["taxonomy"] / "hierarchy.parquet")


def above(graph: ClassGraph, name: str) -> set[str]:
    return {graph.ids[i] for i in graph.ancestors.row(graph.ids.index(name))}


def test_the_whole_file_becomes_an_artifact(bench: Bench) -> None:
    outcome = walked(bench, node(Edges(table="edges.csv"), bench.folder))
    made = read(outcome)
    assert made.ids == ("animal", "canine", "dog", "pet", "pup")
    assert above(made, "dog") == {"canine", "pet", "animal"}
    counts = {"classes": 5, "edges": 5, "closure": 9, "not_in_hierarchy": 0}
    assert outcome.nodes["taxonomy"].notes == counts
    rows = TABLE.splitlines()
    (bench.folder / "turned.csv").write_text("\n".join([rows[0], *rows[:0:-1]]))
    turned = walked(bench, node(Edges(table="turned.csv"), bench.folder))
    assert turned.nodes["taxonomy"].key != outcome.nodes["taxonomy"].key
    assert turned.nodes["taxonomy"].digest == outcome.nodes["taxonomy"].digest  # equal bytes


def test_only_the_classes_of_the_sets_are_kept_and_what_is_above_through_others(
    bench: Bench,
) -> None:
    sets = (("coarse:animal", "fine:pup"), ("fine:dog", "fine:pup", "fine:unicorn"))
    outcome = walked(bench, node(Edges(table="edges.csv"), bench.folder, *sets))
    made = read(outcome)
    assert made.ids == ("coarse:animal", "fine:pup", "fine:dog", "fine:unicorn")
    assert above(made, "fine:pup") == {"coarse:animal", "fine:dog"}
    assert above(made, "fine:unicorn") == set()
    assert outcome.nodes["taxonomy"].notes["not_in_hierarchy"] == 1
    said = [event["text"] for event in bench.events if "not in the hierarchy" in str(event)]
    assert said == ["1 of 4 classes are not in the hierarchy and have no relatives: fine:unicorn."]


def test_the_place_of_the_file_is_no_part_of_the_key_and_its_reading_is(bench: Bench) -> None:
    for folder in ("first", "second"):
        write_wordnet(bench.folder / folder)
    outcomes = [
        walked(bench, node(WordNet(folder=folder, instances=instances), bench.folder))
        for folder, instances in (
            ("first", "left_out"),
            ("second", "left_out"),
            ("second", "as_kinds"),
        )
    ]
    assert [one.nodes["taxonomy"].state for one in outcomes] == ["done", "cached", "done"]
    assert len(read(outcomes[0]).ancestors.columns) < len(read(outcomes[2]).ancestors.columns)


@pytest.mark.parametrize(
    ("table", "asked", "said"),
    [
        ("child,parent\na,b\nb,a\n", (), "edges.csv: a cycle; got 'a' is a 'b' is a 'a'."),
        (TABLE, ("n02084071",), "none of the 1 classes is in it; got 'n02084071' for 'animal',"),
        (TABLE, ("coarse:dog", "fine:dog"), "two classes of the vocabulary are one class here;"),
    ],
)
def test_what_is_wrong_with_it_ends_the_run_as_bad_input(
    bench: Bench, table: str, asked: tuple[str, ...], said: str
) -> None:
    (bench.folder / "edges.csv").write_text(table)
    sets = [asked] if asked else []
    outcome = walked(bench, node(Edges(table="edges.csv"), bench.folder, *sets))
    assert (outcome.status, outcome.code) == ("failed", 2)
    error = outcome.nodes["taxonomy"].error
    assert error.kind == "bad_input"
    assert said in error.text
    assert failure_of(HierarchyError("x"), where="y").kind == "bad_input"
