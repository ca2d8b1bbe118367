"""WordNet's nouns: on a dozen of our own, and on the real ones where VOCABOX_WORDNET names them."""

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from components.data.hierarchies import WordNet, WordNetReader, graph_of, hierarchy_files
from components.data.sources import wordnet_nouns
from components.data.sources.label_problems import DataError
from components.data.sources.wordnet_nouns import find_wordnet
from components.vocab.class_graph import ClassGraph
from components.vocab.classes import Vocabulary
from tests.components.data.sources.small_wordnet import NOUNS, nltk_reader, write_wordnet

KINDS = WordNetReader()
INSTANCES = WordNetReader(instances="as_kinds")
DOG, ENTITY = "n02084071", "n00001740"


def read(folder: Path, reader: WordNetReader = KINDS) -> ClassGraph:
    return graph_of(reader, hierarchy_files(WordNet(folder=str(folder)), Path("/")))


def above(graph: ClassGraph, wnid: str) -> set[str]:
    return {graph.ids[i] for i in graph.ancestors.row(graph.ids.index(wnid))}


def below(graph: ClassGraph, wnid: str) -> int:
    return int(graph.descendants.counts[graph.ids.index(wnid)])


def by_nltk(reader: Any, *, instances: bool) -> set[tuple[str, str]]:
    """Return (child, parent) of every noun as nltk reads it."""
    return {
        (f"n{noun.offset():08}", f"n{up.offset():08}")
        for noun in reader.all_synsets("n")
        for up in noun.hypernyms() + (noun.instance_hypernyms() if instances else [])
    }


def pairs(graph: ClassGraph) -> set[tuple[str, str]]:
    """Return (child, parent) of a graph."""
    down = graph.children
    return {
        (graph.ids[c], graph.ids[p])
        for p, c in zip(down.owners.tolist(), down.columns.tolist(), strict=True)
    }


def test_a_dozen_nouns_are_read_with_second_parents(tmp_path: Path) -> None:
    at = {word: f"n{place:08}" for word, place in write_wordnet(tmp_path).items()}
    made = read(tmp_path)
    assert set(made.ids) == set(at.values())
    assert above(made, at["dog"]) == {
        at[w] for w in ("canine", "domestic_animal", "animal", "entity")
    }
    assert above(made, at["Einstein"]) == set()
    assert below(made, at["entity"]) == len(NOUNS) - 3
    assert below(read(tmp_path, INSTANCES), at["entity"]) == len(NOUNS) - 1


def test_nltk_reads_the_same(tmp_path: Path) -> None:
    write_wordnet(tmp_path / "small")
    with nltk_reader(tmp_path / "small", tmp_path / "root") as reader:
        for ours, instances in ((KINDS, False), (INSTANCES, True)):
            assert pairs(read(tmp_path / "small", ours)) == by_nltk(reader, instances=instances)
        above_dog = {up.name() for up in reader.synset("dog.n.01").hypernyms()}
        assert above_dog == {"canine.n.01", "domestic_animal.n.01"}


@pytest.mark.parametrize("inner", ["", "dict", "wordnet", "corpora/wordnet"])
def test_it_is_found_in_the_folders_people_name(tmp_path: Path, inner: str) -> None:
    write_wordnet(tmp_path / inner)
    assert find_wordnet(tmp_path) == tmp_path / inner / "data.noun"
    assert find_wordnet(tmp_path / inner / "data.noun") == tmp_path / inner / "data.noun"


def test_the_zip_that_nltk_downloads_is_read(tmp_path: Path) -> None:
    write_wordnet(tmp_path / "plain")
    (tmp_path / "nltk_data" / "corpora").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "nltk_data" / "corpora" / "wordnet.zip", "w") as packed:
        packed.write(tmp_path / "plain" / "data.noun", "wordnet/data.noun")
    assert pairs(read(tmp_path / "nltk_data")) == pairs(read(tmp_path / "plain"))


def test_without_a_place_it_is_looked_for_where_debian_and_nltk_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nltk_data = pytest.importorskip("nltk.data")
    monkeypatch.setattr(wordnet_nouns, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(nltk_data, "path", [str(tmp_path / "nltk")])
    with pytest.raises(DataError, match=f"got {tmp_path}/debian, {tmp_path}/nltk. Three ways: "):
        hierarchy_files(WordNet(), Path("/"))
    write_wordnet(tmp_path / "nltk" / "corpora" / "wordnet")
    by_nltk = tmp_path / "nltk" / "corpora" / "wordnet" / "data.noun"
    assert hierarchy_files(WordNet(), Path("/")) == {"nouns": by_nltk}
    write_wordnet(tmp_path / "debian")
    assert find_wordnet(None) == tmp_path / "debian" / "data.noun"


@pytest.fixture(scope="module")
def place() -> Path:
    """Return the folder of the real WordNet 3.0."""
    named = os.environ.get("VOCABOX_WORDNET")
    if not named:
        pytest.skip("set VOCABOX_WORDNET to a folder with data.noun of WordNet 3.0")
    return find_wordnet(Path(named))


@pytest.fixture(scope="module")
def nouns(place: Path) -> ClassGraph:
    return graph_of(KINDS, {"nouns": place})


def test_wordnet_has_the_known_closures(nouns: ClassGraph, place: Path) -> None:
    assert len(nouns) == 82_115
    known = {DOG: 189, "n04524313": 519, "n00015388": 3_998, "n00021939": 10_504, ENTITY: 74_373}
    assert {wnid: below(nouns, wnid) for wnid in known} == known
    assert below(graph_of(INSTANCES, {"nouns": place}), ENTITY) == 82_114
    assert {"n02083346", "n01317541"} <= above(nouns, DOG)  # canine.n.02, domestic_animal.n.01
    assert "n02117135" in {nouns.ids[i] for i in nouns.children.row(nouns.ids.index("n02083346"))}


def test_a_vocabulary_of_wordnet_keeps_what_is_above_through_others(nouns: ClassGraph) -> None:
    ids = ("fine:n02085620", "fine:n02123045", "coarse:n00015388", "coarse:n02084071")
    made = nouns.within(Vocabulary(ids=ids, names=ids))
    assert above(made, "fine:n02085620") == {"coarse:n00015388", "coarse:n02084071"}
    assert above(made, "fine:n02123045") == {"coarse:n00015388"}
    assert pairs(made) == {
        ("fine:n02085620", "coarse:n02084071"),
        ("fine:n02123045", "coarse:n00015388"),
        ("coarse:n02084071", "coarse:n00015388"),
    }


def test_nltk_reads_the_same_wordnet(nouns: ClassGraph, place: Path, tmp_path: Path) -> None:
    with nltk_reader(place.parent, tmp_path) as reader:
        assert pairs(nouns) == by_nltk(reader, instances=False)
        dog, wolf = reader.synset_from_pos_and_offset("n", 2084071), reader.synset("wolf.n.01")
        assert dog.name() == "dog.n.01"
        assert dog.shortest_path_distance(wolf) == 2
        assert dog.path_similarity(wolf) == pytest.approx(1 / 3)
        assert dog.wup_similarity(wolf) == pytest.approx(0.9286, abs=5e-5)
        hyena, canine = reader.synset("hyena.n.01"), reader.synset("canine.n.02")
        assert hyena.hypernyms() == [canine]  # paper 1 has it closer to the felines
        assert hyena.path_similarity(canine) == 0.5
        assert hyena.path_similarity(reader.synset("feline.n.01")) == 0.25
