"""What a worker is sent: one call of a node, and where its inputs lie."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.graph.artifact import ArtifactKind
from pipelines.graph.claims import Claimant
from pipelines.graph.node import RunOn, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """All that a worker needs; every field can be pickled."""

    store: str
    key: str
    node: str
    recipe: str
    claimant: Claimant  # the run this is for; one without a name claims nothing
    fn: Callable[[Task], Mapping[str, object] | None]
    cfg: Any
    parts: Mapping[str, Callable[..., Any]]
    makes: ArtifactKind
    run_on: RunOn
    inputs: Mapping[str, "Place"]
    identities: Mapping[str, Any]  # inputs as the manifest holds them
    settings: Any  # plain
    code: Mapping[str, str]
    code_digest: str
    sources: Mapping[str, str]
    git: Mapping[str, Any] | None
    keyed: Mapping[str, str] = field(default_factory=dict[str, str])  # versions in the key
    forced: Literal["no", "yes"] = "no"
    unit: int | None = None  # which of a map; its record is found through the map's
    reporter: Callable[[dict[str, Any]], None] | None = None
    asked: Callable[[], bool] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an input lies: an artifact, some files of one, or a user's files with their stamps.

    Of a unit's element: the value itself, or the file or whole artifact that it is.
    """

    key: str | None = None
    files: Mapping[str, str] | None = None  # role -> relative to the artifact, or absolute
    stamps: Mapping[str, str] | None = None  # role -> stamp of a user's file or folder
    element: tuple[Literal["value", "file", "unit"], Any] | None = None
