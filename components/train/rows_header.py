"""What a classifier's rows say of themselves before a number is read: width and classes. No torch.

So much of `source_file.open_source` is known before anything starts; the rest is left to it.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from components.models.choices import NETWORKS, PACKAGED, trunk_width
from components.train.weights_file import (
    ABOUT,
    CLASSES,
    MODEL_RECORD,
    MODEL_WEIGHTS,
    WeightsError,
    find_weights,
    is_pickle,
    read_header,
    read_record_file,
)
from components.vocab.class_list import read_class_list
from components.vocab.classes import Vocabulary, name_of

CLASSIFIERS = ("classifier.weight", "fc.weight", "head.weight", "head.fc.weight")
BARE = "weight"  # of a file that holds a classifier's last layer and nothing else
LEVEL = "imagenet"  # of the classes of a packaged classifier: imagenet:n01440764
TABLES = (".parquet", ".pq")
TEXTS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".npy", ".npz")  # what people write rows to
OURS = "scores.labelled.weight"  # rows of a model directory
ABOVE = ("conv_head.", "bn2.")  # begin the names of layers between a trunk and its classifier

MOST_ROWS, MOST_TEXT, LONGEST = 100_000, 2**24, 1_000  # rows; bytes of all texts, of one


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsHeader:
    """What is known of rows; None: a header does not tell it."""

    rows: int | None = None  # K
    width: int | None = None  # D, numbers a class
    classes: Vocabulary | None = None
    feature: Literal["head", "trunk"] | None = "trunk"  # that they read, taken as they are; None:
    # those of a detector that are as wide, of a table
    names_classes: bool = True  # false: a class list goes with them
    layers: bool | None = None  # the file has layers between trunk and classifier; a table never


def packaged_header(name: str) -> RowsHeader:
    """Return what is known of a packaged classifier's rows, by name in PACKAGED."""
    width = trunk_width(NETWORKS[PACKAGED[name].backbone])
    return RowsHeader(rows=1000, width=width, classes=_imagenet(), layers=True)


def rows_header(place: Path, *, classes: Path | None) -> RowsHeader:
    """Return what is known of the rows that a file or folder holds.

    Args:
        place: as `open_source` takes it.
        classes: list of class ids in the order of the rows, where one was given.

    Raises:
        WeightsError: a .safetensors or Parquet file is none, or a record is damaged.
        VocabularyError: a class list is none.
    """
    weights = find_weights(place)
    if place.is_file() and place.suffix.lower() in TABLES:
        return _table(place)
    refuse_others(place)
    if place.is_file():
        given = None if classes is None else read_class_list(classes)
        rows, width = _sides(place, (*CLASSIFIERS, BARE))
        layers = None if rows is None else _layers(place)
        return RowsHeader(rows=rows, width=width, classes=given, names_classes=False, layers=layers)
    if weights is None:
        return RowsHeader()
    if weights.name == MODEL_WEIGHTS:
        ids = tuple(map(str, read_record_file(weights.parent / MODEL_RECORD).get("labelled", ())))
        known = Vocabulary(ids=ids, names=tuple(map(name_of, ids)))
        rows, width = _sides(weights, (OURS,))
        return RowsHeader(rows=rows, width=width, classes=known, feature="head")
    about = read_record_file(weights.parent / ABOUT)
    if about.get("name") in PACKAGED:
        return packaged_header(str(about["name"]))
    rows, width = _sides(weights, (str(about.get("classifier", "")),))
    known = Vocabulary.read(weights.parent / CLASSES)
    return RowsHeader(rows=rows, width=width, classes=known, layers=_layers(weights))


def _layers(path: Path) -> bool:
    return any(name.startswith(ABOVE) for name in read_header(path).tensors)


def _sides(path: Path, names: tuple[str, ...]) -> tuple[int, int] | tuple[None, None]:
    """Return rows and width of the first of these tensors that is there."""
    tensors = read_header(path).tensors
    shape = next((tensors[name].shape for name in names if name in tensors), ())
    return (shape[0], shape[1]) if len(shape) == 2 else (None, None)


def _table(path: Path) -> RowsHeader:
    """Return what a Parquet file's footer says of its vectors, and its columns id and name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if is_pickle(path):
        read_header(path)  # says which command converts it
    try:
        with pq.ParquetFile(path) as file:
            size, schema = file.metadata.num_rows, file.schema_arrow
            width = _width(file.metadata, size=size)
            names = [n for n in ("id", "name") if n in schema.names and _is_text(schema.field(n))]
            modest = _modest(file.metadata, names)
        with pq.ParquetFile(path, read_dictionary=names, pre_buffer=False) as file:
            table = file.read(columns=names) if modest else pa.table({})
        read = {name: _texts(table.column(name)) for name in table.column_names}
    except (pa.ArrowException, OSError) as error:
        raise no_table(path, str(error)) from error
    except UnicodeDecodeError:
        return RowsHeader(feature=None)  # who reads it says which text is none
    found, given = read.get("id") or [], read.get("name", [None] * size)
    ids = [class_id for class_id in found if class_id is not None]
    if not ids or given is None or len(set(ids)) < size:
        return RowsHeader(rows=size, width=width, feature=None)
    texts = [name or name_of(class_id) for class_id, name in zip(ids, given, strict=True)]
    return RowsHeader(
        rows=size,
        width=width,
        classes=Vocabulary(ids=tuple(ids), names=tuple(texts)),
        feature=None,
    )


def refuse_others(path: Path) -> None:
    """Refuse a file whose name says that it is no file of rows.

    Raises:
        WeightsError: it is text, or numpy's.
    """
    if path.is_file() and path.suffix.lower() in TEXTS:
        raise WeightsError(
            f"{path}: rows are a .safetensors file or a .parquet table; got {path.suffix}. Write a "
            "Parquet table with the columns id (text) and vector (list of numbers)."
        )


def no_table(path: Path, got: str) -> WeightsError:
    """Return the error of a file that is no Parquet, or is cut; of what was got, the first line."""
    first = (got.splitlines() or [""])[0].rstrip(".")
    return WeightsError(f"{path}: not a readable Parquet file; got {first:.200}. Write it again.")


def _modest(metadata: Any, names: list[str]) -> bool:
    """Say whether text columns are small enough to be looked at before anything is checked."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [g.column(i) for g in groups for i in range(g.num_columns)]
    texts = [c for c in columns if c.path_in_schema in names]
    size = sum(c.total_uncompressed_size for c in texts)
    unpacks = any("DELTA_BYTE_ARRAY" in c.encodings for c in texts)  # without end
    return metadata.num_rows <= MOST_ROWS and size <= MOST_TEXT and not unpacks


def _texts(column: Any) -> list[str | None] | None:
    """Return a column of text; None where one is too long, that the file holds it once for all."""
    import pyarrow.compute as pc

    chunks = [chunk.dictionary_encode() for chunk in column.chunks]
    lengths = [pc.call_function("binary_length", [chunk.dictionary]) for chunk in chunks]
    if any((pc.call_function("max", [each]).as_py() or 0) > LONGEST for each in lengths):
        return None
    return [text for chunk in chunks for text in chunk.dictionary_decode().to_pylist()]


def _is_text(field: Any) -> bool:
    return str(field.type) in ("string", "large_string")


def _width(metadata: Any, *, size: int) -> int | None:
    """Return how many values of column vector there are a row, where all may have as many."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [g.column(i) for g in groups for i in range(g.num_columns)]
    numbers = sum(c.num_values for c in columns if c.path_in_schema.startswith("vector."))
    return numbers // size if size and numbers and numbers % size == 0 else None


def _imagenet() -> Vocabulary | None:
    """Return ImageNet's 1,000 classes from timm's tables, beside its code, which imports torch."""
    spec = find_spec("timm")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = Path(*places[:1], "data", "_info")
    try:
        wnids = (folder / "imagenet_synsets.txt").read_text("utf-8").splitlines()
        lines = (folder / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines()
    except OSError:
        return None  # another timm, or none: whoever runs has it
    lemmas = dict(line.split("\t", 1) for line in lines if "\t" in line)
    names = [lemmas.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    return Vocabulary(ids=tuple(f"{LEVEL}:{wnid}" for wnid in wnids), names=tuple(names))
