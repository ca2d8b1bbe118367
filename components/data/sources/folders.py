"""One folder a class -> image labels. A folder's name is the class's name."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.data.labelled import Labelled, Supervision
from components.data.sources.label_problems import DataError, few, text_problem

if TYPE_CHECKING:
    from components.data.readers import FoldersReader

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
FOREIGN = (".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".svg", ".pdf")


def read(reader: "FoldersReader", files: Mapping[str, Path]) -> Iterator[Labelled]:
    """Return the pictures of all class folders, in natural order.

    Raises:
        DataError: there is no class folder, or one without a picture, before the first picture.
    """
    root = files["images"]
    try:
        classes = natural(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
        listed = {place: pictures_in(place) for place in classes}
    except OSError as error:
        raise DataError(
            [f"{root.name}: a folder cannot be listed; got {error}. Change its rights."]
        ) from None
    if not classes:
        raise DataError(
            [f"{root.name}: expected one folder a class; got no folder in it. "
             "Put each class's pictures in a folder of its name."]
        )  # fmt: skip
    empty = [place.name for place, pictures in listed.items() if not pictures]
    if empty:
        raise DataError(
            [f"{root.name}: a class folder without a picture ({', '.join(PICTURES)}); got "
             f"{len(empty)} such: {', '.join(map(repr, empty[:5]))}. Fill or remove them."]
        )  # fmt: skip
    names = [str(p.relative_to(root)) for found in listed.values() for p in found]
    problems = [problem for name in names if (problem := text_problem(name, root.name))]
    if problems:
        raise DataError(few(problems, of=root.name))
    return _labelled(reader, listed, root)


def natural(paths: "Iterator[Path] | list[Path]") -> list[Path]:
    """Sort paths so that 2 comes before 10."""
    return sorted(paths, key=lambda p: ([_part(t) for t in re.split(r"(\d+)", p.name)], p.name))


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder by suffix, in natural order.

    Hidden files are left out; links are followed. A link that leads nowhere and a picture of a
    format that we do not read are listed, so that their loss is counted.
    """
    return natural(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in PICTURES + FOREIGN
        and not p.name.startswith(".")
        and (p.is_file() or p.is_symlink())
    )


def _part(text: str) -> tuple[int, int, str]:
    return (0, int(text), "") if text.isdecimal() else (1, 0, text)


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
