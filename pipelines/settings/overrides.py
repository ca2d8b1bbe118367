"""`key=value` from the command line, laid over the values of a page."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipelines.settings.problems import Problem, shown
from pipelines.settings.yaml_door import Page, Place, parse_scalar

ORIGIN = "command line"


def apply(page: Page, overrides: Sequence[str]) -> tuple[Page, list[Problem]]:
    """Return the page with each `a.b.0.c=value` set, and what is wrong with them.

    A key that no setting has is left to the reader, which knows the nearest one.
    """
    values: dict[str, Any] = copy.deepcopy(page.values)
    places = dict(page.places)
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for text in overrides:
        key, equals, right = text.partition("=")
        where = f"argument {text!r}"
        if not equals or not key or any(not part for part in key.split(".")):
            do = "Write a setting and its value, for example stage2.steps=50."
            problems.append(Problem(where=where, what="expected key=value", do=do))
            continue
        if key in seen:
            do = "Keep one of them."
            what = f"{key} is given twice, first as {seen[key]!r}"
            problems.append(Problem(where=where, what=what, do=do))
            continue
        seen[key] = text
        value, wrong = parse_scalar(right, where=where)
        problem = wrong[0] if wrong else _set(values, key.split("."), value, where=where)
        if problem is not None:
            problems.append(problem)
        else:
            _move(places, tuple(_step(part) for part in key.split(".")))
    return replace(page, values=values, places=places), problems


def _step(part: str) -> str | int:
    return int(part) if part.isdecimal() and len(part) <= 6 else part


def _move(places: dict[Place, str], at: Place) -> None:
    """Forget the lines below `at`: the value comes from the command line now."""
    for place in [p for p in places if p[: len(at)] == at]:
        del places[place]
    places[at] = ORIGIN


def _set(values: dict[str, Any], parts: list[str], value: Any, *, where: str) -> Problem | None:
    """Set one value inside nested mappings and lists, or say why it cannot be set."""
    below: Any = values
    for depth, part in enumerate(parts[:-1]):
        if isinstance(below, dict):
            if below.get(part) is None:
                below[part] = {}
            below = below[part]
        elif (problem := _lost(below, parts, depth, where)) is not None:
            return problem
        else:
            below = below[int(part)]
    last = parts[-1]
    if not isinstance(below, dict) and (problem := _lost(below, parts, len(parts) - 1, where)):
        return problem
    step = last if isinstance(below, dict) else int(last)
    old = below.get(last) if isinstance(below, dict) else below[step]
    if isinstance(old, dict | list) and not isinstance(value, dict | type(old) | None):
        path, first = ".".join(parts), next(iter(old), "x") if isinstance(old, dict) else "0"
        do = f"Set what lies below it, for example {path}.{first}=..."
        return Problem(where=where, what=f"{path} is a branch", got=shown(value), do=do)
    below[step] = value
    return None


def _lost(below: Any, parts: list[str], depth: int, where: str) -> Problem | None:
    """Return what is wrong with step `depth` into a list or a plain value, or None."""
    path, part = ".".join(parts[:depth]), parts[depth]
    if not isinstance(below, list):
        what = f"{path} is a value, nothing lies below it"
        return Problem(where=where, what=what, got=shown(below), do=f"Set {path}=... itself.")
    if not part.isdecimal() or len(part) > 6 or int(part) >= len(below):
        known = [str(i) for i in range(len(below))]
        do = f"Its entries: {', '.join(known[:20]) or 'none'}."
        return Problem(where=where, what=f"{path} has no entry {part!r}", do=do)
    return None
