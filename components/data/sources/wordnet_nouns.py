"""WordNet's nouns (data.noun of WordNet 3.0) -> a class graph with wnids; offline, by a path.

A wnid such as n02084071 is the byte at which a synset stands in data.noun of version 3.0: in
another version it is another synset, so versions are refused, and a synset that does not stand at
its own number has been moved. Format: wndb(5WN). nltk's reader gives the same edges (tested on all
nouns) in 4 times the CPU time and 3 times the memory, and only from a folder made for it: it serves
as the reference, and says where its data lie.
"""

import lzma
import re
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from components.data.sources.label_problems import DataError
from components.vocab.class_graph import ClassGraph, Edge

if TYPE_CHECKING:
    from components.data.hierarchies import WordNetReader

VERSION = "3.0"  # of which ImageNet's class ids are
FILE = "data.noun"
INSIDE = (FILE, f"dict/{FILE}", f"wordnet/{FILE}", f"corpora/wordnet/{FILE}",
          "wordnet.zip", "corpora/wordnet.zip")  # fmt: skip
DEBIAN = Path("/usr/share/wordnet")
MOST_BYTES = 64 * 2**20  # 3.0 has 15 million
MOST_LINE = 2**18  # bytes; 3.0 has 13 thousand
TOLD = {"@": "~", "@i": "~i"}  # what a child says of its parent: what the parent says
BROKEN = (  # what zipfile raises of a zip that is damaged, locked or packed by another method
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, KeyError, RuntimeError,
)  # fmt: skip
SAID = re.compile(rb"WordNet (\d+\.\d+) Copyright")
WAYS = (
    f"Three ways: install Debian's package wordnet-base; run python -m nltk.downloader wordnet on "
    f"a machine with a network; or name a folder that holds {FILE} of WordNet {VERSION}."
)


def find_wordnet(place: Path | None) -> Path:
    """Return the file of nouns that a path means: data.noun, or the zip that nltk downloads.

    Args:
        place: the file; or a folder: an nltk_data, its corpora/wordnet, Debian's, WordNet's own.
            None looks where Debian and nltk put it.

    Raises:
        DataError: it is not there.
    """
    roots = [place] if place is not None else _usual()
    for root in roots:
        for file in [root] if root.is_file() else [root / inner for inner in INSIDE]:
            if file.is_file():
                return file
    looked = ", ".join(map(str, roots))
    raise DataError([f"WordNet: there is no {FILE}; got {looked}. {WAYS}"])


def _usual() -> list[Path]:
    import nltk.data  # takes seconds

    return [DEBIAN, *map(Path, nltk.data.path)]


def _no_pairs() -> dict[str, set[tuple[int, int]]]:
    return {mark: set() for mark in (*TOLD, *TOLD.values())}


@dataclass(kw_only=True, slots=True)
class _Nouns:
    """What has been read of data.noun so far; a synset is its number."""

    name: str
    version: str = ""
    synsets: dict[int, None] = field(default_factory=dict[int, None])
    pairs: dict[str, set[tuple[int, int]]] = field(default_factory=_no_pairs)  # (child, parent)

    def take(self, line: bytes, at: int) -> None:
        """Take in the line at a byte."""
        if line.startswith(b"  "):  # the licence
            said = SAID.search(line)
            self.version = said[1].decode() if said else self.version
            return
        if self.version != VERSION:
            got = f"version {self.version or 'unknown'}"
            what = f"not the nouns of WordNet {VERSION}, whose places are the class ids"
            raise DataError([f"{self.name}: {what}; got {got}. {WAYS}"])
        try:
            if not line.endswith(b"\n"):
                raise ValueError(line)
            fields = line.partition(b" | ")[0].decode("ascii").split(" ")
            own, words = int(fields[0]), int(fields[3], 16)
            if own != at or fields[2] != "n":
                raise ValueError(own)
            first = 4 + 2 * words  # where the pointers' number stands
            count = int(fields[first])
            for i in range(first + 1, first + 1 + 4 * count, 4):
                mark, other = fields[i], int(fields[i + 1])
                if mark in self.pairs:
                    self.pairs[mark].add((own, other) if mark in TOLD else (other, own))
        except (ValueError, IndexError):
            raise self.damaged(f"{line[:40]!r} at byte {at}") from None
        self.synsets[own] = None

    def damaged(self, got: str) -> DataError:
        """Return the error of a file that is not as it was made."""
        return DataError([f"{self.name}: damaged, cut or converted; got {got}. {WAYS}"])

    def edges(self, *marks: str) -> list[Edge]:
        """Return the edges of these marks, after a look at whether both ends tell the same."""
        for up, down in TOLD.items():
            if odd := self.pairs[up] ^ self.pairs[down]:
                child, parent = min(odd)
                said = f"{child:08} under {parent:08}, which only one of the two says"
                raise self.damaged(said)
        pairs = sorted(pair for mark in marks for pair in self.pairs[mark])
        return [Edge(_wnid(child), _wnid(parent)) for child, parent in pairs]


def read_nouns(reader: "WordNetReader", nouns: Path) -> ClassGraph:
    """Return the graph of all nouns: 82,115 in WordNet 3.0.

    Raises:
        DataError: another version, damaged, or no such file.
        HierarchyError: the synsets make no hierarchy.
    """
    read = _Nouns(name=nouns.name)
    with _opened(nouns) as file:
        at = 0
        while line := file.readline(MOST_LINE):
            read.take(line, at)
            at += len(line)
            if at > MOST_BYTES:
                raise read.damaged(f"more than {MOST_BYTES} bytes")
    if not read.synsets:
        raise read.damaged("no synset")
    edges = read.edges("@", "@i") if reader.instances == "as_kinds" else read.edges("@")
    return ClassGraph.of(edges, ids=[*map(_wnid, read.synsets)], where=read.name)


@contextmanager
def _opened(nouns: Path) -> Generator[IO[bytes]]:
    """Open data.noun, or the one in the zip."""
    if not zipfile.is_zipfile(nouns):
        with nouns.open("rb") as file:
            yield file
        return
    inner = f"wordnet/{FILE}"
    try:
        with zipfile.ZipFile(nouns) as packed, packed.open(inner) as file:
            yield file
    except BROKEN as error:
        got = str(error).rstrip(".") or type(error).__name__
        raise DataError([f"{nouns.name}: no {inner} that can be read; got {got}. {WAYS}"]) from None


def _wnid(synset: int) -> str:
    return f"n{synset:08}"
