"""From a node and the results above it to its key, and to a result that is there already."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cluster.storage import Store
from pipelines.graph.at_hand import Place
from pipelines.graph.closure import Code, code_digest
from pipelines.graph.key import Identity, node_key, plain
from pipelines.graph.node import Node, Outside, View
from pipelines.graph.outside import Found, look
from pipelines.graph.record import Record, faults, read_record
from pipelines.graph.same_code import code_for, source_digests


@dataclass(frozen=True, kw_only=True, slots=True)
class Identified:
    """A node whose inputs are known."""

    node: Node
    key: str
    closure: Mapping[str, str]
    code: str
    settings: Any
    inputs: Mapping[str, tuple[Identity, str | None]]  # name -> digest or digests, maker's key
    places: Mapping[str, Place]
    record: Record | None  # the result that is there
    damage: tuple[str, ...]  # what is wrong with it


class Lookup:
    """Computes keys for one graph over one store; each user's file is looked at once."""

    def __init__(
        self,
        store: Store,
        *,
        code: Code | None = None,
        memory: Literal["use", "ignore"] = "use",
        keyed: Mapping[str, str] | None = None,
    ) -> None:
        self.store = store
        self.code = code or Code()
        self.keyed = dict(keyed or {})  # versions that enter keys
        self._memory: Literal["use", "ignore"] = memory
        self._outside: dict[str, Found] = {}
        self._codes: dict[int, str] = {}  # id of a kept closure -> its digest
        self._sources: dict[str, dict[str, str]] = {}

    def look_at(self, nodes: Iterable[Node]) -> None:
        """Look at all files of the user that these nodes read, before anything starts.

        Raises:
            OutsideError: one is not there, or cannot be read.
        """
        for node in nodes:
            for name, source in node.inputs.items():
                if isinstance(source, Outside):
                    for role, path in source.files.items():
                        self._look(path, f"{node.name}.{name}.{role}")

    def identify(self, node: Node, above: Mapping[str, Record]) -> Identified:
        """Return the key of a node and its result, if any; `above` holds its inputs' records.

        Raises:
            OutsideError, KeyTextError, CodeError, DamagedError: with where and what to do.
        """
        closure = code_for(node.fn, cfg=node.cfg, parts=node.parts, code=self.code)
        settings = plain(node.cfg, where=node.name)
        inputs: dict[str, tuple[Identity, str | None]] = {}
        places: dict[str, Place] = {}
        for name, source in node.inputs.items():
            inputs[name], places[name] = self._input(node, name, source, above)
        code = self._digest(closure)
        key = node_key(
            node.fn,
            code=code,
            settings=settings,
            parts=node.parts,
            makes=node.makes,
            inputs={name: digest for name, (digest, _) in inputs.items()},
            versions=self.keyed,
        )
        record = read_record(self.store, key)
        damage = tuple(faults(self.store, record, check="sizes")) if record else ()
        return Identified(
            node=node,
            key=key,
            closure=closure,
            code=code,
            settings=settings,
            inputs=inputs,
            places=places,
            record=record,
            damage=damage,
        )

    def sources(self, known: Identified) -> dict[str, str]:
        """Return the digests of the files that a node's code was read from."""
        if known.code not in self._sources:
            self._sources[known.code] = source_digests(self.code, known.closure)
        return self._sources[known.code]

    def _digest(self, closure: Mapping[str, str]) -> str:
        if id(closure) not in self._codes:  # Code keeps its closures, so the id stays theirs
            self._codes[id(closure)] = code_digest(closure)
        return self._codes[id(closure)]

    def _input(
        self, node: Node, name: str, source: Node | View | Outside, above: Mapping[str, Record]
    ) -> tuple[tuple[Identity, str | None], Place]:
        where = f"{node.name}.{name}"
        if isinstance(source, Node):
            record = above[source.name]
            return (record.digest, record.key), Place(key=record.key)
        if isinstance(source, View):
            record = above[source.node.name]
            roles = {r: record.role(f, where=f"{where}.{r}") for r, f in source.files.items()}
            return (roles, record.key), Place(key=record.key, files=dict(source.files))
        seen = {r: self._look(path, f"{where}.{r}") for r, path in source.files.items()}
        digests = {role: found.digest for role, found in seen.items()}
        stamps = {role: found.stamp for role, found in seen.items()}
        return (digests, None), Place(files=dict(source.files), stamps=stamps)

    def digests(self, node: Node, name: str, source: Outside) -> dict[str, str]:
        """Return the digests of a user's files, by role."""
        where = f"{node.name}.{name}"
        return {r: self._look(p, f"{where}.{r}").digest for r, p in source.files.items()}

    def _look(self, path: str, where: str) -> Found:
        if path not in self._outside:
            self._outside[path] = look(
                Path(path), where=where, store=self.store, memory=self._memory
            )
        return self._outside[path]
