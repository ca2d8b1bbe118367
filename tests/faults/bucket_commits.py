"""A cut, a lost answer or a refusal at every request of a commit in an object store.

The server is moto's; between it and the store stands a wire that does it. What is lost once is
asked again, so each commit ends, with the bytes of an undisturbed one.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cluster.bucket_door import open_bucket
from cluster.failures import failure_of
from cluster.patience import Patience
from cluster.storage import StorageError
from pipelines.graph.commit import carry_out
from pipelines.graph.record import faults, read_record
from tests.cluster.moto_server import KEYS, Wire, moto_server, new_bucket
from tests.faults.commits import MOST, Found, call_of

KINDS = ("request", "answer", "short", "503")
QUICK = Patience(first_s=0.01, deadline_s=5.0)


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def every_kind(folder: Path) -> Iterator[tuple[str, Found]]:
    """Let every request of a commit meet each kind of fault, once; and one that does not end."""
    with moto_server() as url:
        wire = Wire(url)
        try:
            with environment(**KEYS, AWS_ENDPOINT_URL=wire.url, VOCABOX_CACHE=str(folder)):
                for kind in KINDS:
                    yield kind, points(wire, f"s3://{new_bucket(url)}", kind=kind)
                yield "503 for ever", for_ever(wire, f"s3://{new_bucket(url)}")
        finally:
            wire.close()


def points(wire: Wire, root: str, *, kind: str, step: int = 1) -> Found:
    """Commit once for each request, which meets a fault; say what was wrong."""
    found = Found(kind)
    store = open_bucket(f"{root}/alone", mode="write", patience=QUICK)
    whole = carry_out(call_of(store), store)["digest"]
    for at in range(1, MOST, step):
        store = open_bucket(f"{root}/{at:03d}", mode="write", patience=QUICK)
        call = call_of(store)
        wire.count, wire.done = 0, []
        wire.rule = lambda number, _, at=at: kind if number == at else ""
        try:
            digest = carry_out(call, store)["digest"]
        except Exception as error:
            digest = repr(error)
        wire.rule = lambda number, line: ""
        if not wire.done:
            break
        found.operations += 1
        record = read_record(store, call.key)
        wrong = faults(store, record, check="all") if record else ["no record"]
        if digest != whole:
            wrong.append(f"got {digest}")
        found.wrong += [f"{wire.done[0]}: {text}" for text in wrong]
    return found


def for_ever(wire: Wire, root: str) -> Found:
    """Let a service fail at some request and at all after it: an error of storage, nothing torn."""
    found = Found("503 for ever")
    for at in range(1, MOST, 4):
        store = open_bucket(f"{root}/{at:03d}", mode="write", patience=QUICK)
        call = call_of(store)
        wire.count, wire.done = 0, []
        wire.rule = lambda number, _, at=at: "503" if number >= at else ""
        wrong: list[str] = []
        try:
            carry_out(call, store)
        except StorageError as error:
            if failure_of(error, where="one").kind != "storage" or root not in str(error):
                wrong.append(f"an error that does not say so: {error}")
        except Exception as error:
            wrong.append(f"another error came out: {error!r}")
        wire.rule = lambda number, line: ""
        if not wire.done:
            break
        found.operations += 1
        record = read_record(store, call.key)
        wrong += faults(store, record, check="all") if record else []
        if not carry_out(call, store)["digest"]:
            wrong.append("the same call does not mend it")
        found.wrong += [f"from request {at} on: {text}" for text in wrong]
    return found
