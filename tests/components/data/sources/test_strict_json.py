import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.data.sources import strict_json
from components.data.sources.strict_json import BEGINS, JsonError, Piece, pieces

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=4), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


def _slow(value: Any) -> list[Piece]:
    """Return what pieces should yield, from the whole value."""
    if not isinstance(value, dict | list):
        return [Piece(None, None, value)]
    if isinstance(value, list):
        return [Piece(None, i, item) for i, item in enumerate(value)]
    made: list[Piece] = []
    for key, item in value.items():
        if isinstance(item, list):
            made.append(Piece(key, BEGINS, None))
            made += [Piece(key, i, one) for i, one in enumerate(item)]
        else:
            made.append(Piece(key, None, item))
    return made


@given(VALUES, st.sampled_from([3, 4, 5, 7, 64]), st.sampled_from([None, 1]), st.booleans())
@example(value=[0.5], chunk=3, indent=None, plain=True)
@example(value=[1e-07], chunk=4, indent=None, plain=True)
@settings(max_examples=150, deadline=None)
def test_pieces_are_those_of_the_whole_value(
    tmp_path_factory: pytest.TempPathFactory,
    value: Any,
    chunk: int,
    indent: int | None,
    plain: bool,
) -> None:
    """Wherever the window ends, inside a number or a character too."""
    place = tmp_path_factory.getbasetemp() / "a.json"
    place.write_text(json.dumps(value, indent=indent, ensure_ascii=plain), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "CHUNK", chunk)
        assert list(pieces(place)) == _slow(value)


def test_a_byte_order_mark_is_passed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]", encoding="utf-8-sig")
    assert list(pieces(tmp_path / "a.json")) == [Piece(None, 0, 1)]


BAD: list[tuple[bytes, str, str]] = [
    (b"", "json.syntax", "the file ends too early; got line 1, column 1, byte 0 of 0"),
    (b"\xff\xfe", "json.syntax", "not UTF-8; got byte 0"),
    (b"\xef\xbb\xbf[1, caf\xe9]", "json.syntax", "not UTF-8; got byte 10"),
    (b"[1]\xc3", "json.syntax", "not UTF-8; got byte 3"),
    (b"{'a': 1}", "json.syntax", "Expecting a key in double quotes"),
    (b'{"a" "b"}', "json.syntax", "Expecting ':' delimiter"),
    (b'[1,\n {"a" "b"}]', "json.syntax", "Expecting ':' delimiter; got line 2, column 7, byte 10"),
    (b"[1 2]", "json.syntax", "Expecting ',' delimiter; got line 1, column 4"),
    (b"[1,]", "json.syntax", "not JSON"),
    (b'{"a": 1} x', "json.syntax", "Extra data; got line 1, column 10"),
    (b'{"a": NaN}', "json.not_strict", "got NaN"),
    (b'{"a": 1, "a": 2}', "json.not_strict", "stands twice in one object; got 'a'"),
    (b'[{"a": 1, "a": 2}]', "json.not_strict", "stands twice in one object; got 'a'"),
    (b"[" * 200_000, "json.too_deep", "nested too deep"),
    (b"[" * 102 + b"]" * 102, "json.too_deep", "got 101 levels"),
    (b'[{"id": 12}, {"id": "x"}, {"i', "json.syntax", 'The last id before it is "x".'),
    (b'{"b": [1, 2, {"i', "json.syntax", "The last whole record is b[1]."),
    (b"9" * 5000, "json.too_long", "an integer is too long"),
]


@pytest.mark.parametrize(("data", "check", "words"), BAD)
@pytest.mark.parametrize("chunk", [3, 2**20])
def test_what_is_not_strict_is_refused(
    tmp_path: Path, data: bytes, check: str, words: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict_json, "CHUNK", chunk if len(data) < 300 else 2**20)
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(JsonError, match=r"a\.json: ") as caught:
        list(pieces(tmp_path / "a.json"))
    assert words in str(caught.value)
    assert caught.value.finding.check == check


def test_a_hundred_levels_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 101 + "]" * 101)
    assert len(list(pieces(tmp_path / "a.json"))) == 1
