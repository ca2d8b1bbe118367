"""A Parquet table of embeddings: columns id and vector, and if there are name and bias.

Rows of a classifier, or word vectors of its classes; whoever makes them needs no tensor library.
A file of kilobytes can unpack to gigabytes: the footer is held against limits before anything is
read, text is looked at as a dictionary, and numbers are read a few rows at a time.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor

from components.data.parquet_footer import PREFIXES, chunks_of, unpacks_without_end
from components.train.weights_file import WeightsError, is_pickle, read_header
from components.transfer.source import SourceError, SourceWeights
from components.vocab.classes import Vocabulary, VocabularyError, name_of

LARGEST_TABLE = 2**29  # bytes of vectors as float32: 65,536 classes of 2,048 channels
MOST_ROWS = 2**20
MOST_TEXT = 2**26  # bytes of ids and names, unpacked
LONGEST = 1_000  # bytes of an id or a name
BYTES_A_NUMBER, SLACK = 12, 2**24  # most that numbers unpack to: 8 bytes each, and their levels
AT_ONCE, ROWS_AT_ONCE = 2**20, 2**12  # numbers, rows
BUFFER = 2**20  # bytes of a column that are read at a time
TEXTS, NUMBERS = ("id", "name"), ("vector", "bias")
LARGEST = float(np.finfo(np.float32).max)


@dataclass(kw_only=True, slots=True)
class _Read:
    """What has been read of a table so far."""

    path: Path
    count: int  # of rows, as the footer says it
    ids: list[str] = field(default_factory=list[str])
    names: list[str] = field(default_factory=list[str])
    rows: Tensor | None = None  # [count, D], filled as far as ids are
    bias: list[Tensor] = field(default_factory=list[Tensor])
    words: dict[str, str] = field(default_factory=dict[str, str])  # each text once in memory

    def take(self, batch: pa.RecordBatch) -> None:
        """Take in some rows, or say what is wrong with them."""
        ids, known = self._texts(batch, "id"), batch.schema.names
        for i, class_id in enumerate(ids):
            if class_id is None:
                at = len(self.ids) + i
                raise SourceError(f"{self.path}: a class without an id; got row {at}. Fill it.")
        names = self._texts(batch, "name") if "name" in known else [None] * len(ids)
        new = [class_id for class_id in ids if class_id is not None]
        self.ids += new
        self.names += [name or name_of(i) for i, name in zip(new, names, strict=True)]
        self._fill(batch.column("vector"), new)
        if "bias" in known:
            self.bias.append(self._numbers(batch.column("bias"), "bias"))

    def _texts(self, batch: pa.RecordBatch, name: str) -> list[str | None]:
        """Return a column of text; no word is longer than LONGEST."""
        column = batch.column(name).dictionary_encode()
        lengths = pc.call_function("binary_length", [column.dictionary])
        longest = pc.call_function("max", [lengths]).as_py() or 0
        if longest > LONGEST:
            raise SourceError(
                f"{self.path}: a text of column {name} takes {LONGEST} bytes at most; got "
                f"{longest}. Shorten it."
            )
        try:
            found: list[str | None] = column.dictionary_decode().to_pylist()
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self.path}: column {name} is text in UTF-8; got {error}. Write it again."
            ) from error
        return [text if text is None else self.words.setdefault(text, text) for text in found]

    def _fill(self, vectors: pa.Array, ids: list[str]) -> None:
        """Take in the vectors of the last classes; all of a table are of one length."""
        counted = pc.call_function("list_value_length", [vectors])
        lengths = counted.fill_null(0).to_numpy(zero_copy_only=False)
        first = int(lengths[0]) if self.rows is None else self.rows.shape[1]
        other = np.flatnonzero(lengths != first)
        if len(other):
            raise SourceError(
                f"{self.path}: all vectors are of one length; got {lengths[other[0]]} numbers for "
                f"class {ids[other[0]]!r} and {first} for {self.ids[0]!r}. Take all from one model."
            )
        if not first:
            raise SourceError(
                f"{self.path}: vectors of a number or more; got empty ones. Fill them."
            )
        if self.count * first * 4 > LARGEST_TABLE:  # the footer counts fewer
            raise SourceError(
                f"{self.path}: all vectors are of one length; got {first} numbers for "
                f"{self.ids[0]!r}, and too few for {self.count} such rows. Take all from one model."
            )
        if self.rows is None:
            self.rows = torch.empty(self.count, first)
        numbers = self._numbers(vectors.flatten(), "vector")
        self.rows[len(self.ids) - len(ids) : len(self.ids)] = numbers.reshape(len(ids), first)

    def _numbers(self, values: pa.Array, column: str) -> Tensor:
        if values.null_count:
            raise SourceError(
                f"{self.path}: column {column} has empty places; got {values.null_count}. "
                "Fill them."
            )
        found = values.to_numpy(zero_copy_only=False)
        size = np.abs(found.astype(np.float64))
        if bool(((size > LARGEST) & np.isfinite(size)).any()):
            raise SourceError(
                f"{self.path}: column {column} holds numbers too large for 32 bits; got "
                f"{float(size.max()):g}. Scale them."
            )
        return torch.from_numpy(found.astype(np.float32))


def read_table(path: Path) -> SourceWeights:
    """Return the rows of a table; the text before an id's colon is its level, as everywhere.

    Own memory, checks included, stays below four times the rows as float32, which are
    LARGEST_TABLE at most, the file's largest page, and 64 MB.

    Raises:
        SourceError: columns or numbers are missing, of another kind or length, or too many.
        WeightsError: it is no Parquet, is cut, or is a pickle.
        VocabularyError: an id is there twice.
    """
    if is_pickle(path):
        read_header(path)  # says which command converts it
    try:
        with pq.ParquetFile(path) as file:
            about = file.metadata
            columns = _columns(path, file.schema_arrow, rows=about.num_rows)
        width = _check_size(path, about, columns)
        at_once = min(max(AT_ONCE // width, 1), ROWS_AT_ONCE)
        read = _Read(path=path, count=about.num_rows)
        texts = [name for name in TEXTS if name in columns]
        with pq.ParquetFile(
            path, metadata=about, read_dictionary=texts, buffer_size=BUFFER, pre_buffer=False
        ) as file:
            for batch in file.iter_batches(batch_size=at_once, columns=columns):
                read.take(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _no_table(path, str(error)) from error
    if read.rows is None or len(read.ids) != about.num_rows:
        raise _no_table(path, f"{len(read.ids)} rows of {about.num_rows}")
    try:
        vocabulary = Vocabulary(ids=tuple(read.ids), names=tuple(read.names))
    except VocabularyError as error:
        raise VocabularyError(f"{path}, {error}") from error
    bias = torch.cat(read.bias) if read.bias else None
    return SourceWeights(vocabulary=vocabulary, weight=read.rows, bias=bias)


def _no_table(path: Path, got: str) -> WeightsError:
    """Return the error of a file that is no Parquet, or is cut; of what was got, the first line."""
    first = (got.splitlines() or [""])[0].rstrip(".")
    return WeightsError(f"{path}: not a readable Parquet file; got {first:.200}. Write it again.")


def _columns(path: Path, schema: pa.Schema, *, rows: int) -> list[str]:
    """Return which columns to read, after their types were looked at."""
    wanted = {"id": _is_text, "vector": _is_rows, "name": _is_text, "bias": _is_number}
    twice = [f"{name} {schema.names.count(name)} times" for name in wanted
             if schema.names.count(name) > 1]  # fmt: skip
    if twice:
        raise SourceError(
            f"{path}: a table of embeddings has its columns each once; got {', '.join(twice)}. "
            "Keep one."
        )
    known = dict(zip(schema.names, schema.types, strict=True))
    missing = [name for name in ("id", "vector") if name not in known]
    wrong = [name for name, fits in wanted.items() if name in known and not fits(known[name])]
    if missing or wrong or not rows:
        got = f"{rows} rows of {', '.join(f'{n} {_plain(t)}' for n, t in known.items())}"
        raise SourceError(
            f"{path}: a table of embeddings has the columns id (text) and vector (list of "
            f"numbers), and may have name (text) and bias (number); got {got:.300}. "
            "Write these columns."
        )
    return [name for name in wanted if name in known]


def _check_size(path: Path, about: pq.FileMetaData, columns: list[str]) -> int:
    """Hold the footer against the limits; return how many numbers a row has, or 1."""
    texts = [*chunks_of(about, {*TEXTS} & {*columns})]
    numbers = [*chunks_of(about, {*NUMBERS} & {*columns})]
    text = sum(chunk.total_uncompressed_size for chunk in texts)
    values = sum(chunk.num_values for chunk in numbers)
    unpacked = sum(chunk.total_uncompressed_size for chunk in numbers)
    if about.num_rows > MOST_ROWS or text > MOST_TEXT or values * 4 > LARGEST_TABLE:
        raise SourceError(
            f"{path}: a table of {MOST_ROWS} rows, {MOST_TEXT} bytes of text and "
            f"{LARGEST_TABLE // 4} numbers at most; got {about.num_rows} rows, {text} bytes and "
            f"{values} numbers. Give the rows of one classifier."
        )
    if unpacked > BYTES_A_NUMBER * values + SLACK:
        raise SourceError(
            f"{path}: numbers unpack to {BYTES_A_NUMBER} bytes each at most; got {unpacked} bytes "
            f"for {values}. Do not use this file; ask who made it for another."
        )
    if any(map(unpacks_without_end, texts)):
        raise SourceError(
            f"{path}: text is plain or in a dictionary; got the encoding {PREFIXES}, of which a "
            "few bytes unpack to any number. Write the table with another."
        )
    return max(values // about.num_rows, 1)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type below a dictionary, as which text is read."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(_plain(kind)) or pa.types.is_large_string(_plain(kind))


def _is_rows(kind: pa.DataType) -> bool:
    kinds = pa.types
    lists = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
    return lists and _is_number(kind.value_type)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)
