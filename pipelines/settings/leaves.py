"""One leaf of settings: a value that holds no dataclass, checked strictly by pydantic."""

import re
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from pipelines.settings.wording import leaves_of, limits
from pipelines.settings.yaml_door import Place, Unquoted

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z")  # 1e-3 is text to YAML 1.1

Wrong = list[tuple[Any, Any, Place]]  # type expected, value got, path below the leaf


def read_leaf(hint: Any, raw: Any) -> tuple[Any, Wrong]:
    """Return the value as its type wants it, and every place in it that is wrong."""
    try:
        return _adapter(hint).validate_python(_meant(hint, raw)), []
    except ValidationError as error:
        wrong: dict[Place, tuple[Any, Any, Place]] = {}
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            found = _descend(hint, raw, one["loc"])
            wrong.setdefault(found[2], found)
        return None, list(wrong.values())


def element(hint: Any, step: int) -> Any:
    """Return the type of entry `step` of a tuple type."""
    parts = get_args(hint)
    return parts[0] if endless(hint) else parts[min(step, len(parts) - 1)]


def endless(hint: Any) -> bool:
    """Return whether a tuple type takes any number of entries."""
    parts = get_args(hint)
    return len(parts) == 2 and parts[1] is Ellipsis


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=_STRICT)


class _Ambiguous:
    """Stands for what was written unquoted and YAML would misread: of no type, so refused."""


def _meant(hint: Any, raw: Any) -> Any:
    """Return `raw` with lists as tuples, and text that is a number where only a number is due."""
    if isinstance(raw, list):
        return tuple(_meant(hint, item) for item in raw)
    if isinstance(raw, dict):
        return {key: _meant(hint, item) for key, item in raw.items()}
    leaves = leaves_of(hint)
    if isinstance(raw, Unquoted):
        truth = bool in leaves and str not in leaves and raw.meaning in ("true", "false")
        return raw.meaning == "true" if truth else _Ambiguous()
    if isinstance(raw, str) and float in leaves and str not in leaves and _EXPONENT.match(raw):
        return float(raw)
    return raw


def _descend(hint: Any, raw: Any, loc: tuple[int | str, ...]) -> tuple[Any, Any, Place]:
    """Return type, value and path of the place an error of pydantic points to."""
    below: list[int | str] = []
    for step in loc:
        bare = limits(hint).bare
        if isinstance(raw, list) and isinstance(step, int) and get_origin(bare) is tuple:
            if step >= len(raw):
                break
            hint, raw = element(bare, step), raw[step]
        elif isinstance(raw, dict) and step in raw and get_origin(bare) is dict:
            hint, raw = get_args(bare)[1], raw[step]
        else:
            break  # a branch of a union, or a key: the whole value is meant
        below.append(step)
    return hint, raw, tuple(below)
