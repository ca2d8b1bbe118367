"""A graph made again from records: the same functions, settings and inputs, or a refusal.

Nothing is imported before its source was read and found to be what the record says.
"""

import dataclasses
import enum
import pkgutil
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from cluster.storage import Store
from pipelines.graph.artifact import KINDS
from pipelines.graph.circumstances import keyed
from pipelines.graph.closure import Code, CodeError, changes
from pipelines.graph.key import KeyTextError, bare, branches, canonical, plain
from pipelines.graph.lineage import above
from pipelines.graph.node import Each, Graph, Node, Outside, RunOn, Source, View
from pipelines.graph.record import Record
from pipelines.graph.stored import is_unit

MADE = ("cfg", "run_on", "places", "keyed")  # fields that earlier records have not


class RebuildError(ValueError):
    """A result cannot be made again as it was; one line for each reason (exit 2)."""


def rebuild(
    store: Store, record: Record, *, code: Code | None = None
) -> tuple[Graph, dict[str, Record]]:
    """Return the graph that a result was made by, up to the user's files, and its records by node.

    Raises:
        RebuildError: with every definition that is another one now, and whatever else differs.
    """
    code = code or Code()
    if is_unit(record):
        raise RebuildError(
            f"{record.body['node']}: a map is made again whole; got one of its units, "
            f"{record.key[:12]}. Name the map."
        )
    every = {one.key: one for one in above(store, record)}
    problems = [text for one in every.values() for text in _differs(one, every, code)]
    if problems:
        raise RebuildError("\n".join(dict.fromkeys(problems)))
    nodes: dict[str, Node] = {}
    records: dict[str, Record] = {}
    todo = [record.key]
    while todo:
        key = todo[-1]
        needs = [k for _, k in every[key].body["inputs"].values() if k and k not in nodes]
        if needs:
            todo += needs
            continue
        todo.pop()
        if key not in nodes:
            name = _free(every[key].body["node"], records)
            nodes[key] = _node(every[key], name, nodes)
            records[name] = every[key]
    versions = tuple(record.body["keyed"])
    recipe = record.body["recipe"]
    return Graph(nodes=(nodes[record.key],), recipe=recipe, keyed_versions=versions), records


def _differs(record: Record, every: Mapping[str, Record], code: Code) -> list[str]:
    """List why a result cannot be made again."""
    body, node = record.body, record.body["node"]
    if lost := [name for name in MADE if name not in body]:
        return [
            f"{node}: its record does not say how to make it again (no {', '.join(lost)}); "
            "got one of an earlier vocabox. Run its config."
        ]
    out = [
        f"{node}: must be made by the code of its record; got {name} ({how}). {_do(body)}"
        for name, how in _code(body["code"], code)
    ]
    named = (body["fn"], body["cfg"], *body["parts"].values())
    out += [
        f"{node}: its record must hold the code of {one}; got none of it. Run its config."
        for one in named
        if one not in body["code"]
    ]
    out += [
        f"{node}: its input {name} is not there any more; got {key[:12]}, collected. "
        "Run its config."
        for name, (_, key) in body["inputs"].items()
        if key and key not in every
    ]
    now = keyed(body["keyed"])
    out += [
        f"{node}: must be made with {name} {then}; got {now[name]}. Install that version."
        for name, then in body["keyed"].items()
        if now[name] != then
    ]
    kind, version = body["makes"]
    if kind not in KINDS or KINDS[kind].version != version:
        out.append(
            f"{node}: makes {kind} of format {version}, which is not written any more. {_do(body)}"
        )
    return out


def _do(body: Mapping[str, Any]) -> str:
    git = body.get("git")
    return f"Check out {git['commit'][:12]}." if git else "Go back to that code."


def _code(old: Mapping[str, str], code: Code) -> list[tuple[str, str]]:
    """Compare recorded definitions with our source, which is read and not run."""
    starts = [
        (m, n) for m, _, n in (label.partition(":") for label in old) if not n.startswith("<")
    ]
    foreign = [
        (f"{m}:{n}", "not of our packages") for m, n in starts if m.split(".")[0] not in code.roots
    ]
    if foreign:
        return foreign
    lost = [(f"{m}:{n}", "removed") for m, n in starts if code.find(m, n) != (m, n)]
    if lost:
        return lost
    try:
        return changes(old, code.closure(starts))
    except CodeError as error:
        return [(str(error), "cannot be read")]


def _node(record: Record, name: str, nodes: Mapping[str, Node]) -> Node:
    body = record.body
    inputs: dict[str, Source] = {}
    for given, (digest, key) in body["inputs"].items():
        files: Mapping[str, str] | None = body["places"].get(given)
        if key is None:
            inputs[given] = Outside(name=given, files=files or {})
        elif record.units is not None and isinstance(digest, dict) and not files:
            inputs[given] = Each(node=nodes[key])
        else:
            inputs[given] = View(node=nodes[key], files=files) if files else nodes[key]
    cfg = _settings(body, name)
    return Node(
        name=name,
        fn=pkgutil.resolve_name(body["fn"]),
        cfg=cfg,
        makes=KINDS[body["makes"][0]],
        inputs=inputs,
        parts={part: pkgutil.resolve_name(label) for part, label in body["parts"].items()},
        run_on=RunOn(**body["run_on"]),
    )


def _settings(body: Mapping[str, Any], name: str) -> Any:
    cls = pkgutil.resolve_name(body["cfg"])
    try:
        cfg = remade(body["settings"], cls)
        if canonical(plain(cfg, where=name)) == canonical(body["settings"]):
            return cfg
        got = "others when they are read back"
    except (TypeError, ValueError, KeyError, KeyTextError) as error:
        got = str(error)
    raise RebuildError(f"{name}: its settings cannot be made again; got {got}. Run its config.")


def remade(value: Any, hint: Any) -> Any:
    """Turn plain settings back into what a type hint says: the inverse of `plain`."""
    options = [bare(option) for option in branches(bare(hint))]
    if isinstance(value, dict):
        return _remade_fields(cast("dict[str, Any]", value), options)
    if isinstance(value, list):
        return _remade_items(cast("list[Any]", value), options)
    for cls in options:
        if isinstance(cls, type) and issubclass(cls, enum.Enum) and isinstance(value, str):
            return cls[value]
    return value


def _remade_fields(value: Mapping[str, Any], options: list[Any]) -> Any:
    for cls in options:
        if isinstance(cls, type) and dataclasses.is_dataclass(cls) and _is_kind(value, cls):
            hints = get_type_hints(cls, include_extras=True)
            names = [f.name for f in dataclasses.fields(cls) if f.name in value]
            return cls(**{name: remade(value[name], hints[name]) for name in names})
    tables = [get_args(option) for option in options if get_origin(option) is not tuple]
    inner = next((args[1] for args in tables if len(args) == 2), Any)
    return {name: remade(item, inner) for name, item in value.items()}


def _remade_items(value: list[Any], options: list[Any]) -> Any:
    made = next((option for option in options if get_origin(option) in (tuple, list)), Any)
    hints = get_args(made)
    if len(hints) != len(value) or Ellipsis in hints:  # not one hint for each
        hints = (hints[0] if hints else Any,) * len(value)
    items = [remade(item, hint) for item, hint in zip(value, hints, strict=True)]
    return items if get_origin(made) is list else tuple(items)


def _is_kind(value: Mapping[str, Any], cls: type) -> bool:
    """Say whether plain settings are of a class: by its name, or by its field `kind`."""
    own = get_type_hints(cls).get("kind")
    if own is not None and get_origin(own) is Literal:
        return value.get("kind") in get_args(own)
    return value.get("kind") == cls.__name__


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Return a name that no other node has: a lineage may hold two results of one node."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
