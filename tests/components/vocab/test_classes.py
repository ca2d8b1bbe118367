from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.vocab.classes import Vocabulary, VocabularyError, name_of, readable, union

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


def test_a_name_means_the_class_that_has_it() -> None:
    known = Vocabulary(ids=("imagenet:n01443537", "x:koi"), names=("goldfish", "koi"))
    for asked in ("goldfish", "imagenet:goldfish"):
        assert known.meant(asked) == "imagenet:n01443537"
    assert known.meant("x:kol") == "x:koi"
    assert known.meant("q") is None


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


def test_people_read_names_and_two_of_one_name_stay_apart() -> None:
    known = Vocabulary(
        ids=("net:n1", "net:n2", "net:n3", "bird:crane", "bare"),
        names=("crane", "crane", "goldfish", "crane", "other"),
    )
    assert readable(known) == (
        "net:crane (n1)", "net:crane (n2)", "net:goldfish", "bird:crane", "other",
    )  # fmt: skip
    plain = Vocabulary.of(["fine:red fish", "coarse:fish", "fine:a:b"])
    assert readable(plain) == plain.ids


@given(IDS, st.lists(st.sampled_from(["a", "b"]), min_size=1))
def test_no_two_classes_read_the_same(ids: list[str], names: list[str]) -> None:
    known = Vocabulary(
        ids=tuple(f"x:{i}" for i in ids),
        names=tuple(names[k % len(names)] for k in range(len(ids))),
    )
    assert len(set(readable(known))) == len(known)


TWICE = st.sampled_from(["a", "b", "a (b)", "a (a)", "b (a)", "a (a) (b)", "x:a", "x:a (b)", ""])


@given(st.dictionaries(st.tuples(st.sampled_from(["x:", "y:", ""]), TWICE), TWICE, min_size=1))
def test_a_name_that_looks_like_another_classs_text_is_told_apart(
    given_names: dict[tuple[str, str], str],
) -> None:
    names = {level + own: name for (level, own), name in given_names.items()}
    known = Vocabulary(ids=tuple(names), names=tuple(names.values()))
    assert len(set(readable(known))) == len(known)


def test_two_cranes_and_one_that_is_named_as_the_first_reads() -> None:
    ids = ("i:x1", "i:x2", "i:y", "crane", "i:crane")
    known = Vocabulary(ids=ids, names=("crane", "crane", "crane (x1)", "crane", "crane"))
    assert readable(known) == (
        "i:crane (x1)", "i:crane (x2)", "i:crane (x1) (y)", "crane", "i:crane",
    )  # fmt: skip
