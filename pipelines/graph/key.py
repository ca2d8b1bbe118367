"""The identity of a result: canonical text of settings, and the key made of all that counts."""

import dataclasses
import functools
import hashlib
import json
import math
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

from pipelines.graph.artifact import ArtifactKind

SCHEMA = 1  # of keys and records

Identity = str | dict[str, str]  # digest of an artifact, or of each role of a view


class KeyTextError(ValueError):
    """A value cannot be part of a key."""


def canonical(value: object) -> str:
    """Return JSON with sorted keys and no spaces; for values that are plain already."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def sha256(text: str | bytes) -> str:
    """Return 64 hex digits; a file name that is not UTF-8 counts by its bytes."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()


def plain(value: object, *, where: str) -> Any:
    """Turn settings into JSON values: dataclass -> fields and kind, tuple -> list, enum -> name.

    A number in a float field becomes a float, -0.0 becomes 0.0. A field with metadata
    `since_default` is left out while it has that value.

    Raises:
        KeyTextError: with one line for each value that has no stable text, by dotted path.
    """
    problems: list[str] = []
    out = _plain(value, None, where, problems)
    if problems:
        raise KeyTextError("\n".join(problems))
    return out


def node_key(
    fn: Callable[..., Any],
    *,
    code: str,
    settings: Any,
    parts: Mapping[str, Callable[..., Any]],
    makes: ArtifactKind,
    inputs: Mapping[str, Identity],
    versions: Mapping[str, str] | None = None,
) -> str:
    """Return the key of a node, 64 hex digits; settings are plain already.

    Versions are in it only where some are given, so that an upgrade reruns nothing by itself.
    """
    named = {name: label(part) for name, part in parts.items()}
    return sha256(
        canonical(
            {
                "schema": SCHEMA,
                "fn": label(fn),
                "code": code,
                "settings": settings,
                "parts": named,
                "makes": [makes.name, makes.version],
                "inputs": dict(inputs),
            }
            | ({"versions": dict(versions)} if versions else {})
        )
    )


def label(thing: Callable[..., Any]) -> str:
    """Return module:name of a function or class."""
    return f"{thing.__module__}:{thing.__qualname__}"


def classes_in(value: object) -> Iterator[type]:
    """Yield the classes of all dataclasses and enums among settings values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield type(value)
        for field in dataclasses.fields(value):
            yield from classes_in(getattr(value, field.name))
    elif isinstance(value, Enum):
        yield type(value)
    elif isinstance(value, tuple | list):
        for item in cast("list[object]", value):
            yield from classes_in(item)
    elif isinstance(value, Mapping):
        for item in cast("Mapping[object, object]", value).values():
            yield from classes_in(item)


def _plain(value: object, hint: Any, where: str, problems: list[str]) -> Any:
    hint = bare(hint)
    out: Any = None
    if isinstance(value, Enum):
        out = value.name
    elif value is None or isinstance(value, bool | str):
        out = value
    elif type(value) in (int, float):
        out = _number(cast("int | float", value), hint, where, problems)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        out = _fields(value, where, problems)
    elif isinstance(value, tuple | list):
        items = cast("list[object]", list(value))
        hints = _item_hints(hint, type(value), len(items))
        out = [_plain(v, hints[i], f"{where}.{i}", problems) for i, v in enumerate(items)]
    elif isinstance(value, dict):
        out = _dict(cast("dict[object, object]", value), hint, where, problems)
    else:
        problems.append(_refusal(value, where))
    return out


def _number(value: float, hint: Any, where: str, problems: list[str]) -> int | float:
    if isinstance(value, int) and not _is_float(hint):
        return value
    if not math.isfinite(value):
        problems.append(
            f"{where}: must be a finite number to be in a key; got {value}. "
            "Leave it out, or use a large number."
        )
        return 0
    return float(value) + 0.0  # -0.0 + 0.0 is 0.0


def _fields(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    hints = _hints(type(value))
    out: dict[str, Any] = {"kind": type(value).__name__}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if "since_default" in field.metadata and item == field.metadata["since_default"]:
            continue
        out[field.name] = _plain(item, hints.get(field.name), f"{where}.{field.name}", problems)
    return out


def _dict(
    value: dict[object, object], hint: Any, where: str, problems: list[str]
) -> dict[str, Any]:
    hints = get_args(_matching(hint, dict))
    inner = hints[1] if len(hints) == 2 else None
    out: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(name, str):
            out[name] = _plain(item, inner, f"{where}.{name}", problems)
        else:
            problems.append(
                f"{where}: names must be text to be in a key; got {name!r}. Write it as text."
            )
    return out


def _refusal(value: object, where: str) -> str:
    if isinstance(value, type) or callable(value):
        what, do = "a function or class", "Bind it to the node as a part"
    elif hasattr(value, "__fspath__"):
        what, do = "a path", "Let the bytes enter by Outside, as an input"
    elif isinstance(value, set | frozenset):
        what, do = "a set, which has no order,", "Use a tuple"
    else:
        what, do = f"a {type(value).__name__}", "Use numbers, text, tuples or dataclasses"
    return f"{where}: has no stable text, so it cannot be in a key; got {what}. {do}."


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def bare(hint: Any) -> Any:
    """Return a type hint without its annotations."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint


def branches(hint: Any) -> tuple[Any, ...]:
    """Return the types that a hint allows."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(bare(branch) for branch in get_args(hint))
    return (hint,)


def _is_float(hint: Any) -> bool:
    allowed = branches(hint)
    return float in allowed and int not in allowed


def _matching(hint: Any, cls: type) -> Any:
    """Return the branch of a union that describes a container of this class."""
    return next((branch for branch in branches(hint) if get_origin(branch) is cls), None)


def _item_hints(hint: Any, cls: type, count: int) -> tuple[Any, ...]:
    hints = get_args(_matching(hint, cls))
    if cls is list or (len(hints) == 2 and hints[1] is Ellipsis):
        return (hints[0] if hints else None,) * count
    return hints if len(hints) == count else (None,) * count
