"""What lies in a store: each key, the record that counts, and the attempts beside it."""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.storage import Store
from pipelines.graph.key import SCHEMA
from pipelines.graph.record import Record, home, parsed, read_record

MANIFEST = "manifest.json"
BESIDE = (MANIFEST, "claim")  # names in a key's folder that are no attempts


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One key. `torn` is a record that is there and cannot be read: nothing of it is garbage."""

    key: str
    record: Record | None
    torn: bool
    attempts: tuple[str, ...]

    @property
    def litter(self) -> tuple[str, ...]:
        """Return the names of the attempts that no record counts."""
        if self.torn:
            return ()
        counts = self.record.body["attempt"] if self.record else None
        return tuple(f"{home(self.key)}/{a}" for a in self.attempts if a != counts)


def keys(store: Store) -> Iterator[str]:
    """Yield every key that something was written for."""
    for first in store.list("nodes"):
        yield from store.list(f"nodes/{first}")


def stored(store: Store) -> Iterator[Stored]:
    """Yield all that is under nodes/, one key after the other."""
    for key in keys(store):
        names = store.list(home(key))
        record = read_record(store, key) if MANIFEST in names else None
        yield Stored(
            key=key,
            record=record,
            torn=record is None and MANIFEST in names and store.exists(f"{home(key)}/{MANIFEST}"),
            attempts=tuple(name for name in names if name not in BESIDE),
        )


def is_foreign(store: Store, key: str) -> bool:
    """Say whether a record that cannot be used is whole, and of another version."""
    body = parsed(store.read(f"{home(key)}/{MANIFEST}") or b"")
    return body is not None and body.get("format") != SCHEMA


def is_unit(record: Record) -> bool:
    """Say whether a result is one unit of a map: an input of it is one element."""
    places = record.body.get("places", {})
    return any(
        isinstance(digest, dict) and "element" in digest and key and name not in places
        for name, (digest, key) in record.body["inputs"].items()
    )


def makers(record: Record) -> set[str]:
    """Return the keys that a record was made from: of its inputs, and of its units."""
    found = {key for _, key in record.body["inputs"].values() if key}
    return found | {key for key, _ in record.body.get("units", ())}


def within(store: Store, begins: str) -> list[Record]:
    """Return the records whose key begins so."""
    near = (k for k in store.list(f"nodes/{begins[:2]}") if k.startswith(begins))
    found = (read_record(store, key) for key in near)
    return [record for record in found if record is not None]
