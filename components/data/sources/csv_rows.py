"""The one door for tables of text: rows in order, in memory bounded by the longest line."""

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from components.data.check_table import Finding

MOST_LINE = 8 * 2**20  # bytes


class TableError(ValueError):
    """A table that cannot be read on; holds the finding."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(str(finding))


def rows_of(table: Path, *, name: str, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of each row that is not empty.

    Raises:
        TableError: not UTF-8, not CSV, a line or cell that is too long.
    """
    with table.open("rb") as file:
        reader = csv.reader(_lines(file, name), delimiter=separator, strict=True)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
        except csv.Error as error:
            where, do = f"{name}, line {reader.line_num}", "Close its quotes, and quote cells that"
            raise _broken(where, "not CSV", str(error), f"{do} hold commas.") from None


def _lines(file: io.BufferedReader, name: str) -> Iterator[str]:
    """Yield lines as text, each with its end; memory is bounded by the longest that is read."""
    past = 0
    while data := file.readline(MOST_LINE + 1):
        skip = len(codecs.BOM_UTF8) if not past and data.startswith(codecs.BOM_UTF8) else 0
        if len(data) > MOST_LINE:
            raise _broken(name, "a line is too long", f"more than {MOST_LINE} bytes from byte "
                          f"{past} on", "Split it.")  # fmt: skip
        try:
            text = data[skip:].decode()
        except UnicodeDecodeError as error:
            byte = past + skip + error.start
            raise _broken(name, "not UTF-8", f"byte {byte}", "Save it as UTF-8.") from None
        past += len(data)
        yield from io.StringIO(text, newline="")  # a table of an old Mac ends its lines with \r


def _broken(where: str, what: str, got: str, do: str) -> TableError:
    return TableError(Finding(check="csv.syntax", where=where, what=what, got=got, do=do))
