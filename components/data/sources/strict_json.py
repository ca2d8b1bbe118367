"""The one door for JSON of a user: strict, piece by piece, in a window of bounded memory.

The lists under the keys of the outermost object are never held whole: a file of any length is
read in some megabytes, and what is not JSON is told with its place.
"""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from components.data.check_table import Finding

CHUNK = 2**20  # bytes read at a time
MOST_VALUE = 64 * 2**20  # bytes of memory that the text of one value may take
MOST_PARTS = 500_000  # commas in a value longer than CHUNK: each costs far more than its text
MOST_KEYS = 10_000  # of the outermost object
DEEPEST = 100  # levels
NEAR = 64  # characters before the end of the window where a value may only be unfinished
BEGINS = -1  # place of the piece that says: a list begins
EARLY = "the file ends too early"
_SPACE = re.compile(r"[ \t\r\n]*")


class JsonError(ValueError):
    """A file that is not the JSON we read; holds the finding."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(str(finding))

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process boundary whole."""
        return JsonError, (self.finding,)


@dataclass(frozen=True, slots=True)
class Piece:
    """One value of a file, or (place BEGINS) the news that a list begins."""

    key: str | None  # of the outermost object; None: the file is no object
    place: int | None  # in the list under the key; None: the value is no list
    value: Any


def pieces(path: Path) -> Iterator[Piece]:
    """Yield the values of a JSON file in order.

    Raises:
        JsonError: not UTF-8, not JSON, NaN or infinity in it, a key twice, too deep, too long.
    """
    try:
        with path.open("rb") as file:
            yield from _Window(file, path).pieces()
    except OSError as error:
        raise JsonError(
            Finding(check="file.unreadable", where=str(path), what="cannot be read",
                    got=str(error.strerror or error), do="Look at the disk, or copy it anew.")
        ) from None  # fmt: skip


class _StrictError(ValueError):
    """JSON that Python would read and the standard forbids."""


class _UnfinishedError(Exception):
    """The window ends inside a value."""


def _refuse(name: str) -> Any:
    raise _StrictError("not a number that JSON knows", name, "Remove it or write null.")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _StrictError("a key stands twice in one object", repr(twice), "Keep one of them.")
    return made


def _depth(value: Any) -> int:
    """Return how many levels a value has; 0 for one that holds nothing."""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, dict | list)]:
        depth += 1
        level = [x for v in level for x in (v.values() if isinstance(v, dict) else v)]
    return depth


def _last(piece: Piece | None) -> str:
    """Return a sentence that names the last whole record, or nothing."""
    if piece is None:
        return ""
    own = piece.value.get("id") if isinstance(piece.value, dict) else None
    if isinstance(own, int | str):
        return f"The last id before it is {json.dumps(own)[:80]}. "
    return f"The last whole record is {piece.key or ''}[{piece.place}]. "


class _Window:
    """The part of a file that is being read: text, and a position in it."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.bytes = path.stat().st_size
        self.utf8 = codecs.getincrementaldecoder("utf-8")()
        self.json = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_pairs)
        self.text, self.pos, self.ended = "", 0, False
        self.gone, self.lines, self.column = 0, 0, 0  # bytes, lines, characters before the window
        self.read = 0  # bytes
        self.last: Piece | None = None  # the last whole record

    def pieces(self) -> Iterator[Piece]:
        """Yield the values of the file."""
        start = self.peek()
        if start == "{":
            yield from self.members()
        elif start == "[":
            yield from self.items(None)
        else:
            yield Piece(None, None, self.value())
        while not self.ended or self.pos < len(self.text):
            if self.skip():
                raise self.wrong("Extra data")

    def members(self) -> Iterator[Piece]:
        """Yield what lies under the keys of the outermost object."""
        keys: set[str] = set()
        self.pos += 1
        if self.peek() == "}":
            self.pos += 1
            return
        while True:
            if self.peek() != '"':
                raise self.wrong("Expecting a key in double quotes")
            key = self.value()
            if key in keys:
                raise self.refused(
                    "json.not_strict", "a key stands twice in one object", repr(key)[:80],
                    "Keep one of them.",
                )  # fmt: skip
            keys.add(key)
            if len(keys) > MOST_KEYS:
                raise self.too_long(f"more than {MOST_KEYS} keys in the outermost object")
            self.eat(":")
            if self.peek() == "[":
                yield Piece(key, BEGINS, None)
                yield from self.items(key)
            else:
                yield Piece(key, None, self.value())
            if self.eat(",}") == "}":
                return

    def items(self, key: str | None) -> Iterator[Piece]:
        """Yield the values of a list."""
        self.pos += 1
        place = 0
        if self.peek() == "]":
            self.pos += 1
            return
        while True:
            self.last = Piece(key, place, self.value())
            yield self.last
            place += 1
            if self.eat(",]") == "]":
                return

    def skip(self) -> bool:
        """Pass white space; return whether something else comes in this window."""
        space = _SPACE.match(self.text, self.pos)
        self.pos = space.end() if space else self.pos
        if self.pos == len(self.text) and not self.ended:
            self.more()
            return False
        return self.pos < len(self.text)

    def peek(self) -> str:
        """Return the next character that is no white space."""
        while not self.skip():
            if self.ended and self.pos == len(self.text):
                raise self.wrong(EARLY)
        return self.text[self.pos]

    def eat(self, wanted: str) -> str:
        """Pass one of the characters wanted, and return it."""
        if (char := self.peek()) not in wanted:
            raise self.wrong(f"Expecting {wanted[0]!r} delimiter")
        self.pos += 1
        return char

    def value(self) -> Any:
        """Return the value that begins at the next character."""
        self.peek()
        tried = 0
        while True:
            if self.ended or len(self.text) - self.pos >= 2 * tried:
                if self.text.count(",", self.pos, self.pos + tried) > MOST_PARTS:
                    raise self.too_long(f"one value of more than {MOST_PARTS} parts")
                try:
                    return self.whole()
                except _UnfinishedError:
                    tried = len(self.text) - self.pos
            self.more()

    def whole(self) -> Any:
        """Decode one value; raise _UnfinishedError where the window ends inside it."""
        start = self.pos
        try:
            value, end = self.json.raw_decode(self.text, start)
        except json.JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated") or error.pos >= len(self.text) - NEAR
            if cut and not self.ended:
                raise _UnfinishedError from None
            self.pos = error.pos
            early = error.msg.startswith("Unterminated") or not self.text[error.pos :].strip()
            raise self.wrong(EARLY if early else error.msg) from None
        except RecursionError:
            raise self.too_deep("hundreds of levels") from None
        except _StrictError as error:
            raise self.refused("json.not_strict", *error.args) from None
        except ValueError:  # Python's limit on the digits of an integer
            raise self.refused(
                "json.too_long", "an integer is too long", "one of thousands of digits", "Mend it."
            ) from None
        if end + len("e-") >= len(self.text) and not self.ended:  # a number may go on: 1|., 1|e-
            raise _UnfinishedError
        opened = self.text.count("[", start, end) + self.text.count("{", start, end)
        if opened > DEEPEST and (levels := _depth(value)) > DEEPEST:
            raise self.too_deep(f"{levels} levels")
        self.pos = end
        return value

    def more(self) -> None:
        """Drop what is behind the position and read the next chunk."""
        data = self.file.read(CHUNK)
        self.ended = not data
        if not self.read and data.startswith(codecs.BOM_UTF8):
            data, self.gone, self.read = data[3:], 3, 3
        try:
            text = self.utf8.decode(data, final=self.ended)
        except UnicodeDecodeError as error:
            held = len(self.utf8.getstate()[0])
            raise self.refused(
                "json.syntax", "not UTF-8", f"byte {self.read - held + error.start}",
                "Save it as UTF-8.",
            ) from None  # fmt: skip
        self.read += len(data)
        past, left = self.text[: self.pos], self.text[self.pos :]
        self.gone += len(past.encode())
        self.lines += past.count("\n")
        self.column = len(past) - past.rfind("\n") - 1 + ("\n" not in past) * self.column
        width = 1 if left.isascii() and text.isascii() else 4  # bytes a character, at most
        if (len(left) + len(text)) * width > MOST_VALUE:
            self.text, self.pos = left, 0
            raise self.too_long(f"one value of more than {MOST_VALUE // 2**20} MB")
        self.text, self.pos = left + text, 0

    def wrong(self, what: str) -> JsonError:
        """Return the error at the position: what is not JSON there."""
        past = self.text[: self.pos]
        line = self.lines + past.count("\n") + 1
        column = len(past) - past.rfind("\n") + ("\n" not in past) * self.column
        at = self.gone + len(past.encode())
        return self.refused(
            "json.syntax", f"not JSON: {what}",
            f"line {line}, column {column}, byte {at} of {self.bytes}",
            f"{_last(self.last)}Write the file anew, whole.",
        )  # fmt: skip

    def too_deep(self, got: str) -> JsonError:
        """Return the error of a value with too many levels."""
        return self.refused("json.too_deep", "nested too deep", got, "Flatten it.")

    def too_long(self, got: str) -> JsonError:
        """Return the error of a value that is too long."""
        at = f"{got}, near byte {self.gone}"
        return self.refused("json.too_long", "too long for one record", at, "Split or remove it.")

    def refused(self, check: str, what: str, got: str, do: str) -> JsonError:
        """Return an error in the words of a finding."""
        return JsonError(Finding(check=check, where=str(self.path), what=what, got=got, do=do))
