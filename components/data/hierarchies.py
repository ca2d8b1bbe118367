"""The hierarchies a config may name: settings of each, and the one door to the reader behind it.

As with label files, a source says where its file lies, and its reader how it is read; only the
second is part of a result's identity.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.data.sources.label_problems import DataError, file_problems

if TYPE_CHECKING:  # it reads Parquet, and a page that only names a file waits for nothing
    from components.vocab.class_graph import ClassGraph

Column = Literal["child", "parent", "other"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgesReader:
    """A table of edges."""

    kind: Literal["edges"] = "edges"
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenImagesReader:
    """An Open Images hierarchy."""

    kind: Literal["openimages"] = "openimages"


@dataclass(frozen=True, kw_only=True, slots=True)
class WordNetReader:
    """The nouns of WordNet 3.0."""

    kind: Literal["wordnet"] = "wordnet"
    instances: Literal["left_out", "as_kinds"] = "left_out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Edges:
    """A table with the columns child and parent, a row an edge; an empty parent is a class on top.

    Commas, tabs, spaces or Parquet. Ids as in the label files, with or without their level.
    """

    kind: Literal["edges"] = "edges"
    table: str  # the file
    columns: tuple[Column, ...] = ()  # of a file without a header, in order: [parent, child]

    @property
    def reader(self) -> EdgesReader:
        """Return how the file is read."""
        return EdgesReader(columns=self.columns)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenImages:
    """The hierarchy JSON of Open Images: nested LabelName and Subcategory; Part is no kind-of."""

    kind: Literal["openimages"] = "openimages"
    tree: str  # the file, such as bbox_labels_600_hierarchy.json

    @property
    def reader(self) -> OpenImagesReader:
        """Return how the file is read."""
        return OpenImagesReader()


@dataclass(frozen=True, kw_only=True, slots=True)
class WordNet:
    """WordNet 3.0: classes are wnids such as n02084071. Nothing is downloaded."""

    kind: Literal["wordnet"] = "wordnet"
    folder: str | None = None  # with data.noun; null looks where Debian and nltk put it
    instances: Literal["left_out", "as_kinds"] = "left_out"  # Einstein is a physicist: an edge?

    @property
    def reader(self) -> WordNetReader:
        """Return how the file is read."""
        return WordNetReader(instances=self.instances)


Source = Edges | OpenImages | WordNet
Reader = EdgesReader | OpenImagesReader | WordNetReader


def _edges(reader: EdgesReader, files: Mapping[str, Path]) -> "ClassGraph":
    from components.data.sources.edge_table import read_edges

    return read_edges(reader, files["table"])


def _openimages(reader: OpenImagesReader, files: Mapping[str, Path]) -> "ClassGraph":
    from components.data.sources.openimages_tree import read_tree

    del reader  # has no setting
    return read_tree(files["tree"])


def _wordnet(reader: WordNetReader, files: Mapping[str, Path]) -> "ClassGraph":
    from components.data.sources.wordnet_nouns import read_nouns

    return read_nouns(reader, files["nouns"])


HIERARCHIES: dict[str, Callable[[Any, Mapping[str, Path]], "ClassGraph"]] = {
    "edges": _edges,
    "openimages": _openimages,
    "wordnet": _wordnet,
}


def hierarchy_files(source: Source, root: Path) -> dict[str, Path]:
    """Return role -> absolute path of a source's file; `root` is what its path starts from.

    Raises:
        DataError: WordNet is not there.
    """
    match source:
        case Edges():
            return {"table": Path(os.path.abspath(root / source.table))}
        case OpenImages():
            return {"tree": Path(os.path.abspath(root / source.tree))}
        case WordNet():
            from components.data.sources.wordnet_nouns import find_wordnet

            place = None if source.folder is None else Path(os.path.abspath(root / source.folder))
            return {"nouns": find_wordnet(place)}


def graph_of(reader: Reader, files: Mapping[str, Path]) -> "ClassGraph":
    """Return the class graph of a file.

    Args:
        reader: settings.
        files: `table`, `tree` or `nouns`, by the reader's kind.

    Raises:
        DataError: the file cannot be read, is of another shape, or makes no hierarchy.
    """
    from components.vocab.class_graph import HierarchyError

    if problems := file_problems(files):
        raise DataError([str(problem) for problem in problems])
    try:
        return HIERARCHIES[reader.kind](reader, files)
    except HierarchyError as error:
        raise DataError([str(error)]) from error
