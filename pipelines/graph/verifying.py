"""Whether what lies in a store is what its records say; what is damaged is named and kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cluster.storage import Store
from pipelines.graph.key import sha256
from pipelines.graph.record import Record, faults, home, move_aside
from pipelines.graph.stored import MANIFEST, is_foreign, stored

TORN = "its record cannot be read"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One thing that was looked at: a result, or the text of a definition."""

    name: str  # node and key for people, or the name in the store
    key: str  # empty for a text
    size: int  # bytes
    faults: tuple[str, ...]
    record: Record | None = None
    foreign: bool = False  # of another version: not looked into


def verify(store: Store, *, check: Literal["sizes", "all"]) -> Iterator[Verdict]:
    """Look at every result; `all` reads every byte, and the texts of code too."""
    for one in stored(store):
        if one.record:
            found = tuple(faults(store, one.record, check=check))
            name = f"{one.record.body['node']} {one.key[:12]}"
            yield Verdict(
                name=name, key=one.key, size=one.record.size, faults=found, record=one.record
            )
        elif one.torn:
            foreign = is_foreign(store, one.key)
            wrong = () if foreign else (TORN,)
            yield Verdict(name=one.key[:12], key=one.key, size=0, faults=wrong, foreign=foreign)
    if check == "all":
        yield from _texts(store)


def _texts(store: Store) -> Iterator[Verdict]:
    for first in store.list("code"):
        for digest in store.list(f"code/{first}"):
            data = store.read(f"code/{first}/{digest}") or b""
            wrong = () if sha256(data) == digest else ("a text of code with other bytes",)
            yield Verdict(name=f"code/{first}/{digest}", key="", size=len(data), faults=wrong)


def put_aside(store: Store, verdict: Verdict) -> str:
    """Move what is damaged to quarantine/, so that it is made anew; return where it is now."""
    if verdict.record:
        return move_aside(store, verdict.record)
    if not verdict.key:
        return str(store.set_aside(verdict.name))
    place = home(verdict.key)
    names = [name for name in store.list(place) if name != MANIFEST]
    moved = [str(store.set_aside(f"{place}/{name}")) for name in (*names, MANIFEST)]
    return moved[0]
