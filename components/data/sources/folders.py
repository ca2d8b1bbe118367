"""One folder a class -> image labels. A folder's name is the class's name."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.data.check_table import Finding, Findings
from components.data.labelled import Contents, Labelled, Supervision
from components.data.sources.label_problems import text_problem

if TYPE_CHECKING:
    from components.data.readers import FoldersReader

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
FOREIGN = (".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".svg", ".pdf")
OUTWARD = "a link leads out of the folder of images"
OF_MANAGERS = ("thumbs.db", "desktop.ini", "__macosx")  # what file managers leave behind


def read(reader: "FoldersReader", files: Mapping[str, Path], found: Findings) -> Contents:
    """Return the pictures of all class folders, in natural order.

    Args:
        reader: settings.
        files: `images`.
        found: takes every finding; all are there before the first picture is asked for.
    """
    root = files["images"]
    try:
        inside = sorted(root.iterdir())
        folders = natural(p for p in inside if p.is_dir() and not is_litter(p.name))
        classes = [p for p in folders if not _leads_out(p, root)]
        listed = {place: _looked(place, root, found) for place in classes}
    except OSError as error:
        found.add(_of(root, "file.unreadable", "a folder cannot be listed", str(error),
                      "Change its rights."))  # fmt: skip
        return Contents()
    _ignored([p for p in inside if is_litter(p.name)], root, found)
    for path in inside:
        if not is_litter(path.name) and not path.is_dir() and is_picture(path):
            found.add(_of(root, "image.unlisted", "a picture outside the class folders",
                          repr(path.name), "Put it into the folder of its class."))  # fmt: skip
    for path in folders:
        if path not in listed:
            found.add(_of(root, "image.place", OUTWARD, repr(path.name),
                          "Copy the folder that it names."))  # fmt: skip
    if not folders:
        found.add(_of(root, "set.empty", "expected one folder a class", "no folder in it",
                      "Put each class's pictures in a folder of its name."))  # fmt: skip
    elif classes and not any(listed.values()):
        got = f"{len(classes)} empty class folders"
        found.add(_of(root, "set.empty", "no picture is left", got, "Fill the class folders."))
    for place, pictures in listed.items():
        if not pictures:
            what = f"a class folder without a picture ({', '.join(PICTURES)})"
            found.add(_of(root, "label.empty_class", what, repr(place.name), "Fill or remove it."))
        for name in (str(p.relative_to(root)) for p in (pictures or [place])):
            if problem := text_problem(name, root.name):
                found.add(problem)
    ids = tuple(f"{reader.level}:{place.name}" for place in classes)
    return Contents(pictures=_labelled(reader, listed, root), classes=ids)


def natural(paths: Iterable[Path]) -> list[Path]:
    """Sort paths so that 2 comes before 10."""
    return sorted(paths, key=lambda p: ([_part(t) for t in re.split(r"(\d+)", p.name)], p.name))


def is_litter(name: str) -> bool:
    """Return whether a file or folder is hidden, or one that a file manager left behind."""
    return name.startswith(".") or name.lower() in OF_MANAGERS


def is_picture(path: Path) -> bool:
    """Return whether a path is named like a picture, of a format that we read or another."""
    return path.suffix.lower() in PICTURES + FOREIGN


def _leads_out(path: Path, root: Path) -> bool:
    """Return whether a path is a link to a place outside the folder of images."""
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(
        os.path.realpath(root)
    )


def _part(text: str) -> tuple[int, int, str]:
    return (0, int(text), "") if text.isdecimal() else (1, 0, text)


def _looked(folder: Path, root: Path, found: Findings) -> list[Path]:
    """List the pictures of a folder by suffix, in natural order; say what else lies there.

    A link that is named like a picture is listed, wherever it leads, and so is a picture of a
    format that we do not read: who reads it says why it cannot, and counts the loss. What other
    links out of the folder of images name is never looked at.
    """
    pictures: list[Path] = []
    litter: list[Path] = []
    for path in sorted(folder.iterdir()):
        if is_litter(path.name):
            litter.append(path)
        elif is_picture(path) and (path.is_file() or path.is_symlink()):
            pictures.append(path)
        elif _leads_out(path, root):
            found.add(replace(_of(root, "image.place", f"{OUTWARD}, not read",
                                  repr(os.path.relpath(path, root)), "Copy what it names, or "
                                  "remove it."), severity="W"))  # fmt: skip
        else:
            what = "a folder in a class folder" if path.is_dir() else "no picture by its suffix"
            found.add(_of(root, "image.unlisted", f"{what}, not read",
                          repr(os.path.relpath(path, root)), "Move or remove it."))  # fmt: skip
    _ignored(litter, folder, found)
    return natural(pictures)


def _ignored(litter: list[Path], folder: Path, found: Findings) -> None:
    if litter:
        names = ", ".join(repr(p.name) for p in litter[:3])
        found.add(_of(folder, "file.ignored", "hidden files and those of a file manager", names,
                      "They are not read.", times=len(litter)))  # fmt: skip


def _of(folder: Path, check: str, what: str, got: str, do: str, *, times: int = 1) -> Finding:
    return Finding(check=check, where=folder.name, what=what, got=got, do=do, times=times)


def _labelled(
    reader: "FoldersReader", listed: dict[Path, list[Path]], root: Path
) -> Iterator[Labelled]:
    for folder, pictures in listed.items():
        for path in pictures:
            name = str(path.relative_to(root))
            yield Labelled(
                source_name=name,
                source_id=name,
                path=path,
                supervision=Supervision.LABELLED,
                boxes=np.zeros((0, 4), np.float32),
                flags=np.zeros(0, np.uint8),
                present=(f"{reader.level}:{folder.name}",),
            )
