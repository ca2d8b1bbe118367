from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.vocab.classes import Vocabulary, VocabularyError, name_of, union

IDS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), unique=True)


def test_ids_are_sorted_and_names_follow_the_first_colon() -> None:
    made = Vocabulary.of(["fine:red fish", "coarse:fish", "fine:red fish", "fine:a:b"])
    assert made.ids == ("coarse:fish", "fine:a:b", "fine:red fish")
    assert made.names == ("fish", "a:b", "red fish")
    assert name_of("bare") == "bare"


def test_doubles_are_refused() -> None:
    with pytest.raises(VocabularyError, match="each class id once; got 'b' twice and 1 such"):
        Vocabulary(ids=("b", "a", "b"), names=("b", "a", "b"))
    with pytest.raises(VocabularyError, match="got 2 ids and 1 names"):
        Vocabulary(ids=("a", "b"), names=("a",))


def test_an_error_names_the_nearest_class() -> None:
    made = Vocabulary.of(["fine:carp", "fine:pike"])
    assert made.index("fine:pike") == 1
    with pytest.raises(VocabularyError, match=r"got 'fine:crap'. Did you mean 'fine:carp'?"):
        made.index("fine:crap")
    with pytest.raises(VocabularyError, match="It has 2 classes"):
        made.index("zebra")


@settings(max_examples=30, deadline=None)
@given(first=IDS, second=IDS)
def test_mapping_and_union_keep_every_class(first: list[str], second: list[str]) -> None:
    a, b = Vocabulary.of(first), Vocabulary.of(second)
    for i, j in enumerate(a.mapping(b).tolist()):
        assert (a.ids[i] not in b.ids) if j < 0 else (a.ids[i] == b.ids[j])
    both = union(a, b)
    assert both.ids[: len(a)] == a.ids
    assert set(both.ids) == set(first) | set(second)
    assert (b.mapping(both) >= 0).all()


@settings(max_examples=20, deadline=None)
@given(ids=IDS)
def test_a_file_gives_the_vocabulary_back(
    ids: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("vocabulary") / "vocabulary.json"
    made = Vocabulary.of(ids)
    made.write(place)
    assert Vocabulary.read(place) == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a vocabulary"),
        ("[1]", "not a vocabulary"),
        ('{"version": 1, "classes": [{"id": "a"}]}', "not a vocabulary; got KeyError"),
        ('{"version": 9, "classes": []}', "version 9; got a file of a newer vocabox"),
        (
            '{"version": 1, "classes": [{"id":"a","name":"a"},{"id":"a","name":"b"}]}',
            "got 'a' twice",
        ),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    place = tmp_path / "vocabulary.json"
    place.write_text(text)
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.read(place)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="not a vocabulary; got FileNotFoundError"):
        Vocabulary.read(tmp_path / "vocabulary.json")
