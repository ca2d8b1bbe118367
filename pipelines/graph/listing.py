"""What a map goes over: a JSON list, the shards of a set, or the units of another map."""

import json
from pathlib import Path
from typing import Any, cast

from cluster.storage import DamagedError, Store
from cluster.store_files import digest_of
from pipelines.graph.key import canonical, sha256
from pipelines.graph.outside import files_digest
from pipelines.graph.record import Record

LIST = "list.json"
SHARD = ".tar"


class ListingError(ValueError):
    """`list.json` is not a JSON list."""


class DamagedListError(DamagedError):
    """A list that a map goes over is not what its record says (exit 3)."""

    def __init__(self, record: Record) -> None:
        self.record, self.found = record, f"{LIST} has other bytes than its record says"
        super().__init__(
            f"{record.body['node']}: its artifact is damaged; got {self.found}. "
            "Run the graph: it is moved away, and made anew by the run after."
        )


def check_list(path: Path, *, node: str) -> list[Any]:
    """Return the elements of a listing.

    Raises:
        ListingError: it is not a JSON list, or holds a number that is not finite.
    """
    do = f"Write a JSON list to {LIST} in task.out."
    try:
        made: Any = json.loads(path.read_bytes(), parse_constant=_refuse)
    except (ValueError, OSError) as error:
        raise ListingError(f"{node}: {LIST} cannot be read as JSON; got {error}. {do}") from error
    if not isinstance(made, list):
        got = type(made).__name__
        raise ListingError(f"{node}: {LIST} must hold a JSON list; got a {got}. {do}")
    return cast("list[Any]", made)


def elements_of(store: Store, record: Record) -> list[tuple[str, tuple[Any, ...]]]:
    """Return (digest, what it is) of each element: a value, a file by name, or a unit by key.

    Raises:
        ListingError: the artifact holds no list.
        DamagedListError: the list is not what was committed; who runs the graph sets it aside.
    """
    if record.units is not None:
        return [(digest, ("unit", key)) for key, digest in record.units]
    if LIST in record.files:
        place = record.place(store) / LIST
        if digest_of(place) != record.files[LIST][1]:
            raise DamagedListError(record)
        made = check_list(place, node=record.body["node"])
        return [(sha256(canonical(value)), ("value", value)) for value in made]
    return [
        (files_digest([("", *entry)]), ("file", name))
        for name, entry in sorted(record.files.items())
        if name.endswith(SHARD)
    ]


def _refuse(word: str) -> float:
    raise ValueError(f"{word}, which is no number in JSON")
