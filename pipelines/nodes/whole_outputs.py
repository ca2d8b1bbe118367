"""Files and folders of a user's that are there whole, or as they were."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def whole_file(path: Path) -> Generator[TextIO]:
    """Give a file to write that takes its name when all is written, and is gone otherwise."""
    path = path.resolve()  # behind a link
    half = path.with_name(f".{os.getpid()}.half")
    try:
        with half.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path | None) -> Generator[Path | None]:
    """Give a folder to fill, whose files move to `path` when all are written; None for None."""
    if path is None:
        yield None
        return
    was_there = path.is_dir()
    half = (path if was_there else path.absolute().parent) / f".{os.getpid()}.pictures.half"
    half.mkdir()
    try:
        yield half
        if was_there:
            for file in half.iterdir():
                file.replace(path / file.name)
        else:
            half.rename(path)
    finally:
        shutil.rmtree(half, ignore_errors=True)
