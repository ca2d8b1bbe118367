"""What is wrong with label files: all of it at once, each in one sentence that says what to do."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

SHOWN = 20  # lines a kind of problem


class DataError(ValueError):
    """Label files that cannot be used."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process boundary whole."""
        return DataError, (self.problems,)


FOLDERS = ("images",)  # roles that are folders; the others are files


def file_problems(files: Mapping[str, Path]) -> list[str]:
    """List files and folders that are missing, of the other sort, empty or closed to us."""
    found: list[str] = []
    for role, path in files.items():
        want_folder = role in FOLDERS
        if not path.exists():
            found.append(
                f"{role}: nothing is there; got {path}. Paths start from the config's folder."
            )
        elif want_folder != path.is_dir():
            sorts = ("a folder", "a file") if want_folder else ("a file", "a folder")
            found.append(f"{role}: expected {sorts[0]}; got {sorts[1]}, {path}. Name the other.")
        elif not os.access(path, os.R_OK):
            found.append(f"{role}: may not be read; got {path}. Change its rights.")
        elif not want_folder and path.stat().st_size == 0:
            found.append(f"{role}: the file is empty; got {path}. Write it anew.")
    return found


def few(lines: list[str], *, of: str) -> list[str]:
    """Return at most SHOWN lines, and one that counts the rest."""
    if len(lines) <= SHOWN:
        return lines
    return [*lines[:SHOWN], f"{of}: {len(lines) - SHOWN} more of this kind."]


def place_problem(name: str, where: str) -> str | None:
    """Return what is wrong with a picture's file name: absolute, or out of its folder."""
    if os.path.isabs(name) or ".." in Path(name).parts or "\\" in name or "\0" in name:
        return (
            f"{where}: a picture must lie under its folder; got file_name {name!r}. "
            "Write the path relative to the folder of images."
        )
    return None
