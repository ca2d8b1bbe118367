"""What a worker runs: the body of a node in a fresh folder, then its record, created last.

An artifact is absent or whole: the manifest is created only after all files are written, hashed
and flushed, and the first writer of a key wins.
"""

import os
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cluster.ray_faults import fault_of
from cluster.storage import DamagedError, LocalStore, StorageError, Store, open_store
from cluster.store_files import digest_of
from cluster.workers import never
from pipelines.graph.artifact import LISTING, missing
from pipelines.graph.at_hand import ThroughStore, check_inputs, open_input
from pipelines.graph.circumstances import boot, cpu_seconds, most_memory, plain_notes, versions
from pipelines.graph.claims import BEGUN, claim, let_go
from pipelines.graph.key import SCHEMA, label
from pipelines.graph.listing import check_list
from pipelines.graph.node import AtHand, Here, Task
from pipelines.graph.outside import THREADS, OutsideError, stamp_of
from pipelines.graph.payload import Call
from pipelines.graph.provenance import check_versions, provenance
from pipelines.graph.record import Record, first_look, home, read_record, sealed
from pipelines.graph.same_code import check_same
from pipelines.graph.saying import Saying

CHEAP_S = 0.2  # a body that took less is cheaper to run again than to flush to disk
FEW = 8  # files; threads cost more than they save


@dataclass(frozen=True, slots=True)
class Aside:
    """Moves what is damaged to the quarantine of a store, from whichever process finds it."""

    store: str

    def __call__(self, place: Path) -> str:
        """Return where it lies now."""
        store = open_store(self.store, mode="join")
        return store.set_aside(str(place.relative_to(store.home))) or str(place)


def execute(payload: dict[str, Any]) -> dict[str, Any]:
    """Run one node and commit its artifact; a result that is there already is returned as is.

    Args:
        payload: the fields of `Call`.

    Returns:
        key, digest and attempt of the artifact that counts, seconds and notes of its body,
        `found` (it was there), `differs` (another writer won with other bytes). Or `claimed`: the
        claim of another run that is making it.
    """
    call = Call(**payload)
    check_same(
        call.fn,
        cfg=call.cfg,
        parts=call.parts,
        digest=call.code_digest,
        sources=call.sources,
    )
    check_versions(call.node, call.keyed)
    return carry_out(call, _opened(call.store, os.getpid()))


@lru_cache(maxsize=8)
def _opened(uri: str, process: int) -> Store:
    """Open a store once in a process, which serves many calls."""
    del process
    return open_store(uri, mode="join")


def carry_out(call: Call, store: Store) -> dict[str, Any]:
    """Do what `execute` does, in an open store and with code that is known to be the driver's."""
    if not call.claimant.run:
        return _made(call, store)
    standing = claim(store, call.key, call.claimant)
    if standing.run != call.claimant.run:
        return {"claimed": asdict(standing)}
    try:
        return _made(call, store)
    except BaseException:
        _sign_scratch(call, store)
        raise
    finally:
        let_go(store, standing, call.key)


def _sign_scratch(call: Call, store: Store) -> None:
    """Say whose the checkpoints are that stay: without a claim nobody else would know."""
    with suppress(StorageError):
        if store.list(f"work/{call.key}"):
            store.put_new(f"work/{call.key}/{BEGUN}/{call.claimant.run}", b"", sync="fast")


def _made(call: Call, store: Store) -> dict[str, Any]:
    """Return the result that is there, or make it."""
    present = read_record(store, call.key) if call.forced == "no" else None
    if present and not first_look(store, present, check="sizes"):
        return _answer(present, found=True, differs=False)
    attempt = uuid.uuid4().hex
    name = f"{home(call.key)}/{attempt}"
    out = store.new_folder(name)
    try:
        body = _run(call, store, attempt, out)
        store.publish(name, out, sync="fast" if "fast" in body else "durable")
        winner = publish(store, body, call.forced)
    except BaseException:
        _drop(store, call.key, attempt)
        raise
    if call.unit is None:
        store.put_new(f"names/{call.recipe}/{call.node}/{call.key}", b"", sync="fast")
    own = winner.body["attempt"] == attempt
    with suppress(StorageError):  # what is left is litter, and the result is there
        if not own:
            store.drop(name)
        store.drop(f"work/{call.key}")
    differs = not own and winner.digest != Record(body).digest
    return _answer(winner, found=False, differs=differs)


def _run(call: Call, store: Store, attempt: str, out: Path) -> dict[str, Any]:
    """Run the body and return the manifest to publish."""
    inputs = {name: open_input(store, place, name) for name, place in call.inputs.items()}
    started, clock, cpu = time.time(), time.monotonic(), cpu_seconds()
    saying = Saying(call.reporter)
    task = Task(
        cfg=call.cfg,
        inputs=inputs,
        parts=call.parts,
        out=out,
        work=lambda: store.scratch(call.key),
        run_on=call.run_on,
        say=saying,
        note=saying.note,
        set_aside=Aside(call.store),
        at_hand=_at_hand(call, store, out),
        asked=call.asked or never,
    )
    try:
        notes = call.fn(task)
    except Exception as error:
        if fault_of(error, where=call.node).kind == "damaged":  # in what is read by the body only
            check_inputs(store, call.inputs)
        raise
    seconds, spent = time.monotonic() - clock, cpu_seconds() - cpu
    _check_unchanged(call)
    fast = seconds < CHEAP_S and isinstance(store, LocalStore)  # a bucket flushes what it takes
    files = seal(out)
    if call.makes == LISTING:
        check_list(out / "list.json", node=call.node)
    if lost := missing(call.makes, tuple(files)):
        listed = ", ".join(list(files)[:5]) or "an empty folder"
        raise ValueError(
            f"{call.node}: must make {', '.join(lost)} (kind {call.makes.name}); got {listed}. "
            "Write them to task.out."
        )
    return {
        **described(call, seconds=seconds, cpu_s=spent),
        "files": {name: list(entry) for name, entry in files.items()},
        "attempt": attempt,
        "started": started,
        "rss_max": most_memory(),
        "notes": plain_notes(notes) if notes else {},
        **({"fast": boot()} if fast else {}),
    }


def described(call: Call, *, seconds: float, cpu_s: float) -> dict[str, Any]:
    """Return what a manifest says of a call whatever came out of it, and what it cost."""
    places = {name: place.files for name, place in call.inputs.items() if place.files}
    on, keyed = call.run_on, call.keyed
    return {
        "format": SCHEMA,
        "key": call.key,
        "node": call.node,
        "recipe": call.recipe,
        "fn": label(call.fn),
        "code": dict(call.code),
        "settings": call.settings,
        "parts": {name: label(part) for name, part in call.parts.items()},
        "inputs": dict(call.identities),
        "makes": [call.makes.name, call.makes.version],
        "run": call.claimant.run,
        "epoch": call.claimant.epoch,
        "host": socket.gethostname(),
        "versions": versions(),
        "git": dict(call.git) if call.git else None,
        "seconds": round(seconds, 6),
        **provenance(call.cfg, run_on=on, places=places, keyed=keyed, seconds=seconds, cpu_s=cpu_s),
    }


def _at_hand(call: Call, store: Store, out: Path) -> AtHand:
    if isinstance(store, LocalStore):
        return Here()
    return ThroughStore(store=store.uri, home=store.home, out=out, places=call.inputs)


def _drop(store: Store, key: str, attempt: str) -> None:
    """Remove a half attempt, unless the record was created before the fault."""
    with suppress(StorageError):
        present = read_record(store, key)
        if present is None or present.body["attempt"] != attempt:
            store.drop(f"{home(key)}/{attempt}")


def publish(store: Store, body: dict[str, Any], forced: str) -> Record:
    """Create the manifest, the commit point; return the one that counts."""
    name = f"{home(body['key'])}/manifest.json"
    own = Record(body)
    for _ in range(8):
        if store.put_new(name, sealed(body), sync="fast" if own.fast else "durable"):
            return own
        present = read_record(store, body["key"])
        if present is None:
            if store.exists(name) and read_record(store, body["key"]) is None:
                store.set_aside(name)  # torn by a power cut; a record made this moment is whole
        elif forced == "no" or present.body["attempt"] == body["attempt"]:
            return present
        elif present.digest == own.digest and not first_look(store, present, check="sizes"):
            return present  # the same bytes again
        else:
            store.delete(name)
    raise DamagedError(
        f"{name}: is there and cannot be read; got 8 failed tries. Look at the store."
    )


def seal(out: Path) -> dict[str, tuple[int, str]]:
    """Hash all files below a folder; return name -> (bytes, sha256), sorted.

    Raises:
        ValueError: something is neither a file nor a folder.
    """
    names: list[str] = []
    for folder, below, files in os.walk(out):
        for name in (*below, *files):
            path = Path(folder) / name
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise ValueError(
                    f"{path.relative_to(out)}: an artifact holds files and folders; "
                    "got a link or device. Copy the bytes."
                )
        names += [str((Path(folder) / name).relative_to(out)) for name in files]
    names.sort()
    if len(names) <= FEW:
        entries = [_entry(out / name) for name in names]
    else:
        with ThreadPoolExecutor(THREADS) as pool:
            entries = list(pool.map(lambda name: _entry(out / name), names))
    return dict(zip(names, entries, strict=True))


def _entry(path: Path) -> tuple[int, str]:
    return path.stat().st_size, digest_of(path)


def _check_unchanged(call: Call) -> None:
    """Refuse a result made of a user's files that somebody wrote to meanwhile."""
    for name, place in call.inputs.items():
        for role, stamp in (place.stamps or {}).items():
            path = Path((place.files or {})[role])
            if not path.exists() or stamp_of(path) != stamp:
                raise OutsideError(
                    f"{name}.{role}: was changed while it was read; got {path}. "
                    "Leave it alone and run again."
                )


def _answer(record: Record, *, found: bool, differs: bool) -> dict[str, Any]:
    return {
        "key": record.key,
        "digest": record.digest,
        "attempt": record.body["attempt"],
        "seconds": record.seconds,
        "notes": record.body["notes"],
        "found": found,
        "differs": differs,
    }
