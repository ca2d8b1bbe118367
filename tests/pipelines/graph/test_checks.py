"""One rule, one test; the words are part of it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cluster.failures import decide
from pipelines.graph.artifact import FILES, LISTING, SHARDS, WEIGHTS
from pipelines.graph.checks import CHECKS, check
from pipelines.graph.node import Each, Graph, Node, Outside, RunOn, View
from tests.pipelines.graph import bodies
from tests.pipelines.graph.bodies import Number, Trained, node


class Loose:
    def body(self, task: Any) -> None: ...


def _inner() -> Callable[..., None]:
    def body(task: Any) -> None: ...

    return body


def _hidden(task: Any) -> None:
    eval("task")


def _circle() -> Node:
    inputs: dict[str, Node] = {}
    first = Node(name="first", fn=bodies.add, cfg=Number(), makes=FILES, inputs=inputs)
    inputs["last"] = node("last", first)
    return first


def _listed(name: str = "a") -> Node:
    return Node(name=name, fn=bodies.nothing, cfg=Number(), makes=LISTING)


def _said(*nodes: Node, recipe: str = "r", **more: Any) -> list[str]:
    return [str(problem) for problem in check(Graph(nodes=nodes, recipe=recipe), **more)]


def _takes(kind: Any, **inputs: Any) -> Node:
    return Node(name="end", fn=bodies.add, cfg=Number(), makes=FILES, inputs=inputs,
                takes={"model": kind})  # fmt: skip


ROWS: list[tuple[str, Callable[[], list[str]], str]] = [
    (
        "names_are_unique",
        lambda: _said(node("a"), node("a", value=2)),
        "a: a name is for one node; got 2 nodes. Give each its own; it is the name in tracking.",
    ),
    (
        "names_are_plain",
        lambda: _said(node("A b")),
        "A b: the name of a node has a-z, 0-9, '_', '-' and '.'; got 'A b'. Rename it.",
    ),
    (
        "names_are_plain",
        lambda: _said(node("a"), recipe="../up"),
        "../up: the name of a recipe has a-z, 0-9, '_', '-' and '.'; got '../up'. Rename it.",
    ),
    (
        "there_are_no_circles",
        lambda: _said(_circle()),
        "last.i0: inputs come before their users; got a circle through first. Cut it.",
    ),
    (
        "edges_fit",
        lambda: _said(_takes(WEIGHTS)),
        "end: needs 'model' (weights); got no node that gives it. Add the input.",
    ),
    (
        "edges_fit",
        lambda: _said(_takes(WEIGHTS, model=node("data"))),
        "end.model: wants weights; got files from data. Give a node that makes weights.",
    ),
    (
        "edges_fit",
        lambda: _said(_takes(SHARDS, model=View(node=node("data"), files={"a": "b"}))),
        "end.model: wants a whole artifact (shards); got view. Give the node that makes it.",
    ),
    (
        "files_are_named_right",
        lambda: _said(node("a", Outside(name="o", files={"file": "data/a.json"}))),
        "a.i0.file: a user's file has an absolute path here; got 'data/a.json'. "
        "Resolve it against the config's folder.",
    ),
    (
        "files_are_named_right",
        lambda: _said(node("a", View(node=node("b"), files={"file": "../a.json"}))),
        "a.i0.file: a view names a file or folder inside the artifact; got '../a.json'. "
        "Name it relative to the artifact.",
    ),
    (
        "functions_are_in_modules",
        lambda: _said(node("a", fn=lambda task: None)),
        "a: a function or class at module level is needed; got a lambda. "
        "Move it to a module of its room.",
    ),
    (
        "functions_are_in_modules",
        lambda: _said(node("a", parts={"rule": _inner()})),
        "a.rule: a function or class at module level is needed; got '_inner.<locals>.body', "
        "inside another definition. Move it to a module of its room.",
    ),
    (
        "functions_are_in_modules",
        lambda: _said(node("a", fn=Loose().body)),
        "a: a function or class at module level is needed; got a method. "
        "Move it to a module of its room.",
    ),
    (
        "functions_are_in_modules",
        lambda: _said(node("a", fn=partial(bodies.add))),
        "a: a function or class at module level is needed; got a partial. "
        "Move it to a module of its room.",
    ),
    (
        "functions_are_in_modules",
        lambda: _said(node("a", parts={"rule": decide})),
        "a.rule: a function or class at module level is needed; got a function of "
        "cluster.failures, whose code is not in keys. Move it to a module of its room.",
    ),
    (
        "code_can_be_read",
        lambda: _said(node("a", fn=_hidden)),
        f"a: {__file__}:{_hidden.__code__.co_firstlineno + 1}: code is named, so that a key can "
        "see it; got eval, which chooses it by a string. Use a table.",
    ),
    (
        "maps_are_plain",
        lambda: _said(node("m", Each(node=node("a")))),
        "m.i0: a map goes over a listing, shards or a map; got files from a. "
        "Let that node write list.json, a JSON list (kind listing).",
    ),
    (
        "maps_are_plain",
        lambda: _said(node("m", Each(node=_listed()), Each(node=_listed("b")))),
        "m: a map goes over one list; got i0 and i1. Join the lists in a node before it.",
    ),
    (
        "maps_are_plain",
        lambda: _said(node("v", View(node=node("m", Each(node=_listed())), files={"f": "x"}))),
        "v.i0: a map has units and no files of its own; got a view of m. "
        "Give the node and use task.units().",
    ),
    (
        "settings_have_text",
        lambda: _said(node("a", cfg={"a": 1})),
        "a: settings are a dataclass; got dict. Give one, empty if need be.",
    ),
    (
        "settings_have_text",
        lambda: _said(node("a", cfg=dataclasses.replace(Number(), fail=Path("/x")))),  # type: ignore[arg-type]
        "a.fail: has no stable text, so it cannot be in a key; got a path. "
        "Let the bytes enter by Outside, as an input.",
    ),
    (
        "worlds_agree",
        lambda: _said(node("a", cfg=Trained(world=2), run_on=RunOn(workers=4))),
        "a.world: must equal run_on.a.workers; got world 2 and 4 workers. Change one of them.",
    ),
    (
        "room",
        lambda: _said(node("a", run_on=RunOn(memory=64 * 10**9)),
                      capacity={"cpus": 2.0, "gpus": 0.0, "memory": 24e9}),
        "run_on.a: needs 1 CPUs, 0 GPUs and 64 GB of memory at once; got 2, 0 and 24 GB in all. "
        "Lower workers or what each takes, or use a larger cluster.",
    ),
    (
        "room",
        lambda: _said(node("a", run_on=RunOn(cpus=2)),
                      capacity={"cpus": 3.0, "gpus": 0.0, "most_cpus": 1.0}),
        "run_on.a: needs 2 CPUs and 0 GPUs on one machine; got 1 and 0 at most on any. "
        "Lower what it takes, or add a larger machine.",
    ),
    (
        "room",
        lambda: _said(node("a", cfg=Trained(world=4), run_on=RunOn(workers=4, gpus_per_worker=1)),
                      capacity={"cpus": 2.0, "gpus": 0.0}),
        "run_on.a: needs 4 CPUs and 4 GPUs at once; got 2 and 0 in all. "
        "Lower workers or what each takes, or use a larger cluster.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "said", "text"), ROWS, ids=[row[0] for row in ROWS])
def test_a_rule_says_what_is_wrong(rule: str, said: Callable[[], list[str]], text: str) -> None:
    assert said() == [text]


def test_every_rule_has_a_row() -> None:
    assert {rule.__name__ for rule in CHECKS} <= {row[0] for row in ROWS}


def test_a_good_graph_has_no_problems() -> None:
    inner = node("a", cfg=Trained(world=2), run_on=RunOn(workers=2))
    whole = _takes(FILES, model=inner)
    one = node("one", View(node=inner, files={"all": "deep/er"}), cfg=Trained(world=1))
    assert not _said(whole, one, capacity={"cpus": 2.0})
