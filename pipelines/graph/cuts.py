"""What part of a graph to run, and what to run again."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from pipelines.graph.node import Graph, Node, upstream


class CutError(ValueError):
    """A cut names a node that is not there, or asks for what cannot be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuts:
    """Names of nodes for --until, --from, --only, --force; empty means the whole graph."""

    until: tuple[str, ...] = ()  # these and what they need
    start: tuple[str, ...] = ()  # these and all that use them ignore the cache
    only: tuple[str, ...] = ()  # these alone; their inputs must be cached
    force: tuple[str, ...] = ()  # these ignore the cache


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Cuts applied to one graph, as sets of names."""

    wanted: frozenset[str]  # looked at: run or found cached
    forced: frozenset[str]  # run again although a result is there
    cached: frozenset[str]  # must be found: they are not allowed to run


def scope(graph: Graph, cuts: Cuts) -> Scope:
    """Apply cuts to a graph.

    Raises:
        CutError: names are not nodes of the graph (one a line), or a forced node is cut away.
    """
    nodes = {node.name: node for node in graph.every()}
    options = {
        "--until": cuts.until,
        "--from": cuts.start,
        "--only": cuts.only,
        "--force": cuts.force,
    }
    unknown = [
        _unknown(option, name, tuple(nodes))
        for option, names in options.items()
        for name in names
        if name not in nodes
    ]
    if unknown:
        raise CutError("\n".join(unknown))
    ends = cuts.only or cuts.until or tuple(nodes)
    wanted = _above(nodes[name] for name in ends)
    forced = frozenset(cuts.force) | _below(nodes, cuts.start)
    asked = frozenset(cuts.force) | frozenset(cuts.start)
    allowed = frozenset(cuts.only) if cuts.only else wanted
    if lost := sorted(asked - allowed):
        kept = ", ".join(sorted(allowed))
        raise CutError(
            f"--force, --from: {', '.join(lost)} would not run; got a cut that keeps {kept}. "
            "Widen --until or --only."
        )
    return Scope(wanted=wanted, forced=forced & allowed, cached=wanted - allowed)


def _above(ends: Iterable[Node]) -> frozenset[str]:
    """Return the names of these nodes and of all that they need."""
    todo, seen = list(ends), set[str]()
    while todo:
        node = todo.pop()
        if node.name not in seen:
            seen.add(node.name)
            todo.extend(upstream(node))
    return frozenset(seen)


def _below(nodes: dict[str, Node], starts: tuple[str, ...]) -> frozenset[str]:
    """Return the names of these nodes and of all that use them; `nodes` is inputs first."""
    found = set(starts)
    for node in nodes.values():
        if any(source.name in found for source in upstream(node)):
            found.add(node.name)
    return frozenset(found)


def _unknown(option: str, name: str, names: tuple[str, ...]) -> str:
    near = get_close_matches(name, names, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{option}: no such node; got '{name}'. {hint}The nodes are {', '.join(names)}."
