"""What a name in a store weighs and how old it is, by the store's own clock; and its removal."""

import os
import shutil
import stat

from cluster.storage import LocalStore, fault


def measure(store: LocalStore, name: str) -> tuple[int, float] | None:
    """Return the bytes of a name and of all below it, and the newest time stamp among them.

    The stamp is in seconds, by the clock of the store; None where the name is absent.

    Raises:
        StorageError: the store failed.
    """
    final = store.path(name)
    while True:
        try:
            marks = [final.lstat()]
            for folder, below, files in os.walk(final):
                marks += [os.lstat(os.path.join(folder, entry)) for entry in (*below, *files)]
        except (FileNotFoundError, NotADirectoryError):
            if not final.exists():
                return None
            continue  # somebody works in it
        except OSError as error:
            raise fault(error, final) from error
        sizes = (mark.st_size for mark in marks if not stat.S_ISDIR(mark.st_mode))
        return sum(sizes), max(mark.st_mtime for mark in marks)


def drop(store: LocalStore, name: str) -> None:
    """Remove a folder that no record names, with all that is in it; absent is fine.

    Raises:
        StorageError: the store failed.
    """
    final = store.path(name)
    try:
        shutil.rmtree(final)
    except FileNotFoundError:
        return
    except OSError as error:
        raise fault(error, final) from error
