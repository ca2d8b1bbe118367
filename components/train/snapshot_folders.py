"""Folders of files that are whole or not taken: digests written last, the newest whole one found.

A training leaves one such folder every so many steps. No torch here: who looks for the newest one
only reads bytes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DIGESTS = "digests.json"
KEPT = 2  # newest folders that stay
_NAME = "step{:08d}"


@dataclass(frozen=True, slots=True)
class Found:
    """A whole folder and the step it was left at."""

    folder: Path
    step: int


def draft_of(root: Path, step: int) -> Path:
    """Return the folder that is filled before it is given its name by `finish`."""
    return root / f".{_NAME.format(step)}"


def finish(root: Path, step: int) -> Path:
    """Seal the draft of a step, give it its name, remove all but the newest; return its place.

    On return the folder survives a power cut. A folder of that name is replaced.
    """
    draft, final = draft_of(root, step), root / _NAME.format(step)
    names = sorted(path.name for path in draft.iterdir())
    files = {name: _sealed(draft / name) for name in names}
    body = json.dumps(files, sort_keys=True)
    text = json.dumps({"files": files, "sha256": hashlib.sha256(body.encode()).hexdigest()})
    (draft / DIGESTS).write_text(text)
    _sealed(draft / DIGESTS)
    _sync(draft)
    shutil.rmtree(final, ignore_errors=True)
    draft.rename(final)
    _sync(root)
    for old in _folders(root)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def newest(root: Path, *, aside: Callable[[Path, str], None]) -> Found | None:
    """Return the newest folder whose every byte is as it was written; None if there is none.

    Args:
        root: where the folders lie; it need not be there.
        aside: takes each damaged folder that is newer, and what is wrong with it; it must move it.
    """
    for draft in root.glob(".step*"):
        shutil.rmtree(draft, ignore_errors=True)  # a crash left it; it was never given a name
    for folder in reversed(_folders(root)):
        wrong = damage(folder)
        if wrong is None:
            return Found(folder, int(folder.name.removeprefix("step")))
        aside(folder, wrong)
    return None


def damage(folder: Path) -> str | None:
    """Say what is wrong with a folder, or None if it is whole."""
    try:
        found = json.loads((folder / DIGESTS).read_bytes())
        files: dict[str, list[object]] = found["files"]
        body = json.dumps(files, sort_keys=True)
        if hashlib.sha256(body.encode()).hexdigest() != found["sha256"]:
            return f"{DIGESTS} is not what was written"
        for name, (size, digest) in files.items():
            got = (folder / name).stat().st_size
            if got != size:
                return f"{name} has {got} bytes, not {size}"
            if _digest(folder / name) != digest:
                return f"{name} has other bytes than were written"
    except OSError as error:
        return f"{Path(str(error.filename)).name} cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{DIGESTS} is not what was written"
    return None


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("step*") if path.is_dir())


def _sealed(path: Path) -> tuple[int, str]:
    """Flush a file to the disk; return its bytes and digest."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path.stat().st_size, _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
