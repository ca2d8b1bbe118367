"""Every setting of a schema, read from its dataclasses: name, what it takes, default, meaning.

The dataclass is the one place where a setting is described; `vocabox settings` and
configs/SETTINGS.md are made of what this yields.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, replace
from typing import Any, get_args, get_origin, get_type_hints

from pipelines.settings.field_comments import field_comments, first_line
from pipelines.settings.leaves import element
from pipelines.settings.problems import Problem, SettingsError, nearest
from pipelines.settings.wording import UNIONS, expected, kinds_of, leaves_of, limits, number_text

ENTRY, NAMED = "N", "NAME"  # stand for an entry of a list, and for a name of the user's
REQUIRED, OWN = "required", "its own"  # defaults that are no value
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")  # text that needs no quotes in YAML


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One setting, or a section of them."""

    name: str  # dotted
    takes: str  # in words
    default: str  # as YAML, or in words
    means: str
    kind: str = ""  # it belongs to this `kind` only
    like: str = ""  # a section before that says the same as its section
    again: str = ""  # that section of its own

    @property
    def last(self) -> str:
        """Return the last part of the name."""
        return self.name.rpartition(".")[2]


def settings_of(schema: type[Any]) -> list[Setting]:
    """Return every setting of a schema, sections before what lies below them."""
    return _once(list(_fields(schema, at="", given=None)))


def select(rows: Sequence[Setting], name: str) -> list[Setting]:
    """Return the settings that a name means: itself and what lies below it, or every `*.name`.

    Raises:
        SettingsError: no setting is called so; says the nearest name.
    """
    found = [row for row in rows if _covers(name, row.name)]
    found = found or [row for row in rows if row.last == name and not row.like]
    if not found:
        known = dict.fromkeys(n for row in rows for n in (row.name, row.last))
        sections = [row.name for row in rows if "." not in row.name]
        do = nearest(name, list(known), otherwise=f"Sections: {', '.join(sections)}.")
        raise SettingsError([Problem(where="NAME", what="no such setting", got=repr(name), do=do)])
    return found


def _covers(asked: str, name: str) -> bool:
    """Say whether a dotted name is, or lies above, a setting; 0 or stage2 fit N and NAME."""
    parts, words = name.split("."), asked.split(".")
    if len(words) > len(parts):
        return False
    return all(
        part in (word, NAMED) or (part == ENTRY and word.isdecimal())
        for part, word in zip(parts, words, strict=False)
    )


def _fields(cls: Any, *, at: str, given: Any, kind: str = "") -> Iterator[Setting]:
    """Yield the settings of one dataclass; `given` is what counts where the section is left out."""
    hints = get_type_hints(cls, include_extras=True)
    said = field_comments(cls)
    for item in dataclasses.fields(cls):
        if item.name == "kind" and kind:
            continue
        name = f"{at}.{item.name}" if at else item.name
        value = _own(item)
        left_out = getattr(given, item.name) if given is not None else value
        default = _text(value, hints[item.name])
        if left_out is not MISSING and default != _text(left_out, hints[item.name]):
            default = f"{_text(left_out, hints[item.name])}; {default} once `{at}` is given"
        means = said.get(item.name, "")
        row = Setting(name=name, takes="", default=default, means=means, kind=kind)
        yield from _walk(hints[item.name], row=row, given=left_out)


def _own(item: "dataclasses.Field[Any]") -> Any:
    """Return the default of a field, or MISSING."""
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


def _walk(hint: Any, *, row: Setting, given: Any) -> Iterator[Setting]:
    """Yield a setting of this type, and those below it; `row` has its name, default and comment."""
    below: list[Any] = [leaf for leaf in leaves_of(hint) if dataclasses.is_dataclass(leaf)]
    about = first_line(below[0]) if len(below) == 1 else ""
    means = "; ".join(filter(None, (about, row.means)))
    yield replace(row, takes=expected(hint), means=means)
    if below:
        yield from _below(hint, at=row.name, given=given)


def _below(hint: Any, *, at: str, given: Any) -> Iterator[Setting]:
    """Yield what lies below a section."""
    bare = limits(hint).bare
    if get_origin(bare) is tuple:
        yield from _below(element(bare, 0), at=f"{at}.{ENTRY}", given=None)
    elif get_origin(bare) is dict:
        yield from _below(get_args(bare)[1], at=f"{at}.{NAMED}", given=None)
    elif kinds := kinds_of(bare):
        yield _choice(kinds, at=at, given=given)
        for kind, part in kinds.items():
            fits = given if isinstance(given, part) else None
            yield from _fields(part, at=at, given=fits, kind=kind)
    elif get_origin(bare) in UNIONS:
        rest = [part for part in get_args(bare) if part is not type(None)]
        yield from _below(rest[0], at=at, given=given)
    else:
        yield from _fields(bare, at=at, given=given if isinstance(given, bare) else None)


def _choice(kinds: dict[str, type], *, at: str, given: Any) -> Setting:
    """Return the setting `kind` that chooses between dataclasses."""
    means = "; ".join(f"{kind}: {first_line(part)}" for kind, part in kinds.items())
    left_out = next((kind for kind, part in kinds.items() if isinstance(given, part)), "")
    default = f"{left_out}; {REQUIRED} once `{at}` is given" if left_out else REQUIRED
    takes = f"one of {', '.join(kinds)}"
    return Setting(name=f"{at}.kind", takes=takes, default=default, means=means)


def _text(value: Any, hint: Any) -> str:
    """Return a default as YAML; of a section, where it is not null, in words."""
    if value is MISSING:
        return REQUIRED
    if value is not None and any(dataclasses.is_dataclass(leaf) for leaf in leaves_of(hint)):
        return _yaml(value) if isinstance(value, tuple | dict) else OWN
    return _yaml(value)


def _yaml(value: Any) -> str:
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, float):
        return number_text(value)
    return json.dumps(value)


def _once(rows: Iterable[Setting]) -> list[Setting]:
    """Mark what a section before says in the same words; its whole inside must be the same."""
    listed = list(rows)
    inside: dict[str, list[Setting]] = {}
    for row in listed:
        parts = row.name.split(".")
        for depth in range(1, len(parts)):
            inside.setdefault(".".join(parts[:depth]), []).append(row)
    first: dict[tuple[Any, ...], str] = {}
    same: dict[str, str] = {}
    for name, rows_below in inside.items():
        key = tuple(
            (row.name.removeprefix(name), row.takes, row.means, row.kind, _bare(row.default))
            for row in rows_below
        )
        if first.setdefault(key, name) != name:
            same[name] = first[key]
    made: list[Setting] = []
    for row in listed:
        above = next((n for n in same if row.name.startswith(f"{n}.")), "")  # the outermost
        made.append(replace(row, like=same.get(above, ""), again=above))
    return made


def _bare(default: str) -> str:
    """Return a default without the name of its section."""
    return re.sub(r"`[^`]*`", "", default)
