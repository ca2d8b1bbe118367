"""Files that a command reads, and a folder that it writes: what is wrong with them."""

from collections.abc import Collection
from pathlib import Path

from pipelines.settings.problems import Problem


def check_file(name: str, *, option: str) -> list[Problem]:
    """Say why a file cannot be read: it is not there, or is none."""
    if Path(name).is_file():
        return []
    what = "expected a file" if Path(name).is_dir() else "no such file"
    return [Problem(where=option, what=what, got=str(Path(name).absolute()), do="Check the path.")]


def check_folder(
    path: Path, *, by: str, holds: Collection[str], always: str | None = None, overwrite: bool
) -> list[Problem]:
    """Say why a folder cannot be written. One that the command did not write is never replaced.

    Args:
        path: what --out names.
        by: the command.
        holds: names of the files that it writes.
        always: one that is in each folder of its own; None: none is sure.
        overwrite: whether a folder of its own may be replaced.
    """
    got = str(path.absolute())
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        what, do = "expected a folder", "Name a folder."
        return [Problem(where="--out", what=what, got=got, do=do)]
    if not path.absolute().parent.is_dir():
        do = f"Make it: mkdir -p {path.absolute().parent}"
        return [Problem(where="--out", what="its folder is not there", got=got, do=do)]
    inside = {entry.name for entry in path.iterdir()} if path.is_dir() else set[str]()
    if inside - set(holds) or (inside and always is not None and always not in inside):
        what, do = f"holds files that vocabox {by} did not write", "Name another."
        return [Problem(where="--out", what=what, got=got, do=do)]
    if inside and not overwrite:
        what, do = "is there already, and is kept", "Pass --overwrite, or name another."
        return [Problem(where="--out", what=what, got=got, do=do)]
    return []
