"""Lineage as a user asks for it, and an exact re-run of a result from its record."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from cluster.call import EXECUTORS
from cluster.executor import Executor
from cluster.session import open_session
from cluster.storage import Store, StoreError, open_store
from pipelines.graph.closure import Code
from pipelines.graph.lineage import UnknownResultError, events, named, tree
from pipelines.graph.lookup import Lookup
from pipelines.graph.node import Graph, Outside
from pipelines.graph.rebuilt import RebuildError, rebuild
from pipelines.graph.record import Record, read_record
from pipelines.graph.run import Emit, walk
from pipelines.graph.stored import makers
from pipelines.runs.keeping import open_marked
from pipelines.runs.kept_runs import keys_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One result and its likeness; `state` is how the second walk ended for it."""

    node: str
    key: str  # of the result that was there
    state: str
    same: bool  # bytes
    text: str  # what went wrong, or empty


def lineage(where: str, name: str) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    """Yield the lineage of each result that is meant, as lines and as events.

    Raises:
        UnknownResultError: nothing is meant.
    """
    store = open_marked(where)
    for record in _meant(store, name):
        yield tree(store, record), list(events(store, record))


def _meant(store: Store, name: str) -> list[Record]:
    """Return the results that a run ends in, or the one that another name means."""
    runs = store.list("runs")
    if name in runs:
        found = [read_record(store, key) for key in dict.fromkeys(keys_of(store, name))]
        records = [record for record in found if record]
        used = {key for record in records for key in makers(record)}
        if ends := [record for record in records if record.key not in used]:
            return ends
        raise UnknownResultError(
            f"ARTIFACT: no result of this run is there; got {name}. Run its config again."
        )
    if found := named(store, name):
        return found
    listed = ", ".join(runs[-5:]) or "none"
    raise UnknownResultError(
        f"ARTIFACT: nothing of this name is in {store.uri}; got '{name}'. Name a key or a node "
        f"(vocabox store ls), a model's folder, or a run: {listed}."
    )


def rerun(
    where: str,
    name: str,
    *,
    into: str,
    emit: Emit,
    address: str = "local",
    executor: Literal["ray", "inline"] = "ray",
    code: Code | None = None,
) -> list[Compared]:
    """Make a result again in another store, from the user's files on, and compare the bytes.

    Raises:
        RebuildError: code, versions or the user's files are not what they were.
        UnknownResultError: not one result is meant.
        StoreError: a store cannot be used, or both are one.
    """
    store = open_marked(where)
    meant = _meant(store, name)
    if len(meant) > 1:
        listed = ", ".join(f"{r.key[:12]} ({r.body['node']})" for r in meant[:5])
        raise UnknownResultError(f"ARTIFACT: one result is made again; got {listed}. Name one.")
    if open_store(into, mode="read").uri == store.uri:
        raise StoreError(f"--rerun: another store is needed; got {into}. Name a new folder.")
    graph, records = rebuild(store, meant[0], code=code)
    _check_files(graph, records, store)
    with _executor(executor, address, emit) as calls:
        outcome = walk(graph, store=open_store(into), executor=calls, emit=emit)
    out: list[Compared] = []
    for node, ended in outcome.nodes.items():
        record = records[node]
        same = ended.digest == record.digest
        text = ended.error.text if ended.error else ""
        out.append(Compared(node=node, key=record.key, state=ended.state, same=same, text=text))
    return out


def _check_files(graph: Graph, records: dict[str, Record], store: Store) -> None:
    """Refuse files of the user that are not what they were."""
    lookup = Lookup(store)
    lookup.look_at(graph.every())
    lines: list[str] = []
    for node in graph.every():
        for name, source in node.inputs.items():
            if isinstance(source, Outside):
                then: dict[str, str] = records[node.name].body["inputs"][name][0]
                now = lookup.digests(node, name, source)
                lines += [
                    f"{node.name}.{name}.{role}: must have the bytes that were read then; "
                    f"got others in {source.files[role]}. Bring the earlier file back."
                    for role in then
                    if then[role] != now.get(role)
                ]
    if lines:
        raise RebuildError("\n".join(lines))


@contextmanager
def _executor(kind: str, address: str, emit: Emit) -> Generator[Executor]:
    if kind == "inline":
        yield EXECUTORS["in_process"]()
        return
    with open_session(address, say=lambda text: emit({"event": "note", "text": text})):
        yield EXECUTORS["ray"]()
