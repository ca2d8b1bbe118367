"""A table of edges -> a class graph: `child,parent` as CSV, with tabs or spaces, or as Parquet.

The columns are named, by a header or by the setting `columns`: a list of pairs reads just as well
the wrong way round, and what was above would be below.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.data.parquet_footer import PREFIXES, chunks_of, unpacks_without_end
from components.data.sources.csv_rows import TableError, rows_of
from components.data.sources.label_problems import DataError, few
from components.vocab.class_graph import ClassGraph, Edge

if TYPE_CHECKING:
    from components.data.hierarchies import EdgesReader

WANTED = ("child", "parent")
MOST_ROWS = 2_000_000
MOST_BYTES = 2**27  # of both columns of a Parquet file, unpacked
LONGEST = 1_000  # bytes of an id in a Parquet file
LENGTH, SLACK = 16, 2**20  # bytes beside the text: of each id, and of a chunk
BUFFER = 2**20  # bytes of a column that are read at a time
FIRST_LINE = 2**16  # bytes looked at for the separator
HOW = "Name them so in the first line; or say under columns what each column of such a text is."


@dataclass(kw_only=True, slots=True)
class _Read:
    """What has been read of a table so far."""

    name: str
    word: str  # line or row
    lines: dict[Edge, int] = field(default_factory=dict[Edge, int])  # parent "": has none
    problems: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def take(self, line: int, edge: Edge) -> None:
        """Take in one row, or say what is wrong with it."""
        first = self.lines.setdefault(edge, line)
        if not edge.child:
            self.say(line, "no child", repr(edge.parent), "Name the class, or remove the row.")
        elif edge.child == edge.parent:
            self.say(line, "a class is its own parent", repr(edge.child), "Remove the row.")
        elif first != line:
            self.say(line, f"the edge stands on {self.word} {first} too",
                     f"{edge.child!r} under {edge.parent!r}", "Remove one.")  # fmt: skip
        if len(self.lines) > MOST_ROWS:
            raise DataError([f"{self.name}: too many edges; got more than {MOST_ROWS}. Cut it."])

    def say(self, line: int, what: str, got: str, do: str) -> None:
        """Add a problem."""
        text = f"{self.name}, {self.word} {line}: {what}; got {got:.80}. {do}"
        self.problems.append((line, text))

    def graph(self) -> ClassGraph:
        """Return the graph, or raise with all problems."""
        listed = {edge.child for edge in self.lines}
        if any(not edge.parent for edge in self.lines):  # each class has a row, also one on top
            what, do = "a parent without a row of its own", "Mend it, or add a row for it."
            for edge, line in self.lines.items():
                if edge.parent and edge.parent not in listed:
                    self.say(line, what, repr(edge.parent), do)
        if self.problems:
            raise DataError(few([text for _, text in sorted(self.problems)], of=self.name))
        if not any(edge.parent for edge in self.lines):
            rows = f"{len(self.lines)} rows"
            raise DataError([f"{self.name}: no class has a parent; got {rows}. Add edges."])
        ids = {name: None for edge in self.lines for name in edge if name}
        edges = [edge for edge in self.lines if edge.parent]
        return ClassGraph.of(edges, ids=sorted(ids), where=self.name)


def read_edges(reader: "EdgesReader", table: Path) -> ClassGraph:
    """Return the graph of a table; a row without a parent is a class on top.

    Raises:
        DataError: with all that is wrong with the file.
        HierarchyError: the edges make no hierarchy.
    """
    with table.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    read = _Read(name=table.name, word="row" if parquet else "line")
    try:
        for line, edge in _parquet(table) if parquet else _text(reader, table):
            read.take(line, edge)
    except TableError as error:
        raise DataError([str(error.finding)]) from None
    return read.graph()


def _text(reader: "EdgesReader", table: Path) -> Iterator[tuple[int, Edge]]:
    """Yield (line, edge) of a table of text."""
    with table.open("rb") as file:
        first = file.readline(FIRST_LINE)
    separator = next((mark for mark in "\t, " if mark.encode() in first), ",")
    rows = rows_of(table, name=table.name, separator=separator)
    columns = [*reader.columns]
    if not columns:
        _, columns = next(rows, (0, list[str]()))
    if any(columns.count(name) != 1 for name in WANTED):
        raise _no_columns(table, columns)
    child, parent = (columns.index(name) for name in WANTED)
    for line, cells in rows:
        if len(cells) != len(columns):
            what = f"{len(columns)} columns are due; got {len(cells)}. Mend the row."
            raise DataError([f"{table.name}, line {line}: {what}"])
        edge = Edge(cells[child].strip(), cells[parent].strip())
        if reader.columns and edge == WANTED:
            do = "Take the setting columns out."
            raise DataError([f"{table.name}: has a header; got columns {columns} too. {do}"])
        yield line, edge


def _parquet(table: Path) -> Iterator[tuple[int, Edge]]:
    """Yield (row, edge) of a Parquet file; its footer is held against limits before it is read."""
    try:
        with pq.ParquetFile(table) as file:
            about, names = file.metadata, file.schema_arrow.names
        if any(names.count(name) != 1 for name in WANTED):
            raise _no_columns(table, names)
        _check_size(table, about)
        with pq.ParquetFile(
            table, metadata=about, read_dictionary=[*WANTED], buffer_size=BUFFER, pre_buffer=False
        ) as file:
            read = file.read(columns=[*WANTED])
    except (OSError, pa.ArrowException) as error:
        got = str(error).rstrip(".")
        raise DataError([f"{table.name}: no Parquet; got {got}. Write it anew."]) from error
    columns = [_texts(read[name], f"{table.name}, {name}") for name in WANTED]
    for row, (child, parent) in enumerate(zip(*columns, strict=True), 1):
        yield row, Edge(child, parent)


def _check_size(table: Path, about: pq.FileMetaData) -> None:
    """Hold a footer against the limits; kilobytes can unpack to gigabytes."""
    chunks = [*chunks_of(about, WANTED)]
    unpacked = sum(chunk.total_uncompressed_size for chunk in chunks)
    if about.num_rows > MOST_ROWS or unpacked > MOST_BYTES:
        limits = f"{MOST_ROWS} rows and {MOST_BYTES} bytes are the most"
        got = f"{about.num_rows} rows, {unpacked} bytes"
        raise DataError([f"{table.name}: {limits}; got {got}. Cut it."])
    for chunk in chunks:
        size, most = chunk.total_uncompressed_size, chunk.num_values * (LONGEST + LENGTH) + SLACK
        if size > most:
            what = f"{chunk.num_values} ids take at most {most} bytes of text"
            do = "Shorten them."
            raise DataError([f"{table.name}, {chunk.path_in_schema}: {what}; got {size}. {do}"])
        if unpacks_without_end(chunk):
            what = "ids are plain or in a dictionary"
            got = f"the encoding {PREFIXES}, of which a few bytes unpack to any number"
            do = "Write the table with another."
            raise DataError([f"{table.name}, {chunk.path_in_schema}: {what}; got {got}. {do}"])


def _no_columns(table: Path, columns: list[str]) -> DataError:
    got = ", ".join(map(repr, columns[:8])) or "nothing"
    return DataError([f"{table.name}: no columns child and parent, each once; got {got}. {HOW}"])


def _texts(column: pa.ChunkedArray, where: str) -> list[str]:
    """Return a column of text; null is no text."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError([f"{where}: class ids are text; got {kind}. Write them as text."])
    for chunk in column.chunks:
        lengths = pc.call_function("binary_length", [chunk.dictionary])
        longest = pc.call_function("max", [lengths]).as_py() or 0
        if longest > LONGEST:
            what = f"a class id takes {LONGEST} bytes at most"
            raise DataError([f"{where}: {what}; got {longest}. Shorten it."])
    made: list[str] = []
    for chunk in column.unify_dictionaries().chunks:
        try:
            words = [word.strip() for word in chunk.dictionary.to_pylist()]
        except UnicodeDecodeError as error:
            do = "Write it again."
            raise DataError([f"{where}: class ids are UTF-8; got {error}. {do}"]) from error
        made += ["" if i is None else words[i] for i in chunk.indices.to_pylist()]
    return made
