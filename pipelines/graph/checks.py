"""What must hold of a graph before anything starts: one rule, one function."""

import dataclasses
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.graph.artifact import LISTING, SHARDS
from pipelines.graph.closure import DOORS, Code, CodeError
from pipelines.graph.key import KeyTextError, plain
from pipelines.graph.node import Each, Graph, Node, Outside, View, mapped
from pipelines.graph.problem import Problem, Problems
from pipelines.graph.room import room
from pipelines.graph.same_code import code_for

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


Rule = Callable[[Graph, Code], Problems]


def check(
    graph: Graph, *, capacity: Mapping[str, float] | None = None, code: Code | None = None
) -> list[Problem]:
    """List all that is wrong with a graph; with a capacity, also what it can never run."""
    code = code or Code()
    found = [problem for rule in CHECKS for problem in rule(graph, code)]
    if capacity is not None:
        found += [p for node in graph.every() for p in room(node, capacity)]
    return found


def names_are_unique(graph: Graph, code: Code) -> Problems:
    """Give each node a name of its own: it names folders and tracking runs."""
    del code
    for name, times in Counter(node.name for node in graph.every()).items():
        if times > 1:
            yield Problem(
                where=name, what="a name is for one node", got=f"{times} nodes",
                do="Give each its own; it is the name in tracking.",
            )  # fmt: skip


def names_are_plain(graph: Graph, code: Code) -> Problems:
    """Names become folders, so they hold small letters, digits, `_`, `-` and `.` only."""
    del code
    for what, name in [("recipe", graph.recipe), *(("node", n.name) for n in graph.every())]:
        if not NAME.fullmatch(name):
            yield Problem(
                where=name or what, what=f"the name of a {what} has a-z, 0-9, '_', '-' and '.'",
                got=repr(name), do="Rename it.",
            )  # fmt: skip


def there_are_no_circles(graph: Graph, code: Code) -> Problems:
    """A node must not need itself."""
    del code
    seen: set[int] = set()
    for node in graph.every():
        for name, source in node.inputs.items():
            above = source.node if isinstance(source, View | Each) else source
            if isinstance(above, Node) and id(above) not in seen:
                yield Problem(
                    where=f"{node.name}.{name}", what="inputs come before their users",
                    got=f"a circle through {above.name}", do="Cut it.",
                )  # fmt: skip
        seen.add(id(node))


def edges_fit(graph: Graph, code: Code) -> Problems:
    """What a node takes is what its input makes."""
    del code
    for node in graph.every():
        for name, kind in node.takes.items():
            source = node.inputs.get(name)
            if source is None:
                yield Problem(
                    where=node.name, what=f"needs '{name}' ({kind.name})",
                    got="no node that gives it", do="Add the input.",
                )  # fmt: skip
            elif isinstance(source, View | Outside):
                yield Problem(
                    where=f"{node.name}.{name}", what=f"wants a whole artifact ({kind.name})",
                    got=type(source).__name__.lower(), do="Give the node that makes it.",
                )  # fmt: skip
            elif (above := source.node if isinstance(source, Each) else source).makes != kind:
                yield Problem(
                    where=f"{node.name}.{name}", what=f"wants {kind.name}",
                    got=f"{above.makes.name} from {above.name}",
                    do=f"Give a node that makes {kind.name}.",
                )  # fmt: skip


def maps_are_plain(graph: Graph, code: Code) -> Problems:
    """A map has one `Each`, over what can be listed; its own artifact has no files to view."""
    del code
    for node in graph.every():
        each = [name for name, source in node.inputs.items() if isinstance(source, Each)]
        if len(each) > 1:
            yield Problem(
                where=node.name, what="a map goes over one list", got=f"{' and '.join(each)}",
                do="Join the lists in a node before it.",
            )  # fmt: skip
        for name, source in node.inputs.items():
            if isinstance(source, View) and mapped(source.node):
                yield Problem(
                    where=f"{node.name}.{name}", what="a map has units and no files of its own",
                    got=f"a view of {source.node.name}", do="Give the node and use task.units().",
                )  # fmt: skip
            if isinstance(source, Each) and not _can_be_listed(source.node):
                yield Problem(
                    where=f"{node.name}.{name}", what="a map goes over a listing, shards or a map",
                    got=f"{source.node.makes.name} from {source.node.name}",
                    do="Let that node write list.json, a JSON list (kind listing).",
                )  # fmt: skip


def files_are_named_right(graph: Graph, code: Code) -> Problems:
    """A view names files inside an artifact; a user's files have absolute places."""
    del code
    for node in graph.every():
        for name, source in node.inputs.items():
            if isinstance(source, Node | Each):
                continue
            for role, file in source.files.items():
                where = f"{node.name}.{name}.{role}"
                inside = PurePosixPath(file)
                if isinstance(source, Outside):
                    if not Path(file).is_absolute():
                        yield Problem(
                            where=where, what="a user's file has an absolute path here",
                            got=f"'{file}'", do="Resolve it against the config's folder.",
                        )  # fmt: skip
                elif not file or inside.is_absolute() or ".." in inside.parts:
                    yield Problem(
                        where=where, what="a view names a file or folder inside the artifact",
                        got=f"'{file}'", do="Name it relative to the artifact.",
                    )  # fmt: skip


def functions_are_in_modules(graph: Graph, code: Code) -> Problems:
    """Only a module-level function has source that a worker and a later reader can find."""
    del code
    for node in graph.every():
        for what, thing in [("function", node.fn), *node.parts.items()]:
            where = node.name if what == "function" else f"{node.name}.{what}"
            if got := _not_in_module(thing):
                yield Problem(
                    where=where, what="a function or class at module level is needed",
                    got=got, do="Move it to a module of its room.",
                )  # fmt: skip


def code_can_be_read(graph: Graph, code: Code) -> Problems:
    """The code a node reaches must be visible in its source."""
    for node in graph.every():
        if any(_not_in_module(thing) for thing in (node.fn, *node.parts.values())):
            continue
        try:
            code_for(node.fn, cfg=node.cfg, parts=node.parts, code=code)
        except CodeError as error:
            problem = _parsed(str(error))
            yield dataclasses.replace(problem, where=f"{node.name}: {problem.where}")
        except SyntaxError as error:
            yield Problem(
                where=f"{node.name}: {error.filename}:{error.lineno}", what="must be Python",
                got=error.msg, do="Mend it.",
            )  # fmt: skip


def settings_have_text(graph: Graph, code: Code) -> Problems:
    """Settings are plain values, so that a key can be made of them."""
    del code
    for node in graph.every():
        if not dataclasses.is_dataclass(node.cfg) or isinstance(node.cfg, type):
            yield Problem(
                where=node.name, what="settings are a dataclass",
                got=type(node.cfg).__name__, do="Give one, empty if need be.",
            )  # fmt: skip
            continue
        try:
            plain(node.cfg, where=node.name)
        except KeyTextError as error:
            yield from map(_parsed, str(error).splitlines())


def worlds_agree(graph: Graph, code: Code) -> Problems:
    """The number of workers changes the order of sums: it is a setting, and run_on must agree."""
    del code
    for node in graph.every():
        for path, world in _worlds(node.cfg, node.name):
            if world != max(1, node.run_on.workers):
                yield Problem(
                    where=path, what=f"must equal run_on.{node.name}.workers",
                    got=f"world {world} and {node.run_on.workers} workers",
                    do="Change one of them.",
                )  # fmt: skip


CHECKS: tuple[Rule, ...] = (
    names_are_unique,
    names_are_plain,
    there_are_no_circles,
    edges_fit,
    maps_are_plain,
    files_are_named_right,
    functions_are_in_modules,
    code_can_be_read,
    settings_have_text,
    worlds_agree,
)


def _can_be_listed(node: Node) -> bool:
    return mapped(node) is not None or node.makes in (LISTING, SHARDS)


def _parsed(text: str) -> Problem:
    """Read a sentence back: where, what is wrong, what was got, what to do."""
    where, _, rest = text.partition(": ")
    what, _, tail = rest.partition("; got ")
    got, _, do = tail.partition(". ")
    return Problem(where=where, what=what, got=got, do=do)


def _not_in_module(thing: Callable[..., Any]) -> str:
    """Say what a callable is that has no place in a module; empty where it has."""
    if not (inspect.isfunction(thing) or inspect.isclass(thing)):
        return f"a {type(thing).__name__}"
    if thing.__name__ == "<lambda>":
        return "a lambda"
    if "." in thing.__qualname__:
        return f"'{thing.__qualname__}', inside another definition"
    if thing.__module__ == "__main__":
        return "a function of __main__"
    if any(thing.__module__.startswith(f"{door}.") for door in DOORS):
        return f"a function of {thing.__module__}, whose code is not in keys"
    return ""


def _worlds(value: Any, path: str) -> Iterator[tuple[str, int]]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if field.name == "world" and isinstance(item, int):
                yield f"{path}.world", item
            yield from _worlds(item, f"{path}.{field.name}")
