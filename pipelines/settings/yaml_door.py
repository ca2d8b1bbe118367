r"""The one door for YAML: plain mappings, lists and scalars, with the line each came from.

Refused, each with its line: tags, anchors, aliases, a key twice, more than 32 levels, more than
1 MB, bytes that are not UTF-8, tabs as indentation, a second document, `${VAR}`, and a page that is
not a mapping. Scalars that YAML 1.1 reads in a surprising way (`no`, `010`, `12:30`, a date) are
kept as the text that was written, marked `Unquoted`, so that a reader can say "quote it".
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.resolver import Resolver

from pipelines.settings.problems import Problem, SettingsError, shown, visible

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
_PLAIN_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_TRUTH = {"true": True, "false": False}
_BROKEN = "The page is not YAML; mend this line."

Place = tuple[str | int, ...]


class Unquoted(str):
    """Text that was written without quotes and that YAML would read as something else."""

    __slots__ = ("meaning",)
    meaning: str

    @classmethod
    def of(cls, text: str, meaning: str) -> "Unquoted":
        """Return `text` with the value that YAML 1.1 reads in it."""
        made = cls(text)
        made.meaning = meaning
        return made


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The values of one file, its text, and where each dotted path was written."""

    file: str
    text: str
    values: dict[str, Any]
    places: dict[Place, str] = field(default_factory=dict[Place, str])


def load_yaml(path: Path) -> Page:
    """Read one file; raise `SettingsError` with its problems, each with its line."""
    problem = _unreadable(path)
    if problem is not None:
        raise SettingsError([problem], file=str(path))
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.object[: error.start].decode("utf-8", "replace")
        where = f"line {at.count(chr(10)) + 1}, column {len(at) - at.rfind(chr(10))}"
        got = f"byte 0x{error.object[error.start]:02x}"
        what, do = "not UTF-8 text", "Save the file as UTF-8."
        raise SettingsError(
            [Problem(where=where, what=what, got=got, do=do)], file=str(path)
        ) from None
    return parse(text, file=str(path))


def parse(text: str, *, file: str) -> Page:
    """Read the text of one page; raise `SettingsError` with its problems, each with its line."""
    problems: list[Problem] = []
    places: dict[Place, str] = {}
    node = _compose(text, problems)
    values = None if problems or node is None else _value(node, (), places, problems)
    if not problems and not isinstance(values, dict):
        got = "nothing" if node is None else shown(values)
        do = "Begin with `recipe:`; see configs/first_run.yaml."
        problems.append(Problem(where="page", what="expected a mapping", got=got, do=do))
    if problems:
        raise SettingsError(problems, file=file)
    return Page(file=file, text=text, values=values or {}, places=places)


def parse_scalar(text: str, *, where: str) -> tuple[Any, list[Problem]]:
    """Read the value of one `key=value` by the same rules; the second part says what is wrong."""
    problems: list[Problem] = []
    node = _compose(text, problems)
    value = None if problems or node is None else _value(node, (), {}, problems)
    return value, [
        Problem(where=where, what=p.what, got=p.got or visible(repr(text)), do=p.do)
        for p in problems
    ]


def _unreadable(path: Path) -> Problem | None:
    where, got = "file", str(path.absolute())
    if path.is_dir():
        do = "Name the YAML file in it."
        return Problem(where=where, what="expected a YAML file", got=f"the folder {got}", do=do)
    if not path.exists():
        there = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        near = f"There is: {', '.join(sorted(there)[:10])}." if there else "Check the path."
        return Problem(where=where, what="no such file", got=got, do=near)
    if path.suffix.lower() not in {".yaml", ".yml"}:
        do = "Settings are YAML; name it .yaml when it is."
        return Problem(where=where, what="expected a .yaml file", got=path.name, do=do)
    if not os.access(path, os.R_OK):
        do = "Give yourself the right to read it."
        return Problem(where=where, what="not readable", got=got, do=do)
    size = path.stat().st_size
    if size > MAX_BYTES:
        do = "A config is one page; lists of classes and boxes belong in the label files."
        what = f"longer than {MAX_BYTES:,} bytes"
        return Problem(where=where, what=what, got=f"{size:,}", do=do)
    return None


def _compose(text: str, problems: list[Problem]) -> yaml.Node | None:
    """Return the tree of the text, or None with what is wrong appended to `problems`."""
    for number, line in enumerate(text.split("\n"), start=1):
        if "\t" in line[: len(line) - len(line.lstrip())] and line.strip():
            what, do = "a tab indents this line", "Use spaces."
            where = f"line {number}, column {line.index(chr(9)) + 1}"
            problems.append(Problem(where=where, what=what, do=do))
    if problems:
        return None
    try:
        events = _refuse_events(text, problems)
        return None if problems else _Tree(events).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "page"
        what = str(error.problem or error.context or "not YAML")
        problems.append(Problem(where=where, what=what, do=_BROKEN))
    except yaml.YAMLError as error:
        position = getattr(error, "position", None)
        where = "page" if position is None else f"character {position}"
        what = str(error).splitlines()[0]
        problems.append(Problem(where=where, what=what, do="The page is not text; save it anew."))
    return None


class _Tree(Composer, Resolver):
    """The tree of events that were read already: reading is what takes time."""

    def __init__(self, events: list[yaml.Event]) -> None:
        Composer.__init__(self)
        Resolver.__init__(self)
        self._left = events[::-1]

    def check_event(self, *choices: type[yaml.Event]) -> bool:
        """Return whether the next event is one of these kinds."""
        return bool(self._left) and isinstance(self._left[-1], choices)

    def peek_event(self) -> yaml.Event:
        """Return the next event."""
        return self._left[-1]

    def get_event(self) -> yaml.Event:
        """Take the next event."""
        return self._left.pop()


def _refuse_events(text: str, problems: list[Problem]) -> list[yaml.Event]:
    """Return the flat stream of events; append what the house does not use. Nothing recurses."""
    events: list[yaml.Event] = []
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        events.append(event)
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                what, do = "a second document begins", "One config is one document."
                problems.append(Problem(where=where, what=what, do=do))
                return events
        if isinstance(event, yaml.AliasEvent):
            what, do = f"an alias, *{event.anchor}", "Write the value out."
            problems.append(Problem(where=where, what=what, do=do))
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            what, do = f"an anchor, &{event.anchor}", "Write the value out."
            problems.append(Problem(where=where, what=what, do=do))
        tag = getattr(event, "tag", None)
        if tag and tag != "!":
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            what, do = f"a tag, {tag}", "Settings hold plain values; remove the tag."
            problems.append(Problem(where=where, what=what, do=do))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                what, do = f"deeper than {MAX_DEPTH} levels", "A config is a page, not a tree."
                problems.append(Problem(where=where, what=what, do=do))
                return events
        depth -= isinstance(event, yaml.CollectionEndEvent)
    return events


def _value(node: yaml.Node, at: Place, places: dict[Place, str], problems: list[Problem]) -> Any:
    places[at] = f"line {node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, places, problems)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*at, i), places, problems) for i, item in enumerate(node.value)]
    value = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    if isinstance(value, str) and re.search(r"\$\{[^}]*\}", value):
        what = f"{'.'.join(map(str, at))} holds a variable, which is not expanded"
        do = "Name the variable in a setting that ends in _env, or write the value."
        problems.append(Problem(where=places[at], what=what, got=value, do=do))
    return value


def _mapping(
    node: yaml.MappingNode, at: Place, places: dict[Place, str], problems: list[Problem]
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            what, do = "a key that is a list or a mapping", "Keys are names."
            problems.append(Problem(where=f"line {line}", what=what, do=do))
            continue
        key = str(key_node.value)
        value = _value(value_node, (*at, key), places, problems)
        places[(*at, key)] = f"line {line}"
        if key in lines:
            what = f"{'.'.join(map(str, (*at, key)))} is given twice, first in line {lines[key]}"
            problems.append(Problem(where=f"line {line}", what=what, do="Keep one of them."))
        lines.setdefault(key, line)
        made[key] = value
    return made


def _scalar(node: yaml.ScalarNode) -> Any:
    """Return text, a number, a truth value or None; what is ambiguous stays the text written."""
    text = str(node.value)
    kind = str(node.tag).rpartition(":")[2]
    if node.style is not None or kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if kind == "int" and _PLAIN_INT.match(text) and len(text) <= 20:
        return int(text)
    if kind == "float" and ":" not in text and "_" not in text:
        return _float(text)
    return Unquoted.of(text, _meaning(text, kind))


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _meaning(text: str, kind: str) -> str:
    """Return what YAML 1.1 reads in an unquoted scalar, or its kind where that is long."""
    if kind in {"bool", "int", "float"} and len(text) <= 20:
        return shown(yaml.safe_load(text))
    return {"timestamp": "a date", "float": "a number", "int": "a number"}.get(kind, kind)
