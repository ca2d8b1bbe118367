"""Opening a store in an object store: what is wrong with the place is said before a run."""

import json
import os
import threading
import uuid
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cluster.bucket import Bucket
from cluster.object_store import ObjectStore
from cluster.patience import Patience, words
from cluster.storage import FORMAT, check_format
from cluster.store_errors import StorageError, StoreError

CACHE = "VOCABOX_CACHE"  # in the environment: where this machine keeps what it works on
Mode = Literal["read", "write", "join"]

_opened: dict[tuple[int, str], ObjectStore] = {}
_opening = threading.Lock()


def open_bucket(where: str, *, mode: Mode, patience: Patience | None = None) -> ObjectStore:
    """Open a store in an object store, or make one (mode write); see `storage.open_store`.

    A process that opens one again to join it is given the same.
    """
    with _opening:
        mark = (os.getpid(), where)
        if mode == "join" and mark in _opened:
            return _opened[mark]
        _opened[mark] = _open(where, mode=mode, patience=patience)
        return _opened[mark]


def _open(where: str, *, mode: Mode, patience: Patience | None) -> ObjectStore:
    parts = urlsplit(where)
    if "@" in parts.netloc:
        raise StoreError(
            f"--store: must hold no password; got '{words(ValueError(where))}'. Credentials come "
            "from the environment, a profile or the machine's role."
        )
    root = f"{parts.netloc}{parts.path.rstrip('/')}"
    if not parts.netloc or "//" in root:
        raise StoreError(
            f"--store: a bucket is needed; got '{where}'. Name {parts.scheme}://bucket/prefix."
        )
    bucket = Bucket(parts.scheme, root, patience=patience)
    try:
        data = bucket.get("format")
        if data is None:
            data = _first(bucket, where, mode)
        record = check_format(data, where=where) if data is not None else {}
        bucket.condition = record.get("create") != "look"
        if mode == "write":
            bucket.put(probe := f".probe/{uuid.uuid4().hex}", b"x")
            bucket.remove([probe])
    except StorageError as error:
        said = words(error.__cause__ or error)
        raise StoreError(
            f"--store: {where} cannot be used; got '{said}'. Check the bucket's name, that it is "
            "there, your credentials and what they allow."
        ) from error
    place = f"{parts.scheme}-{root.replace('/', '-')[:40]}-{str(record.get('id', 'none'))[:12]}"
    return ObjectStore(bucket, home=cache() / place)


def _first(bucket: Bucket, where: str, mode: Mode) -> bytes | None:
    """Make the record of a store where nothing is yet; None in mode read."""
    if any(name != "format" and not name.startswith(".") for name in bucket.names("")):
        raise StoreError(
            f"--store: {where} holds other objects and no store (there is no 'format' in it). "
            "Name an empty prefix."
        )
    if mode == "read":
        bucket.look()
        return None
    if mode == "join":
        raise StoreError(
            f"--store: must be there before workers join it; got {where}, where no store is seen "
            f"from {os.uname().nodename}. Give every machine the same credentials and endpoint."
        )
    knows = bucket.knows_condition(f".probe/{uuid.uuid4().hex}")
    record = {"create": "condition" if knows else "look", "id": uuid.uuid4().hex, "version": FORMAT}
    bucket.put_new("format", json.dumps(record, sort_keys=True).encode())
    return bucket.get("format")


def cache() -> Path:
    """Return where this machine keeps what it works on: $VOCABOX_CACHE, or ~/.cache/vocabox."""
    return Path(os.environ.get(CACHE) or "~/.cache/vocabox").expanduser().absolute()
