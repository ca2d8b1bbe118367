"""The nouns of the schedule: what a node needs, what happens, what is to be done, what is known."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SLACK = 1e-9  # fractions of CPUs do not sum exactly


@dataclass(frozen=True, slots=True)
class Capacity:
    """Event: what there is, at the start and when machines come or go; also, what is free."""

    cpus: float
    gpus: float = 0.0
    memory: float = math.inf  # bytes; infinite where nobody counts them


@dataclass(frozen=True, slots=True)
class Need:
    """What a running node takes."""

    cpus: float
    gpus: float = 0.0
    memory: float = 0.0  # bytes
    gang: bool = False

    def fits(self, room: Capacity) -> bool:
        """Say whether this much is enough."""
        enough = self.cpus <= room.cpus + SLACK and self.gpus <= room.gpus + SLACK
        return enough and self.memory <= room.memory

    def meets(self, other: "Need") -> bool:
        """Say whether both take some of the same."""
        pairs = (self.cpus, other.cpus), (self.gpus, other.gpus), (self.memory, other.memory)
        return any(mine > 0 and theirs > 0 for mine, theirs in pairs)


@dataclass(frozen=True, slots=True)
class Job:
    """One node as the schedule sees it."""

    name: str
    after: tuple[str, ...]
    need: Need
    weight: float = 1.0  # expected seconds, or 1
    group: str = ""  # nodes of one group may share a call; never those of ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Event: a resolved node has no result, so it must run; also when a retry is due."""

    name: str
    alone: bool = False  # with nothing else, after it ran out of memory


@dataclass(frozen=True, slots=True)
class Ready:
    """Event: all of these are wanted; told at once, so that cheap ones can share a call."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Back:
    """Event: a call came back, so what its first node took is free; its nodes are told of next."""

    name: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Event: a node's result is there, cached or made."""

    name: str


@dataclass(frozen=True, slots=True)
class Freed:
    """Event: a running node failed and will be wanted again later, then in a call of its own."""

    name: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Event: a node failed for good; what uses it is skipped."""

    name: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Event: a resolved map has these units to run first; then it is resolved again."""

    name: str
    units: tuple[Job, ...]  # at least one


@dataclass(frozen=True, slots=True)
class Sized:
    """Event: how many nodes of a group go in one call at most."""

    group: str
    most: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Event: submit nothing more."""


Event = Capacity | Wanted | Ready | Back | Finished | Freed | Failed | Spread | Sized | Drain


@dataclass(frozen=True, slots=True)
class Action:
    """What the driver must do. Resolve: find the key of a node whose inputs are there."""

    kind: Literal["resolve", "submit", "skip", "impossible", "end"]
    name: str = ""
    along: tuple[str, ...] = ()  # submit: these go in the same call, one after the other


Queue = tuple[Need, str]  # what its nodes need, and their group


@dataclass(frozen=True, slots=True)
class State:
    """Everything the schedule knows."""

    jobs: Mapping[str, Job]
    users: Mapping[str, tuple[str, ...]]
    rank: Mapping[str, tuple[float, str]]  # minus the longest remaining path, then name
    missing: Mapping[str, int]  # inputs not finished; a node leaves when it is resolved
    total: Capacity  # of the cluster
    running: Mapping[str, Need | None] = field(
        default_factory=dict[str, Need | None]
    )  # None: takes nothing: in the call of another node, or back
    queues: Mapping[Queue, tuple[tuple[float, str], ...]] = field(
        default_factory=dict[Queue, tuple[tuple[float, str], ...]]
    )  # ordinary nodes, best first; none is empty
    gangs: tuple[str, ...] = ()  # oldest first
    lonely: tuple[str, ...] = ()  # wait until nothing runs
    passed: int = 0  # calls that passed the oldest gang
    open: int = 0  # nodes resolved or due later: not queued, not running, not ended
    single: frozenset[str] = frozenset()  # failed once: never again in a call with others
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])  # of a group's calls
    draining: bool = False
    ended: bool = False
