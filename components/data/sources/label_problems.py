"""What is wrong with label files: all of it at once, each in one sentence that says what to do."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from components.data.check_table import SHOWN, Finding


class DataError(ValueError):
    """Label files that cannot be used."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process boundary whole."""
        return DataError, (self.problems,)


FOLDERS = ("images",)  # roles that are folders; the others are files


def file_problems(files: Mapping[str, Path]) -> list[Finding]:
    """List files and folders that are missing, of the other sort, empty or closed to us."""
    found: list[Finding] = []

    def add(check: str, role: str, what: str, got: str, do: str) -> None:
        found.append(Finding(check=check, where=role, what=what, got=got, do=do))

    for role, path in files.items():
        want_folder = role in FOLDERS
        try:
            there = path.exists()
        except (OSError, ValueError) as error:  # a name too long, a zero byte in it
            got = f"{str(path)!r:.80}: {error}"
            add("file.missing", role, "not a path", got, "Name another.")
            continue
        if not there:
            do = "Paths start from the config's folder."
            add("file.missing", role, "nothing is there", str(path), do)
        elif want_folder != path.is_dir():
            sorts = ("a folder", "a file") if want_folder else ("a file", "a folder")
            what, got = f"expected {sorts[0]}", f"{sorts[1]}, {path}"
            add("file.unreadable", role, what, got, "Name the other.")
        elif not os.access(path, os.R_OK):
            add("file.unreadable", role, "may not be read", str(path), "Change its rights.")
        elif not want_folder and path.stat().st_size == 0:
            add("file.unreadable", role, "the file is empty", str(path), "Write it anew.")
    return found


def few(lines: list[str], *, of: str) -> list[str]:
    """Return at most SHOWN lines, and one that counts the rest."""
    if len(lines) <= SHOWN:
        return lines
    return [*lines[:SHOWN], f"{of}: {len(lines) - SHOWN} more of this kind."]


def text_problem(text: str, where: str) -> Finding | None:
    """Return what is wrong with a name that goes into files of ours: half a character in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return Finding(
            check="name.bad",
            where=where,
            what="a name is not Unicode",
            got=f"{text!a:.80}",
            do="Write it in UTF-8.",
        )
    return None


def place_problem(name: str, where: str) -> Finding | None:
    """Return what is wrong with a picture's file name: absolute, or out of its folder."""
    if problem := text_problem(name, where):
        return problem
    if os.path.isabs(name) or ".." in Path(name).parts or "\\" in name or "\0" in name:
        return Finding(
            check="image.place",
            where=where,
            what="a picture must lie under its folder",
            got=f"file_name {name!r}",
            do="Write the path relative to the folder of images.",
        )
    return None


def outside_problem(
    corners: tuple[float, ...], sides: tuple[int, int], where: str
) -> Finding | None:
    """Return what is wrong with a box (x1, y1, x2, y2) that does not meet its picture."""
    for low, high, side in zip(corners[:2], corners[2:], sides, strict=True):
        shared = min(high, side) - max(low, 0)
        if shared < 0 or (shared == 0 and high > low):
            box = ", ".join(f"{c:g}" for c in corners)
            return Finding(
                check="box.outside",
                severity="E",
                where=where,
                what=f"the box lies outside its picture of {sides[0]} x {sides[1]} px",
                got=f"corners [{box}]",
                do="Mend or remove it.",
            )
    return None
