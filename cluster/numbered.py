"""Numbered records in a store: whoever creates number n is the only one that did."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, Protocol

from cluster.storage import DamagedError

DIGITS = 8
Record = dict[str, Any]


class Names(Protocol):
    """What records need of a store."""

    def put_new(self, name: str, data: bytes, *, sync: Any = ...) -> bool:
        """Create a name if it is absent."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a name."""
        ...

    def list(self, name: str) -> list[str]:
        """Return the names below a name."""
        ...

    def delete(self, name: str) -> None:
        """Remove a name."""
        ...


class Numbered:
    """The records below one name, from 1 on: none is left out, none is written twice."""

    def __init__(self, store: Names, place: str) -> None:
        self._store, self._place = store, place

    def create(self, number: int, body: Record) -> bool:
        """Create a record; return whether it was us who did.

        A store that says no after it has done it (a lost answer, NFS) is asked what is there.
        """
        mark = uuid.uuid4().hex
        line = json.dumps({**body, "mark": mark}, separators=(",", ":"), sort_keys=True).encode()
        if self._store.put_new(self._name(number), line):
            return True
        present = self.read(number)
        return present is not None and present["mark"] == mark

    def read(self, number: int) -> Record | None:
        """Return one record with its number `n`, or None where it is not there.

        Raises:
            DamagedError: it is there and no record.
        """
        data = self._store.read(self._name(number))
        if data is None:
            return None
        try:
            return {**json.loads(data), "n": number}
        except (ValueError, TypeError) as error:
            raise DamagedError(
                f"{self._name(number)}: is not a record of a run; got {data[:40]!r}. "
                "Move the run's folder away, and run the same command again."
            ) from error

    def since(self, number: int) -> Iterator[Record]:
        """Yield the records from a number on."""
        while (record := self.read(number)) is not None:
            yield record
            number += 1

    def _name(self, number: int) -> str:
        return f"{self._place}/{digits(number)}"


def digits(number: int) -> str:
    """Return a number as names have it: they sort as the numbers do."""
    return f"{number:0{DIGITS}d}"
