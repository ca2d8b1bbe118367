import json
from pathlib import Path

import pytest

from components.vocab.class_list import LARGEST, difference, read_class_list
from components.vocab.classes import VocabularyError


@pytest.mark.parametrize(
    ("text", "ids", "names"),
    [
        ("n1\n\n fine:b \n", ("n1", "fine:b"), ("n1", "b")),
        ('["x", "y"]', ("x", "y"), ("x", "y")),
        ('[{"id": "n1", "name": "tench"}, "y"]', ("n1", "y"), ("tench", "y")),
        ('{"version": 1, "classes": [{"id": "a", "name": "A"}]}', ("a",), ("A",)),
    ],
)
def test_a_list_keeps_its_order(
    tmp_path: Path, text: str, ids: tuple[str, ...], names: tuple[str, ...]
) -> None:
    (tmp_path / "list").write_text(text)
    found = read_class_list(tmp_path / "list")
    assert (found.ids, found.names) == (ids, names)
    found.write(tmp_path / "again")
    assert read_class_list(tmp_path / "again") == found


def test_a_long_list_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "list").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(VocabularyError, match=f"at most {LARGEST} bytes"):
        read_class_list(tmp_path / "list")
    (tmp_path / "list").write_text(json.dumps(["a"]))
    assert len(read_class_list(tmp_path / "list")) == 1


@pytest.mark.parametrize(
    ("wanted", "got", "said"),
    [
        ("abc", "abc", ""),
        ("abc", "acb", "another order from row 1 on (2 differ): row 1 is 'c' for 'b'; row 2 is"),
        ("abc", "ab", "2 classes for 3, 1 missing: 'c'"),
        ("abc", "abd", "1 missing: 'c', 1 new: 'd'"),
        ("abcdef", "", "0 classes for 6, 6 missing: 'a', 'b', 'c' and 3 more"),
    ],
)
def test_a_difference_is_said_in_words(wanted: str, got: str, said: str) -> None:
    found = difference(tuple(wanted), tuple(got))
    assert found.startswith(said)
    assert bool(found) == bool(said)
