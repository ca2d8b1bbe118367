"""Class lists that come with weights: a text file or JSON in, a vocabulary out; and how two differ.

The order of a list is the order of a classifier's rows: a list of another length or order gives
every class another's score, so lists are compared and never cut to fit.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.vocab.classes import Vocabulary, VocabularyError, name_of

LARGEST = 10 * 10**6  # bytes
SHOWN = 3  # places named where two lists differ
GIVE = "Give one class id a line, or JSON: a list of ids, or of {id, name}, in the order of rows."


def read_class_list(path: Path) -> Vocabulary:
    """Return the classes of a list in its order: a text of one id a line, or JSON.

    JSON is a list of ids or of objects with `id` and `name`, or an object whose `classes` is such
    a list (our vocabulary.json). Empty lines of a text are left out.

    Raises:
        VocabularyError: the file is no such list, is empty, or has a class twice.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise VocabularyError(
                f"{path}: a class list has at most {LARGEST} bytes; got {size}. {GIVE}"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise VocabularyError(f"{path}: cannot be read; got {error.strerror}. {GIVE}") from error
    except UnicodeDecodeError as error:
        raise VocabularyError(f"{path}: not UTF-8; got byte {error.start}. {GIVE}") from error
    if text.lstrip()[:1] in ("[", "{"):
        pairs = _from_json(path, text)
    else:
        pairs = [(line.strip(), "") for line in text.splitlines() if line.strip()]
    if not pairs:
        raise VocabularyError(f"{path}: no class; got {size} bytes. {GIVE}")
    try:
        return Vocabulary(
            ids=tuple(i for i, _ in pairs), names=tuple(n or name_of(i) for i, n in pairs)
        )
    except VocabularyError as error:
        raise VocabularyError(f"{path}, {error}") from error


def difference(wanted: Sequence[str], got: Sequence[str]) -> str:
    """Say in words how two lists of classes differ; empty where they are equal."""
    lacking = [name for name in wanted if name not in set(got)]
    added = [name for name in got if name not in set(wanted)]
    said = []
    if len(wanted) != len(got):
        said.append(f"{len(got)} classes for {len(wanted)}")
    said += [f"{len(names)} {kind}: {_some(names)}"
             for kind, names in (("missing", lacking), ("new", added)) if names]  # fmt: skip
    if not said:
        moved = [i for i, (a, b) in enumerate(zip(wanted, got, strict=True)) if a != b]
        if moved:
            places = "; ".join(f"row {i} is {got[i]!r} for {wanted[i]!r}" for i in moved[:SHOWN])
            said.append(f"another order from row {moved[0]} on ({len(moved)} differ): {places}")
    return ", ".join(said)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(map(repr, names[:SHOWN]))}{more}"


def _from_json(path: Path, text: str) -> list[tuple[str, str]]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VocabularyError(f"{path}: not JSON; got {error}. {GIVE}") from error
    rows = found.get("classes") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        raise VocabularyError(f"{path}: no list of classes; got {type(rows).__name__}. {GIVE}")
    return [_pair(path, i, row) for i, row in enumerate(rows)]


def _pair(path: Path, i: int, row: Any) -> tuple[str, str]:
    if isinstance(row, dict):
        row, name = row.get("id"), row.get("name", "")
    else:
        name = ""
    if not isinstance(row, str) or not row or not isinstance(name, str):
        raise VocabularyError(f"{path}, class {i}: no text as id; got {row!r:.60}. {GIVE}")
    return row, name
