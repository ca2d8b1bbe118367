"""Canonical text and keys."""

import dataclasses
import enum
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.graph.artifact import FILES, SHARDS, ArtifactKind
from pipelines.graph.key import KeyTextError, canonical, classes_in, node_key, plain
from tests.pipelines.graph import bodies


class Color(enum.Enum):
    RED = 1


class Word(str, enum.Enum):  # noqa: UP042
    SOFT = "s"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaf:
    rate: Annotated[float, "unit"] = 1.0
    rates: tuple[float, ...] = ()
    pair: tuple[int, float] = (1, 1.0)
    table: dict[str, float] = dataclasses.field(default_factory=dict)
    maybe: float | None = None
    both: int | float = 1
    kind: Literal["leaf"] = "leaf"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tree:
    leaf: Leaf = Leaf()
    color: Color = Color.RED
    word: Word = Word.SOFT
    added: int = dataclasses.field(default=0, metadata={"since_default": 0})
    free: Any = None


def _text(value: object) -> str:
    return canonical(plain(value, where="node"))


def test_the_text_is_written_out() -> None:
    assert _text(Tree(leaf=Leaf(rates=(1, -0.0), table={"b": 1, "a": 2}))) == (
        '{"color":"RED","free":null,"kind":"Tree","leaf":{"both":1,"kind":"leaf","maybe":null,'
        '"pair":[1,1.0],"rate":1.0,"rates":[1.0,0.0],"table":{"a":2.0,"b":1.0}},"word":"SOFT"}'
    )


def test_a_whole_number_in_a_float_field_is_that_float() -> None:
    assert _text(Leaf(rate=1, maybe=2, pair=(3, 4))) == _text(
        Leaf(rate=1.0, maybe=2.0, pair=(3, 4.0))
    )
    assert _text(Leaf(both=1)) != _text(Leaf(both=1.0))


def test_a_new_field_with_since_default_moves_nothing_until_it_is_used() -> None:
    assert "added" not in _text(Tree())
    assert '"added":1' in _text(Tree(added=1))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Path("/data"), r"node\.free: has no stable text.*; got a path\. Let the bytes enter"),
        (math.sin, r"node\.free: .*got a function or class\. Bind it to the node as a part"),
        (Leaf, r"node\.free: .*got a function or class"),
        ({1, 2}, r"node\.free: .*got a set"),
        (b"x", r"node\.free: .*got a bytes"),
        (math.nan, r"node\.free: must be a finite number to be in a key; got nan"),
        ({"a": [1, math.inf]}, r"node\.free\.a\.1: must be a finite number"),
        ({1: 2}, r"node\.free: names must be text"),
        (object(), r"node\.free: .*got a object"),
    ],
)
def test_what_has_no_stable_text_is_refused_by_path(value: object, message: str) -> None:
    with pytest.raises(KeyTextError, match=message):
        plain(Tree(free=value), where="node")


def test_all_refusals_come_at_once() -> None:
    with pytest.raises(KeyTextError) as caught:
        plain(Tree(free=[b"x", Path("/a")]), where="node")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "node.free.0", "node.free.1",
    ]  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False)))
def test_order_of_a_dict_does_not_matter(table: dict[str, float]) -> None:
    turned = dict(reversed(table.items()))
    assert _text(Leaf(table=table)) == _text(Leaf(table=turned))


def test_every_part_of_a_key_moves_it() -> None:
    def key(**change: Any) -> str:
        fields: dict[str, Any] = {
            "code": "c", "settings": {"a": 1}, "parts": {"p": bodies.add}, "makes": FILES,
            "inputs": {"x": "d"}, **change,
        }  # fmt: skip
        return node_key(fields.pop("fn", bodies.train), **fields)

    keys = [
        key(),
        key(fn=bodies.add),
        key(code="d"),
        key(settings={"a": 2}),
        key(parts={"p": bodies.parity}),
        key(parts={"q": bodies.add}),
        key(makes=SHARDS),
        key(makes=ArtifactKind(name="files", version=2)),
        key(inputs={"x": "e"}),
        key(inputs={"y": "d"}),
        key(inputs={"x": {"role": "d"}}),
    ]
    assert len(set(keys)) == len(keys)
    assert len(keys[0]) == 64


def test_a_key_is_the_same_in_another_process() -> None:
    code = (
        "from pipelines.graph.key import canonical, plain;"
        "from tests.pipelines.graph.test_key import Tree, Leaf;"
        "print(canonical(plain(Tree(leaf=Leaf(table={'b': 1, 'a': 2})), where='n')), end='')"
    )
    root = Path(__file__).parents[3]
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert seen == {_text(Tree(leaf=Leaf(table={"b": 1, "a": 2})))}


def test_classes_of_settings_are_found() -> None:
    assert list(classes_in(Tree(free=({"a": Leaf()},)))) == [Tree, Leaf, Color, Word, Leaf]
