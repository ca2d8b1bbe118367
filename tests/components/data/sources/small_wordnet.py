"""A WordNet of a dozen nouns in the files of WordNet 3.0, and nltk's reader of any such folder.

nltk opens only what lies below a folder of nltk.data.path: a copy, no link. It wants `lexnames`,
which Debian leaves out, and by `map_wn` it would read index.sense twice, for other versions' ids.
"""

import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LICENCE = (
    "  1 Nouns for tests; the line below is where a file says its version.  \n"
    "  2 WordNet {} Copyright is what stands here in the files of that name.  \n"
)


@dataclass(frozen=True, kw_only=True)
class Noun:
    """One synset; the first word is its name here."""

    words: tuple[str, ...]
    kind_of: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()  # as Einstein is one of the physicists


NOUNS = (
    Noun(words=("entity",)),
    Noun(words=("animal", "beast"), kind_of=("entity",)),
    Noun(words=("canine",), kind_of=("animal",)),
    Noun(words=("domestic_animal",), kind_of=("animal",)),
    Noun(words=("dog", "domestic_dog"), kind_of=("canine", "domestic_animal")),
    Noun(words=("wolf",), kind_of=("canine",)),
    Noun(words=("pug", "pug-dog"), kind_of=("dog",)),
    Noun(words=("artifact",), kind_of=("entity",)),
    Noun(words=("person",), kind_of=("entity",)),
    Noun(words=("physicist",), kind_of=("person",)),
    Noun(words=("Einstein",), one_of=("physicist",)),
    Noun(words=("lassie",), one_of=("dog",)),
)
FILES = ("adj", "adv", "verb")


def data_noun(
    nouns: tuple[Noun, ...] = NOUNS, *, version: str = "3.0"
) -> tuple[bytes, dict[str, int]]:
    """Return data.noun, and the byte at which the synset of each first word stands."""
    at = {noun.words[0]: 0 for noun in nouns}
    lines: list[str] = []
    for _ in range(2):  # numbers have eight digits, so the second pass has the right ones
        place, lines = len(LICENCE.format(version)), []
        for noun in nouns:
            at[noun.words[0]] = place
            lines.append(_line(noun, nouns, at))
            place += len(lines[-1])
    return (LICENCE.format(version) + "".join(lines)).encode(), at


def _line(noun: Noun, nouns: tuple[Noun, ...], at: Mapping[str, int]) -> str:
    own = noun.words[0]
    pointers = [("@", up) for up in noun.kind_of] + [("@i", up) for up in noun.one_of]
    pointers += [("~", other.words[0]) for other in nouns if own in other.kind_of]
    pointers += [("~i", other.words[0]) for other in nouns if own in other.one_of]
    words = " ".join(f"{word} 0" for word in noun.words)
    told = "".join(f" {mark} {at[other]:08} n 0000" for mark, other in pointers)
    start = f"{at[own]:08} 03 n {len(noun.words):02x} {words} {len(pointers):03}"
    return f"{start}{told} | what {own} means  \n"


def write_wordnet(folder: Path, nouns: tuple[Noun, ...] = NOUNS) -> dict[str, int]:
    """Write the files that nltk wants too; return the byte of each synset."""
    folder.mkdir(parents=True, exist_ok=True)
    data, at = data_noun(nouns)
    (folder / "data.noun").write_bytes(data)
    for part in FILES:
        (folder / f"data.{part}").write_text("")
        (folder / f"index.{part}").write_text("")
    for part in ("noun", *FILES):
        (folder / f"{part}.exc").write_text("")
    (folder / "cntlist.rev").write_text("")
    rows = sorted(
        (word.lower(), at[noun.words[0]], f"{word} n 1 0 1 0 {at[noun.words[0]]:08}  \n")
        for noun in nouns
        for word in noun.words
    )
    (folder / "index.noun").write_text("".join(line.lower() for _, _, line in rows))
    return at


@contextmanager
def nltk_reader(folder: Path, root: Path) -> Iterator[Any]:
    """Give nltk's reader of a folder of WordNet's files, which are copied below `root`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import nltk.data
        from nltk.corpus.reader.wordnet import WordNetCorpusReader

        class Reader(WordNetCorpusReader):
            def map_wn(self, version: str = "wordnet") -> None:
                del version

        place = root / "corpora" / "wordnet"
        shutil.copytree(folder, place)
        if not (place / "lexnames").is_file():
            files = ["x.all", "x.all", "x.all", "noun.Tops"] + [f"x.{i}" for i in range(4, 45)]
            text = "".join(f"{i:02}\t{name}\t1\n" for i, name in enumerate(files))
            (place / "lexnames").write_text(text)
        nltk.data.path.insert(0, str(root))
        try:
            yield Reader(nltk.data.find("corpora/wordnet"), None)
        finally:
            nltk.data.path.remove(str(root))
