"""Every setting as a page of Markdown, made of the dataclasses: one table for each of them.

The dataclass is the one place where a setting is described; configs/SETTINGS.md is what this says.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pipelines.settings.field_comments import field_comments, first_line
from pipelines.settings.leaves import element
from pipelines.settings.wording import expected, kind_of, limits, number_text

REQUIRED = "required"
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")  # text that needs no quotes in YAML
HEAD = """\
# Every setting

Made from the code by `pytest --write-golden`; a test holds this page to it. What to choose, and
why, is in [README.md](README.md).

A name is what you write on the page, section by section, or on the command line:
`stage2.steps=500`. `N` is a place in a list, from 0; `NAME` is a name of yours.
"""
TITLES = "| setting | takes | default | meaning |\n|---|---|---|---|\n"


def as_markdown(*schemas: type[Any]) -> str:
    """Return a page with a table for each dataclass of the schemas, under every name it has."""
    places: dict[type[Any], list[str]] = {}
    for schema in schemas:
        _find(schema, "", places)
    return HEAD + "".join(_table(cls, names) for cls, names in places.items())


def default_text(item: "dataclasses.Field[Any]") -> str:
    """Return what counts where a setting is left out, as YAML; REQUIRED if nothing does."""
    if item.default_factory is not MISSING:
        return _yaml(item.default_factory())
    return REQUIRED if item.default is MISSING or _chooses(item) else _yaml(item.default)


def _find(cls: type[Any], at: str, places: dict[type[Any], list[str]]) -> None:
    """Note the dotted name of a dataclass and of those below it, in the order of the page."""
    places.setdefault(cls, []).append(at)
    for name, hint in get_type_hints(cls, include_extras=True).items():
        for below, part in _parts(hint, f"{at}.{name}".removeprefix(".")):
            _find(part, below, places)


def _parts(hint: Any, at: str) -> Iterator[tuple[str, type[Any]]]:
    """Yield (dotted name, dataclass) of those that a value of this type may hold."""
    bare = limits(hint).bare
    if dataclasses.is_dataclass(bare):
        yield at, bare if isinstance(bare, type) else type(bare)
    elif get_origin(bare) is tuple:
        yield from _parts(element(bare, 0), f"{at}.N")
    elif get_origin(bare) is dict:
        yield from _parts(get_args(bare)[1], f"{at}.NAME")
    elif get_origin(bare) is not Literal:
        for part in get_args(bare):
            yield from _parts(part, at)


def _table(cls: type[Any], names: list[str]) -> str:
    hints = get_type_hints(cls, include_extras=True)
    said = field_comments(cls)
    head = ", ".join(f"`{name}`" for name in dict.fromkeys(names) if name) or _page(hints)
    if any(_chooses(item) for item in dataclasses.fields(cls)):
        head += f" of kind {kind_of(cls)}"
    table = ""
    for item in dataclasses.fields(cls):
        hint = hints[item.name]
        means = said.get(item.name) or "; ".join(first_line(part) for _, part in _parts(hint, ""))
        means = means or ("chooses this table" if _chooses(item) else "")
        cells = (f"`{item.name}`", expected(hint), default_text(item), means)
        row = " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells)
        table += f"| {row} |\n"
    return f"\n## {head}\n\n{first_line(cls)}.\n\n{TITLES}{table}"


def _page(hints: dict[str, Any]) -> str:
    recipe = get_args(hints.get("recipe"))
    return f"The page of recipe {recipe[0]}" if recipe else "The page"


def _chooses(item: "dataclasses.Field[Any]") -> bool:
    """Say whether a field is the `kind` by which a page chooses this dataclass among others."""
    return item.name == "kind" and get_args(item.type)[1:] == ()


def _yaml(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        given = [
            f"{item.name}: {_yaml(getattr(value, item.name))}"
            for item in dataclasses.fields(value)
            if default_text(item) != _yaml(getattr(value, item.name))
        ]
        return f"{{{', '.join(given)}}}"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_yaml, value))}]"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return number_text(value) if isinstance(value, float) else json.dumps(value)
