"""Before a run starts on a cluster: does each node read the store, and has it our code?"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cluster.on_nodes import Said, on_each_node
from cluster.reach import ClusterError
from cluster.storage import Store, StoreError, open_store
from pipelines.graph.closure import Code, code_digest
from pipelines.graph.node import Graph
from pipelines.graph.same_code import OtherCodeError, check_same, code_for, source_digests

Check = tuple[Callable[..., Any], Any, Mapping[str, Any], str, Mapping[str, str]]


def check_nodes(graph: Graph, *, store: Store, uri: str, run: str) -> None:
    """Ask every node of the open session once; the marker that is written goes again.

    Args:
        graph: whose code the nodes must have, as this process has it.
        store: where the marker is written.
        uri: what opens the same store in any process.
        run: in whose place the marker lies.

    Raises:
        ClusterError: a node cannot import the code, has another, or cannot read the store; all
            of them are named.
    """
    marker, text = f"runs/{run}/seen-{uuid.uuid4().hex[:8]}", uuid.uuid4().bytes
    store.put_new(marker, text, sync="fast")
    try:
        said = on_each_node(look_here, uri, marker, text, list(_checks(graph)))
    finally:
        store.delete(marker)
    wrong = [problem for one in said for problem in _problems(one, uri)]
    if wrong:
        raise ClusterError("\n".join(wrong))


def look_here(uri: str, marker: str, text: bytes, checks: list[Check]) -> dict[str, str]:
    """Return what is wrong on this node: `code`, `store`, or nothing."""
    wrong: dict[str, str] = {}
    try:
        for fn, cfg, parts, digest, sources in checks:
            check_same(fn, cfg=cfg, parts=parts, digest=digest, sources=sources)
    except OtherCodeError as error:
        wrong["code"] = str(error)
    try:
        found = open_store(uri, mode="read").read(marker)
        if found != text:
            wrong["store"] = "nothing there" if found is None else "other bytes there"
    except (OSError, StoreError) as error:
        wrong["store"] = str(error)
    return wrong


def _checks(graph: Graph) -> Iterator[Check]:
    code = Code()
    for node in graph.every():
        closure = code_for(node.fn, cfg=node.cfg, parts=node.parts, code=code)
        digest, sources = code_digest(closure), source_digests(code, closure)
        yield node.fn, node.cfg, dict(node.parts), digest, sources


def _problems(said: Said, uri: str) -> Iterator[str]:
    same = "Install the same source on every machine, or use vocabox submit, which sends it."
    if said.error:
        yield f"node {said.node}: cannot run our code; got '{said.error}'. {same}"
        return
    if "code" in said.value:
        got = said.value["code"].partition("; got ")[2].partition(". ")[0]
        yield f"node {said.node}: has other code than this driver; got {got}. {same}"
    if "store" in said.value:
        yield (
            f"--store: node {said.node} cannot read what this driver wrote to {uri}; got "
            f"'{said.value['store']}'. Name a folder that every node has at this path, or an "
            "object store."
        )
