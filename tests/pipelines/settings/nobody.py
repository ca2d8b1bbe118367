"""A while without the rights of root, who may read and write everything."""

import contextlib
import os
import stat
from collections.abc import Generator
from pathlib import Path

NOBODY = 65534  # a user who owns nothing


@contextlib.contextmanager
def nobody(folder: Path) -> Generator[None]:
    """Be nobody where this is root's process; `folder` and what leads to it can be passed through.

    Whoever is not root stays who he is.
    """
    if os.geteuid() != 0:
        yield
        return
    modes = {place: stat.S_IMODE(place.stat().st_mode) for place in (folder, *folder.parents)}
    modes = {place: mode for place, mode in modes.items() if mode & 0o111 != 0o111}
    for place, mode in modes.items():
        place.chmod(mode | 0o111)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        for place, mode in modes.items():
            place.chmod(mode)
