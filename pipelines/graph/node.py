"""The nouns of a graph: a call to make, what goes in, and where it runs."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

from pipelines.graph.artifact import ArtifactKind

Say = Callable[..., None]  # say(done, total, text="", **metrics): progress and numbers of a body


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOn:
    """Where a node runs: never part of its identity. Workers make it a gang, started whole."""

    workers: int = 0
    min_workers: int = 0  # above 0: a training that need not repeat may run with so few
    cpus: float = 1.0  # of an ordinary node
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    memory: int = 0  # bytes of an ordinary node, or of each worker; 0: not counted
    retries: int = 2  # after a lost machine or worker; an error of the code is not retried
    local: bool = False  # workers are child processes of one task, without Ray Train
    checkpoint_every: int = 100  # steps between two checkpoints of a training node; 0 for none
    silent_after_s: float = 0.0  # a body that says nothing for so long is stopped, and tried again


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """A user's files or folders. Their content is their identity; their place is not."""

    name: str
    files: Mapping[str, str]  # role -> absolute path


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One call: a module-level function, its settings, its inputs, and what it makes.

    The function gets a `Task`, fills `task.out`, and may return notes: small JSON values that
    are kept in the record (counts, metrics). Parts are functions or classes chosen by a recipe.
    """

    name: str
    fn: "Callable[[Task], Mapping[str, object] | None]"
    cfg: Any  # a frozen dataclass
    makes: ArtifactKind
    inputs: "Mapping[str, Source]" = field(default_factory=lambda: cast("dict[str, Source]", {}))
    parts: Mapping[str, Callable[..., Any]] = field(
        default_factory=lambda: cast("dict[str, Callable[..., Any]]", {})
    )
    takes: Mapping[str, ArtifactKind] = field(
        default_factory=lambda: cast("dict[str, ArtifactKind]", {})
    )  # optional: the kind each input must have; `check` compares
    run_on: RunOn = field(default_factory=RunOn)
    keys: Mapping[str, str] = field(
        default_factory=lambda: cast("dict[str, str]", {})
    )  # setting of cfg -> its key on the page, for it and all below it: how people are told of it


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """Some files or folders of another node's artifact; only their bytes are identity."""

    node: Node
    files: Mapping[str, str]  # role -> name relative to the artifact


class AtHand(Protocol):
    """What a gang asks for whose workers may be on other machines than the node's own process."""

    def working(
        self, arg: Mapping[str, Any], *, rank: int
    ) -> AbstractContextManager[dict[str, Any]]:
        """Give a worker its argument with places of its own machine; carry what it leaves."""
        ...

    def collect(self) -> None:
        """Bring a result that a worker wrote elsewhere to the node's `out`."""
        ...


class Here:
    """All is at hand: every machine sees the same disk."""

    @contextmanager
    def working(self, arg: Mapping[str, Any], *, rank: int) -> Generator[dict[str, Any]]:
        """Give the argument as it is."""
        del rank
        yield dict(arg)

    def collect(self) -> None:
        """Bring nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Each:
    """One call for each element of another node's artifact: a map, whose calls are its units.

    An element is an item of `list.json` (kind listing), a shard (kind shards), or the artifact of
    one unit of another map. Each unit has its own key and commits on its own; what the map makes
    is the list of its units, in the order of the elements.
    """

    node: Node


Source = Node | View | Outside | Each


@dataclass(frozen=True, slots=True)
class Element:
    """What a unit gets for an `Each` input: a JSON value, or the path of a shard or a unit."""

    value: Any


@dataclass(frozen=True, slots=True)
class Units:
    """What a node gets for an input that is a map: the folders of its units, in order."""

    places: tuple[Path, ...]


Given = Path | Mapping[str, Path] | Element | Units


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a node's function gets."""

    cfg: Any
    inputs: Mapping[str, Any]  # each is Given; a View or an Outside is role -> path
    parts: Mapping[str, Callable[..., Any]]
    out: Path  # an empty directory to fill
    work: Callable[[], Path]  # makes `scratch`, once it is asked for
    run_on: RunOn
    say: Say
    note: Callable[[str], None]  # one sentence that people should read, and that is recorded
    set_aside: Callable[[Path], str]  # moves what is damaged below scratch to the quarantine
    at_hand: AtHand = field(default_factory=Here)
    asked: Callable[[], bool] = lambda: False  # whether to keep what is done in scratch, and end

    @property
    def scratch(self) -> Path:
        """Return a folder that survives a failed attempt of the same key; for checkpoints."""
        return self.work()

    def path(self, name: str) -> Path:
        """Return the directory of an input that is a whole artifact."""
        given: Given = self.inputs[name]
        if not isinstance(given, Path):
            raise TypeError(f"input {name}: {_what(given)}; got a path asked for. {_use(given)}")
        return given

    def files(self, name: str) -> Mapping[str, Path]:
        """Return role -> path of an input that is a view or a user's files."""
        given: Given = self.inputs[name]
        if not isinstance(given, Mapping):
            raise TypeError(f"input {name}: {_what(given)}; got files asked for. {_use(given)}")
        return given

    def units(self, name: str) -> list[Path]:
        """Return the directories of an input that is a map, in the order of its elements."""
        given: Given = self.inputs[name]
        if not isinstance(given, Units):
            raise TypeError(f"input {name}: {_what(given)}; got units asked for. {_use(given)}")
        return list(given.places)

    def element(self, name: str) -> Any:
        """Return this unit's own element of an `Each` input: a JSON value, or a path."""
        given: Given = self.inputs[name]
        if not isinstance(given, Element):
            raise TypeError(
                f"input {name}: {_what(given)}; got an element asked for. {_use(given)}"
            )
        return given.value


def _what(given: Given) -> str:
    if isinstance(given, Path):
        return "a whole artifact"
    if isinstance(given, Units):
        return "a map"
    return "one element" if isinstance(given, Element) else "a view of files"


def _use(given: Given) -> str:
    if isinstance(given, Path):
        return "Use path()."
    if isinstance(given, Units):
        return "Use units()."
    return "Use element()." if isinstance(given, Element) else "Use files()."


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Nodes in any order; their inputs are reached from them."""

    nodes: tuple[Node, ...]
    recipe: str
    keyed_versions: tuple[str, ...] = ()  # of these another major.minor is another key
    model: str = ""  # name of the node whose artifact a run keeps as its model; empty: none

    def every(self) -> tuple[Node, ...]:
        """Return all nodes, inputs before users, each once; a cycle is left for the checks."""
        return self._every

    @cached_property
    def _every(self) -> tuple[Node, ...]:
        seen: set[int] = set()
        order: list[Node] = []
        for root in self.nodes:
            stack: list[tuple[Node, Iterator[Node]]] = []
            if id(root) not in seen:
                seen.add(id(root))
                stack.append((root, iter(upstream(root))))
            while stack:
                node, rest = stack[-1]
                for below in rest:
                    if id(below) not in seen:
                        seen.add(id(below))
                        stack.append((below, iter(upstream(below))))
                        break
                else:
                    order.append(node)
                    stack.pop()
        return tuple(order)


def upstream(node: Node) -> tuple[Node, ...]:
    """Return the nodes that a node reads from, each once, in the order of its inputs."""
    found: dict[int, Node] = {}
    for source in node.inputs.values():
        if isinstance(source, Node):
            found[id(source)] = source
        elif isinstance(source, View | Each):
            found[id(source.node)] = source.node
    return tuple(found.values())


def mapped(node: Node) -> str | None:
    """Return the name of the `Each` input that makes a node a map; None where there is none."""
    return next((name for name, source in node.inputs.items() if isinstance(source, Each)), None)
