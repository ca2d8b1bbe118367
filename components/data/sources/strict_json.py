"""The one door for JSON of a user: strict, bounded, and every problem with its place."""

import json
import re
from pathlib import Path
from typing import Any

from components.data.sources.label_problems import DataError

MOST_BYTES = 4 * 2**30
BACK = 100_000  # characters before an error in which the last record is looked for
_ID = re.compile(r'"id"\s*:\s*("[^"]{0,60}"|-?\d{1,20})\s*[,}]')


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        DataError: not UTF-8, not JSON, NaN or infinity in it, a key twice, too deep, too large.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DataError([f"{path}: too large; got {size} bytes. At most {MOST_BYTES}: split it."])
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError([f"{path}: not UTF-8; got byte {error.start}. Save it as UTF-8."]) from None
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_pairs)
    except json.JSONDecodeError as error:
        ids = _ID.findall(text, max(0, error.pos - BACK), error.pos)
        last = f" The last id before it is {ids[-1]}." if ids else ""
        raise DataError(
            [
                f"{path}: not JSON: {error.msg}; got line {error.lineno}, column {error.colno}, "
                f"character {error.pos} of {len(text)}.{last} Write the file anew, whole."
            ]
        ) from None
    except RecursionError:
        raise DataError([f"{path}: nested too deep; got hundreds of levels. Flatten it."]) from None
    except _StrictError as error:
        raise DataError([f"{path}: {error}"]) from None
    except ValueError:  # Python's limit on the digits of an integer
        raise DataError(
            [f"{path}: an integer is too long; got one of thousands of digits. Mend it."]
        ) from None


class _StrictError(ValueError):
    """JSON that Python would read and the standard forbids."""


def _refuse(name: str) -> Any:
    raise _StrictError(f"not a number that JSON knows; got {name}. Remove it or write null.")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _StrictError(f"a key stands twice in one object; got {twice!r}. Keep one of them.")
    return made
