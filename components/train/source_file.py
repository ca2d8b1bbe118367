"""Where a classifier's rows come from: a package, a folder of ours, a .safetensors file, a table.

A row of SOURCES says what it is that a path means; nothing is guessed from contents. All numbers
are float32 afterwards, and pass `components.transfer.source.check`.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from components.models.choices import PACKAGED
from components.models.pretrained_trunks import MissingExtraError
from components.train.checkpoint import read_record
from components.train.embedding_table import read_table
from components.train.foreign import HEAD, convert_packaged
from components.train.rows_header import ABOVE, BARE, CLASSIFIERS, LEVEL, TABLES, RowsHeader
from components.train.source_folder import SOURCE, OpenedSource, load_source
from components.train.tensors import read_tensors
from components.train.weights_file import (
    ABOUT,
    CLASS_WEIGHTS,
    CLASSES,
    CONVERTED,
    MODEL_RECORD,
    MODEL_WEIGHTS,
    WeightsError,
    compare_digests,
    find_weights,
    listed,
    read_header,
    read_record_file,
    wrong_types,
)
from components.transfer.source import SourceError, SourceWeights, check
from components.vocab.class_list import read_class_list
from components.vocab.classes import Vocabulary

TEXTS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".npy", ".npz")  # what people write rows to


def open_source(place: str | Path, *, classes: Path | None = None) -> OpenedSource:
    """Return the rows that a name or a path means, checked.

    Args:
        place: a name of PACKAGED; the folder of a model or run of ours, whose labelled classes are
            taken; a folder that `vocabox convert` or the node `rows` wrote; a Parquet table with
            the columns id and vector, and if there are name and bias, whose rows are of no
            network; or a .safetensors file.
        classes: list of class ids in the order of the rows; of a .safetensors file only.

    Raises:
        SourceError: there is no such thing, or its rows cannot be taken.
        WeightsError: a file is damaged, a pickle, or of another type.
        VocabularyError: the class list is none, or has a class twice.
        MissingExtraError: a package is not installed.
    """
    name, path = str(place), Path(place)
    weights = find_weights(path)
    table = path.suffix.lower() in TABLES
    _refuse_others(path)
    if classes is not None and (table or path.is_dir() or name in PACKAGED):
        raise SourceError(
            f"{place}: names its classes itself; got a class list beside it, {classes}. "
            "Leave the list out."
        )
    if name in PACKAGED:
        opened = _packaged(name)
    elif (path / SOURCE).is_file():
        opened = load_source(path)
    elif path.is_file() and table:
        opened = OpenedSource(weights=read_table(path), feature=None, where=str(path))
    elif path.is_file():
        opened = _file(path, classes=classes)
    elif weights is not None and weights.name == MODEL_WEIGHTS:
        opened = _model(weights.parent)
    elif weights is not None:
        opened = _converted(weights.parent)
    else:
        raise SourceError(
            f"{place}: no classifier here; got {_there(path)}. Give {' or '.join(PACKAGED)}, a "
            f"folder with {MODEL_RECORD} or {ABOUT}, a .safetensors file or a .parquet table."
        )
    check(opened.weights, where=opened.where)
    return opened


def header_of(opened: OpenedSource) -> RowsHeader:
    """Return what is asked of rows before anything is trained."""
    return RowsHeader(
        width=opened.weights.weight.shape[1],
        classes=opened.weights.vocabulary,
        feature=opened.feature,
        layers=any(name.startswith(ABOVE) for name in opened.tensors),
    )


def imagenet_classes() -> Vocabulary:
    """Return ImageNet's 1,000 classes in the order of rows: ids by wnid, the first lemma as name.

    Ids are wnids because names are not unique (two cranes), and because folders and label files
    of ImageNet and its subsets are named by them: level `imagenet`, class `n02012849`.

    Raises:
        MissingExtraError: timm, whose tables these are, is not installed.
    """
    try:
        from timm.data.imagenet_info import ImageNetInfo
    except ImportError as error:
        raise MissingExtraError(
            "source: timm is not installed, which knows the class names. "
            "Run `pip install 'vocabox[pretrained]'`."
        ) from error
    info = ImageNetInfo()
    wnids = info.label_names()
    said = [info.index_to_description(i).split(",")[0].strip() for i in range(len(wnids))]
    return Vocabulary(ids=tuple(f"{LEVEL}:{wnid}" for wnid in wnids), names=tuple(said))


def _refuse_others(path: Path) -> None:
    """Refuse a file whose name says that it is no file of rows."""
    if path.is_file() and path.suffix.lower() in TEXTS:
        raise WeightsError(
            f"{path}: rows are a .safetensors file or a .parquet table; got {path.suffix}. Write a "
            "Parquet table with the columns id (text) and vector (list of numbers)."
        )


def _packaged(name: str) -> OpenedSource:
    with tempfile.TemporaryDirectory(prefix="vocabox-") as scratch:
        convert_packaged(name, out=Path(scratch))
        return _converted(Path(scratch))


def _model(folder: Path) -> OpenedSource:
    """Take the labelled classes of a detector or classifier of ours, as they read the head."""
    record = read_record(folder)
    if (folder / CLASS_WEIGHTS).is_file():
        raise SourceError(
            f"{folder}: holds exported classes; got a folder that vocabox export wrote. Give the "
            "model that taught them."
        )
    if "labelled" not in record.parts or not len(record.labelled):
        raise SourceError(
            f"{folder}: no classes taught by image labels; got parts {', '.join(record.parts)}. "
            "Give the model of stage 1."
        )
    tensors = read_tensors(folder / MODEL_WEIGHTS)
    rows, bias = (tensors[f"scores.labelled.{part}"].float() for part in ("weight", "bias"))
    weights = SourceWeights(vocabulary=record.labelled, weight=rows, bias=bias)
    head = {name: tensor for name, tensor in tensors.items() if name.startswith(HEAD)}
    return OpenedSource(weights=weights, feature="head", where=str(folder), tensors=head)


def _converted(folder: Path) -> OpenedSource:
    about = read_record_file(folder / ABOUT)
    compare_digests(folder, about.get("digests", {}))
    if about.get("name") in PACKAGED:  # what the node `pretrained` made
        tensors = read_tensors(folder / CONVERTED)
        name = str(about["name"])
        return _of_network(
            tensors, _classifier(tensors, where=name), imagenet_classes(), where=name
        )
    classifier = str(about.get("classifier", ""))
    tensors = read_tensors(folder / CONVERTED)
    if classifier not in tensors:
        raise SourceError(
            f"{folder}: holds no classifier; got {len(tensors)} tensors without one. Convert a "
            f"file that has one of {', '.join(CLASSIFIERS)}."
        )
    return _of_network(tensors, classifier, Vocabulary.read(folder / CLASSES), where=str(folder))


def _file(path: Path, *, classes: Path | None) -> OpenedSource:
    header = read_header(path)
    if wrong := wrong_types(header):
        raise WeightsError(
            f"{path}: weights are floating-point numbers; got {len(wrong)} of "
            f"{len(header.tensors)} tensors of another type: {listed(wrong)}. "
            "Give weights that are not quantised."
        )
    classifier = _classifier(header.tensors, where=str(path))
    shape = header.tensors[classifier].shape
    if len(shape) != 2:
        raise SourceError(
            f"{path}: a last layer has one row a class; got {classifier} of shape {list(shape)}. "
            "Give a classifier that ends in a linear layer."
        )
    if classes is None:
        raise SourceError(
            f"{path}: the classes of its {shape[0]} rows are not in "
            f"it; got no list. Pass --source-classes LIST, one class id a line in their order."
        )
    return _of_network(read_tensors(path), classifier, read_class_list(classes), where=str(path))


def _classifier(tensors: Mapping[str, object], *, where: str) -> str:
    found = next((name for name in (*CLASSIFIERS, BARE) if name in tensors), None)
    if found is None:
        raise SourceError(
            f"{where}: holds no classifier; got {listed(list(tensors))}. The last layer is looked "
            f"for as {', '.join((*CLASSIFIERS, BARE))}."
        )
    return found


def _of_network(
    tensors: Mapping[str, Tensor], classifier: str, vocabulary: Vocabulary, *, where: str
) -> OpenedSource:
    """Return the rows of a classifier's last layer; a bias beside them is taken with them."""
    bias_at = f"{classifier.removesuffix(BARE)}bias"
    own = {classifier, bias_at}
    bias = tensors[bias_at].float() if bias_at in tensors else None
    return OpenedSource(
        weights=SourceWeights(vocabulary=vocabulary, weight=tensors[classifier].float(), bias=bias),
        feature="trunk",
        where=where,
        tensors={name: tensor for name, tensor in tensors.items() if name not in own},
    )


def _there(path: Path) -> str:
    if path.is_dir():
        return f"a folder without them, {path.absolute()}"
    return f"no such file or folder, {path.absolute()}"
