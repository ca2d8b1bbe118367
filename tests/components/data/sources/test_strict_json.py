from pathlib import Path

import pytest

from components.data.sources.label_problems import DataError
from components.data.sources.strict_json import read_json


def test_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, 2.5, null, "\u00e9"]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": [1, 2.5, None, "\u00e9"]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1, column 1, character 0 of 0"),
        (b"\xff\xfe", "not UTF-8; got byte 0"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1} x', "Extra data"),
        (b'{"a": NaN}', "got NaN"),
        (b'{"a": 1, "a": 2}', "stands twice in one object; got 'a'"),
        (b"[" * 200_000, "nested too deep"),
        (b'[{"id": 12}, {"id": "x"}, {"i', 'The last id before it is "x".'),
        (b"9" * 5000, "an integer is too long"),
    ],
)
def test_what_is_not_strict_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.json: ") as caught:
        read_json(tmp_path / "a.json")
    assert words in str(caught.value)
