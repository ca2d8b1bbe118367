"""What can be wrong with a store, and its exit code; the names are rows of `failures.NAMED`."""

import errno
import shutil
from contextlib import suppress
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
FULL = (*NO_ROOM, errno.EIO)  # a good place, which does not take more now


class StoreError(ValueError):
    """The place given is not a store that can be used; nothing was written (exit 2)."""


class StorageError(OSError):
    """The store failed in the middle: full, turned read-only, unreachable (exit 4)."""


class DamagedError(ValueError):
    """A stored thing is not what its record says (exit 3)."""


def fault(error: OSError, place: Path | str) -> StorageError:
    """Return what a fault of the disk is to a run; a full disk says how much is free."""
    if isinstance(error, StorageError):
        return error
    reason = error.strerror or str(error)
    where = Path(place)
    if error.errno in NO_ROOM and where.is_absolute():
        with suppress(OSError):
            there = next(p for p in (where, *where.parents) if p.exists())
            reason += f", {shutil.disk_usage(there).free:,} bytes free"
    return StorageError(
        error.errno,
        f"store: {place} cannot be read or written; got '{reason}'. "
        "Make room or mend the disk, and run the same command again",
    )
