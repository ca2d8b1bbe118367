"""The words for what a setting expects: "a whole number >= 1", "one of joint, classify"."""

import dataclasses
import re
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pipelines.settings.problems import nearest, shown
from pipelines.settings.yaml_door import Unquoted

_PLAIN = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}
UNIONS = (Union, types.UnionType)


@dataclasses.dataclass(kw_only=True, slots=True)
class Limits:
    """The type below `Annotated`, and what its marks allow; a bound carries its bracket."""

    bare: Any
    low: tuple[object, str] | None = None
    high: tuple[object, str] | None = None
    least: int = 0  # entries of a list
    most: int | None = None


def limits(hint: Any) -> Limits:
    """Return the type below `Annotated` with the bounds of its marks."""
    made = Limits(bare=hint)
    while get_origin(made.bare) is Annotated:
        made.bare, *marks = get_args(made.bare)
        for mark in marks:
            for name, bracket in (("ge", "["), ("gt", "(")):
                value = getattr(mark, name, None)
                made.low = made.low if value is None else (value, bracket)
            for name, bracket in (("le", "]"), ("lt", ")")):
                value = getattr(mark, name, None)
                made.high = made.high if value is None else (value, bracket)
            made.least = getattr(mark, "min_length", None) or made.least
            made.most = getattr(mark, "max_length", None) or made.most
    return made


def expected(hint: Any) -> str:
    """Return what a value of type `hint` is, in words."""
    known = limits(hint)
    bare = known.bare
    words = _OF.get(get_origin(bare), _of_plain)(bare)
    if known.least:
        words += ", not empty" if bare is str else f", {known.least} or more"
    if known.most is not None:
        words += f", {known.most} at most"
    low, high = (number_text(end[0]) if end else "" for end in (known.low, known.high))
    if known.low and known.high:
        return f"{words} in {known.low[1]}{low}, {high}{known.high[1]}"
    if known.low:
        return f"{words} {'>=' if known.low[1] == '[' else '>'} {low}"
    if known.high:
        return f"{words} {'<=' if known.high[1] == ']' else '<'} {high}"
    return words


def number_text(value: object) -> str:
    """Return a number as people write it: 5.0 is 5, 1e6 is 1000000."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def kinds_of(hint: Any) -> dict[str, type]:
    """Return the dataclasses of a union by the text of their field `kind`; of one, nothing."""
    if get_origin(hint) not in UNIONS:
        return {}
    parts = [part for part in get_args(hint) if part is not type(None)]
    classes = all(isinstance(part, type) and dataclasses.is_dataclass(part) for part in parts)
    if not classes or len(parts) == 1:
        return {}
    return {kind_of(part): part for part in parts}


def leaves_of(hint: Any) -> set[Any]:
    """Return the plain types and the choices that stand anywhere inside a type."""
    bare = limits(hint).bare
    inner = () if get_origin(bare) is Literal else get_args(bare)
    return set().union(*map(leaves_of, inner)) if inner else {bare}


def remedy(hint: Any, raw: Any) -> str:
    """Return what to do about a value of the wrong type or out of range, in one sentence."""
    leaves = leaves_of(hint)
    if isinstance(raw, Unquoted):
        do = f'quote it: "{raw}"' if str in leaves else "write it plainly"
        return f"YAML reads it as {raw.meaning}; {do}."
    if str in leaves and isinstance(raw, bool | int | float):
        return f'Quote it: "{shown(raw)}".'
    digits = raw.strip("+-").replace(".", "", int(float in leaves)) if type(raw) is str else ""
    if digits.isdecimal() and leaves & {int, float}:
        return "Remove the quotes."
    choices = [c for c in get_args(limits(hint).bare) if isinstance(c, str)]
    if isinstance(raw, str) and choices:
        return nearest(raw, choices, otherwise="Choose one of them.")
    return "Change the value."


def kind_of(cls: Any) -> str:
    """Return the `kind` by which a page chooses this dataclass among others."""
    for item in dataclasses.fields(cls):
        if item.name == "kind" and isinstance(item.default, str):
            return item.default
    raise TypeError(f"{cls.__name__}: a dataclass in a union needs `kind: Literal[..] = ..`.")


def _of_plain(hint: Any) -> str:
    if dataclasses.is_dataclass(hint):
        return "a mapping"
    return _PLAIN.get(hint, str(hint))


def _of_choices(hint: Any) -> str:
    choices = [c if isinstance(c, str) else shown(c) for c in get_args(hint)]
    return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]


def _of_union(hint: Any) -> str:
    if kinds := kinds_of(hint):
        return f"a mapping with kind: {' or '.join(kinds)}"
    return " or ".join(expected(part) for part in get_args(hint))


def _of_tuple(hint: Any) -> str:
    parts = get_args(hint)
    if len(parts) == 2 and parts[1] is Ellipsis:
        return f"a list of {_plural(parts[0])}"
    if len(set(parts)) == 1:
        return f"a list of {len(parts)} {_plural(parts[0])}"
    return f"a list of {len(parts)}: {', '.join(expected(part) for part in parts)}"


def _of_dict(hint: Any) -> str:
    return f"a mapping of names to {_plural(get_args(hint)[1])}"


def _plural(hint: Any) -> str:
    words = expected(hint)
    head, number, tail = words.partition("number")
    if number:
        return f"{head.removeprefix('a ')}numbers{tail}"
    ones = {"a list": "lists", "a mapping": "mappings", "text": "texts"}
    return re.sub(r"\b(a list|a mapping|text)\b", lambda found: ones[found[0]], words)


_OF: dict[Any, Callable[[Any], str]] = {
    Literal: _of_choices,
    Union: _of_union,
    types.UnionType: _of_union,
    tuple: _of_tuple,
    dict: _of_dict,
}
