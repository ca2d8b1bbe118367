"""The vocabulary: ordered class ids, their names, and maps between two vocabularies."""

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VERSION = 1
BEYOND = (OverflowError, RecursionError)  # a version that is no number, lists in lists


class VocabularyError(ValueError):
    """A class that is not there, or a list that is no vocabulary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """Ordered class ids `<level>:<name>` and the names people read; an index is a position."""

    ids: tuple[str, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse doubles and lists of two lengths."""
        if len(self.ids) != len(self.names):
            raise VocabularyError(
                f"vocabulary: one name a class; got {len(self.ids)} ids and "
                f"{len(self.names)} names. Give each class a name."
            )
        doubles = [name for name, times in Counter(self.ids).items() if times > 1]
        if doubles:
            raise VocabularyError(
                f"vocabulary: each class id once; got {doubles[0]!r} twice and {len(doubles)} "
                "such ids. Take the doubles out."
            )

    def __len__(self) -> int:
        return len(self.ids)

    def index(self, class_id: str) -> int:
        """Return the position of a class id; raise VocabularyError with the nearest one."""
        try:
            return self.ids.index(class_id)
        except ValueError:
            near = self.meant(class_id)
            hint = f"Did you mean {near!r}?" if near else f"It has {len(self)} classes."
            raise VocabularyError(f"vocabulary: no such class; got {class_id!r}. {hint}") from None

    def meant(self, class_id: str) -> str | None:
        """Return the id that somebody may have meant: of the class so named, else one like it."""
        name = name_of(class_id)
        so_named = (i for i, text in zip(self.ids, self.names, strict=True) if text == name)
        near = difflib.get_close_matches(class_id, self.ids, n=1)
        return next(so_named, near[0] if near else None)

    @classmethod
    def of(cls, ids: Iterable[str]) -> "Vocabulary":
        """Return the sorted, distinct ids; a name is the text after the first colon."""
        ordered = tuple(sorted(set(ids)))
        return cls(ids=ordered, names=tuple(name_of(i) for i in ordered))

    def mapping(self, other: "Vocabulary") -> np.ndarray:
        """Return int64 [len(self)]: the index of each class in `other`, or -1."""
        place = {class_id: i for i, class_id in enumerate(other.ids)}
        return np.array([place.get(class_id, -1) for class_id in self.ids], np.int64)

    def write(self, path: Path) -> None:
        """Write vocabulary.json; equal vocabularies give equal bytes."""
        classes = [{"id": i, "name": n} for i, n in zip(self.ids, self.names, strict=True)]
        text = json.dumps({"version": VERSION, "classes": classes}, ensure_ascii=False, indent=0)
        path.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Vocabulary":
        """Read vocabulary.json; raise VocabularyError when it is none."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            classes = [(str(c["id"]), str(c["name"])) for c in found["classes"]]
            version = int(found["version"])
        except (OSError, ValueError, KeyError, TypeError, *BEYOND) as error:
            raise VocabularyError(
                f"{path}: not a vocabulary; got {error!r}. Write it with vocabox."
            ) from error
        if version > VERSION:
            raise VocabularyError(
                f"{path}: version {version}; got a file of a newer vocabox than this one, which "
                f"reads up to {VERSION}. Update vocabox."
            )
        return cls(ids=tuple(i for i, _ in classes), names=tuple(n for _, n in classes))


def name_of(class_id: str) -> str:
    """Return the text after the first colon, or the whole id."""
    return class_id.partition(":")[2] or class_id


def readable(known: Vocabulary) -> tuple[str, ...]:
    """Return a text for people for each class: `level:name`, and its own id where two share one.

    It is the id itself wherever a name was made of the id; ids of lists that come with weights
    can be numbers (`imagenet:n01443537` reads `imagenet:goldfish`). No two texts are the same:
    where names make two alike even so, the id stands as it is.
    """
    pairs = list(zip(known.ids, known.names, strict=True))
    texts = [f"{i.partition(':')[0]}:{name}" if ":" in i else name for i, name in pairs]
    told = [f"{text} ({name_of(i)})" for text, i in zip(texts, known.ids, strict=True)]
    for longer in (told, known.ids):
        while again := _doubles(texts, known.ids, longer):
            for k in again:
                texts[k] = longer[k]
    return tuple(texts)


def _doubles(texts: Sequence[str], ids: Sequence[str], longer: Sequence[str]) -> list[int]:
    """Return the classes whose text is another's too, and neither its id nor the longer text."""
    times = Counter(texts)
    return [
        k for k, text in enumerate(texts) if times[text] > 1 and text not in (ids[k], longer[k])
    ]


def union(first: Vocabulary, second: Vocabulary) -> Vocabulary:
    """Return the classes of the first, then those only the second has."""
    known = set(first.ids)
    added = [i for i, class_id in enumerate(second.ids) if class_id not in known]
    return Vocabulary(
        ids=first.ids + tuple(second.ids[i] for i in added),
        names=first.names + tuple(second.names[i] for i in added),
    )
