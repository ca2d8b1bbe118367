"""What the workers of a node have at hand, on whichever machine they are: inputs, checkpoints, out.

On a disk that all machines see there is nothing to do. With an object store every machine has a
folder of its own: inputs are brought there, whole checkpoints are carried up and the newest down,
and a result that was written elsewhere is brought to the machine that runs the node.

Workers of one group on several machines leave their parts of a checkpoint on several disks: what
is carried is then not whole, is not gone on from, and such a group begins again after a loss.
"""

import shutil
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.storage import DamagedError, Store, open_store
from pipelines.graph.node import Element, Given, Units
from pipelines.graph.payload import Place
from pipelines.graph.record import Record, faults, first_look, read_record, set_aside

LOOK_S = 0.5  # between two looks for a new checkpoint
CARRIED = 2  # newest checkpoints that stay in the store


def open_input(store: Store, place: Place, name: str) -> Given:
    """Return what an input is here; the first read in a process checks that it is whole.

    Raises:
        DamagedError: it is not; it was set aside.
    """
    if place.element and place.element[0] == "value":
        return Element(place.element[1])
    if place.key is None:
        return {role: Path(path) for role, path in (place.files or {}).items()}
    record = _whole(store, place.key, name)
    if record.units is not None:
        units = [_whole(store, key, name) for key, _ in record.units]
        return Units(tuple(unit.place(store) for unit in units))
    root = record.place(store)
    if place.element:
        return Element(root / place.element[1] if place.element[0] == "file" else root)
    if place.files is None:
        return root
    return {role: root / relative for role, relative in place.files.items()}


def check_inputs(store: Store, places: Mapping[str, Place]) -> None:
    """Read every byte of a node's inputs, large files too.

    Raises:
        DamagedError: one is not whole; it was set aside, and is made anew by the next run.
    """
    for key in [place.key for place in places.values() if place.key]:
        above = read_record(store, key)
        for part in (key,) if above is None or above.units is None else dict(above.units):
            record = read_record(store, part)
            if record and (found := faults(store, record, check="all")):
                raise set_aside(store, record, found)


def _whole(store: Store, key: str, name: str) -> Record:
    record = read_record(store, key)
    if record is None:
        raise DamagedError(f"input {name}: its record is gone; got {key[:12]}. Run again.")
    if record.units is None and (found := first_look(store, record, check="small")):
        raise set_aside(store, record, found)
    return record


@dataclass(frozen=True, kw_only=True, slots=True)
class ThroughStore:
    """An `AtHand` for machines that share a store and no disk; it can be pickled."""

    store: str
    home: Path  # of the store on the machine that runs the node
    out: Path
    places: Mapping[str, Place]

    @contextmanager
    def working(self, arg: Mapping[str, Any], *, rank: int) -> Generator[dict[str, Any]]:
        """Give a worker its argument with places of its own machine; carry what it leaves.

        The newest checkpoints are brought, for the last group may have worked on a machine that is
        gone.

        Args:
            arg: paths in it lie below the home of the machine that runs the node.
            rank: the first brings and carries checkpoints (`keep_in`), and carries `out`.
        """
        store = open_store(self.store, mode="join")
        same = self.out.is_dir()
        own = dict(arg) if same else self._moved(arg, store)
        if rank == 0:
            name = str(own["keep_in"].relative_to(store.home))
            for step in store.list(name)[-CARRIED:]:
                store.fetch(f"{name}/{step}")
        with _Carrier(store, own["keep_in"]) if rank == 0 else _Idle():
            yield own
        if not same and rank == 0:
            store.keep(self._result(), own["out"])

    def collect(self) -> None:
        """Bring the result of a worker on another machine to `out`."""
        store = open_store(self.store, mode="join")
        if not any(self.out.iterdir()) and (place := store.fetch(self._result())) is not None:
            shutil.copytree(place, self.out, dirs_exist_ok=True)

    def _result(self) -> str:
        key, attempt = self.out.parent.name, self.out.name
        return f"work/{key}/{attempt}"

    def _moved(self, arg: Mapping[str, Any], store: Store) -> dict[str, Any]:
        """Return the argument with every path below the sender's home below this one's."""
        for name, place in self.places.items():
            open_input(store, place, name)
        own = {name: self._here(value, store) for name, value in arg.items()}
        own["out"].mkdir(parents=True, exist_ok=True)
        return own

    def _here(self, value: Any, store: Store) -> Any:
        if isinstance(value, Path) and value.is_relative_to(self.home):
            return store.home / value.relative_to(self.home)
        return value


class _Idle:
    """Carries nothing."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class _Carrier:
    """Carries each new whole checkpoint up while a training goes on.

    A fault of the store does not stop the training: the next checkpoint is tried again.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.name = str(folder.relative_to(store.home))
        self.fault: OSError | None = None  # the last one
        self._carried: set[str] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="checkpoints", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_S):
            self._look()
        self._look()  # what was left last, perhaps because the machine goes away

    def _look(self) -> None:
        try:
            here = sorted(p.name for p in self.folder.glob("[!.]*") if p.is_dir())
            for step in here[-1:]:
                if step not in self._carried:
                    self.store.keep(f"{self.name}/{step}", self.folder / step)
                    self._carried.add(step)
                    self._leave(here)
            self.fault = None
        except OSError as error:  # also: the training removed it meanwhile
            self.fault = error

    def _leave(self, here: list[str]) -> None:
        for old in self.store.list(self.name)[:-CARRIED]:
            if old not in here:
                self.store.drop(f"{self.name}/{old}")
