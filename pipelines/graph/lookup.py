"""From a node and the results above it to its key, and to a result that is there already."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cluster.storage import Store
from pipelines.graph.closure import Code, code_digest
from pipelines.graph.key import Identity, node_key, plain
from pipelines.graph.listing import elements_of
from pipelines.graph.node import Each, Node, Outside, Source, View, mapped
from pipelines.graph.outside import Found, look
from pipelines.graph.payload import Place
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
        record, damage = self.found(key)
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

    def found(self, key: str) -> tuple[Record | None, tuple[str, ...]]:
        """Return the result of a key, if it is there, and what is wrong with it.

        A map whose units are not all there and whole is not there: its units are looked at apart.
        """
        record = read_record(self.store, key)
        damage = tuple(faults(self.store, record, check="sizes")) if record else ()
        if record and record.units is not None and damage:
            return None, ()
        return record, damage

    def units_of(self, known: Identified) -> "tuple[Identified, ...]":
        """Return the units of a map, in order: each as a node of its own, with its own key.

        Raises:
            ListingError, DamagedError: what the map goes over is not a list, or not whole.
        """
        name = mapped(known.node)
        record = read_record(self.store, known.places[name].key or "") if name else None
        if name is None or record is None:
            return ()
        return tuple(
            self._unit(known, name, record.key, digest=digest, what=what)
            for digest, what in elements_of(self.store, record)
        )

    def _unit(
        self, known: Identified, name: str, above: str, *, digest: str, what: tuple[Any, ...]
    ) -> Identified:
        inputs = {**known.inputs, name: ({"element": digest}, above)}
        key = node_key(
            known.node.fn,
            code=known.code,
            settings=known.settings,
            parts=known.node.parts,
            makes=known.node.makes,
            inputs={name: identity for name, (identity, _) in inputs.items()},
            versions=self.keyed,
        )
        kind, value = what
        place = Place(key=value if kind == "unit" else above, element=(kind, value))
        record, damage = self.found(key)
        return replace(
            known,
            key=key,
            inputs=inputs,
            places={**known.places, name: place},
            record=record,
            damage=damage,
        )

    def mark(self, recipe: str, name: str, key: str) -> None:
        """Remember that a node of this name has had this key."""
        marker = f"names/{recipe}/{name}/{key}"
        if not self.store.exists(marker):
            self.store.put_new(marker, b"", sync="fast")

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
        self, node: Node, name: str, source: Source, above: Mapping[str, Record]
    ) -> tuple[tuple[Identity, str | None], Place]:
        where = f"{node.name}.{name}"
        if isinstance(source, Node):
            record = above[source.name]
            return (record.digest, record.key), Place(key=record.key)
        if isinstance(source, Each):
            record = above[source.node.name]
            return ({"each": record.digest}, record.key), Place(key=record.key)
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
