"""Read a page and overrides into the frozen dataclasses of the rooms; every problem at once.

The dataclasses are plain and live beside the code that uses them; nothing is asked of them but
types. Here they are closed (an unknown key is a problem with the nearest name), a union of them is
chosen by `kind`, so that only the chosen branch complains, and every leaf is checked by a pydantic
`TypeAdapter`, strictly: `true` and `"12"` are no whole numbers; 1 is a number, and so is `1e-3`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipelines.settings.overrides import apply
from pipelines.settings.problems import Problem, SettingsError, nearest, shown
from pipelines.settings.walking import Walk, place_text
from pipelines.settings.yaml_door import Page, load_yaml

T = TypeVar("T")


def read(path: Path, overrides: Sequence[str], *, schema: type[T]) -> tuple[T, dict[str, Any]]:
    """Return the settings of one file and the values they were read from, overrides applied.

    Raises:
        SettingsError: with every problem of the page, the overrides and the values.
    """
    return read_page(load_yaml(path), overrides, schema=schema)


def read_page(page: Page, overrides: Sequence[str], *, schema: type[T]) -> tuple[T, dict[str, Any]]:
    """Return the settings of a page that was read already; else as `read`."""
    page, problems = apply(page, overrides)
    walk = Walk(page.places)
    made: T = walk.value(schema, page.values)
    problems = [*problems, *walk.problems]
    if problems:
        raise SettingsError(problems, file=page.file)
    return made, page.values


def choose(page: Page, overrides: Sequence[str], *, key: str, table: Mapping[str, T]) -> T:
    """Return the row of `table` that the page names under `key`, overrides counted.

    Raises:
        SettingsError: the key is missing or names no row; with the problems of the overrides.
    """
    page, problems = apply(page, overrides)
    name, rows = page.values.get(key), sorted(table)
    if isinstance(name, str) and name in table:
        return table[name]
    where = place_text(page.places, (key,))
    if key not in page.values:
        do = f"Add `{key}:` with one of {', '.join(rows)}."
        problem = Problem(where=where, what="required, and not given", do=do)
    else:
        do = nearest(str(name), rows, otherwise="Choose one of them.")
        what = f"expected one of {', '.join(rows)}"
        problem = Problem(where=where, what=what, got=shown(name), do=do)
    raise SettingsError([problem, *problems], file=page.file)


def plain(cfg: Any) -> Any:
    """Return settings as nested mappings and lists: what JSON and YAML can hold."""
    if dataclasses.is_dataclass(cfg):
        return {f.name: plain(getattr(cfg, f.name)) for f in dataclasses.fields(cfg)}
    if isinstance(cfg, Mapping):
        return {str(key): plain(value) for key, value in cfg.items()}
    if isinstance(cfg, tuple | list):
        return [plain(value) for value in cfg]
    return cfg


def flatten(cfg: Any) -> dict[str, Any]:
    """Return every setting by its dotted path, sorted; a list of plain values is one value."""
    flat: dict[str, Any] = {}
    _flatten(plain(cfg), "", flat)
    return dict(sorted(flat.items()))


def _flatten(value: Any, path: str, flat: dict[str, Any]) -> None:
    if isinstance(value, dict) and value:
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [(str(i), item) for i, item in enumerate(value)]
    else:
        flat[path] = value
        return
    for name, item in items:
        _flatten(item, f"{path}.{name}" if path else name, flat)
