"""The annotations of a COCO file as columns; those that cannot be read are told.

A box costs about 80 bytes here: a file of a million boxes is read in 100 MB.
"""

from array import array
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.data.check_table import Finding, Findings

FARTHEST = 1e6  # px; no picture is so wide, and float32 is exact below it


@dataclass(kw_only=True, slots=True)
class Columns:
    """One row an annotation whose numbers can be read."""

    numbers: "array[float]" = field(default_factory=lambda: array("d"))  # four a box, as given
    picture: "array[int]" = field(default_factory=lambda: array("q"))  # place in `pictures`
    category: "array[int]" = field(default_factory=lambda: array("q"))  # place in `categories`
    crowd: "array[int]" = field(default_factory=lambda: array("b"))
    ids: "array[int]" = field(default_factory=lambda: array("q"))
    odd: dict[int, Any] = field(default_factory=dict[int, Any])  # row -> id that is none of int64
    rows: "array[int]" = field(default_factory=lambda: array("q"))  # place in the file
    pictures: dict[Hashable, int] = field(default_factory=dict[Hashable, int])  # id -> place
    categories: dict[Hashable, int] = field(default_factory=dict[Hashable, int])
    seen: int = 0  # annotations, those that cannot be read too
    no_crowd: int = 0  # annotations without iscrowd
    no_area: int = 0

    def take(self, annotation: Any, name: str, found: Findings) -> None:
        """Put one annotation into the columns, or say what keeps it out."""
        place, self.seen = self.seen, self.seen + 1
        if not isinstance(annotation, dict):
            where = f"{name}, annotations[{place}]"
            found.add(Finding(check="box.not_four", where=where, what="expected an object",
                              got=f"{annotation!r:.40}", do="Remove it."))  # fmt: skip
            return
        own = annotation.get("id")
        where = f"{name}, annotation {own if 'id' in annotation else f'[{place}]'}"
        image, category = annotation.get("image_id"), annotation.get("category_id")
        box = annotation.get("bbox")
        wrong = _not_numbers(box, where)
        for value, thing in ((category, "class"), (image, "picture")):
            wrong = wrong if is_id(value) else orphan(value, thing, where)
        if wrong is not None:
            found.add(wrong)
            if is_id(own):  # it may stand twice all the same
                self.picture.append(-1)
                self._row(place, own, [0.0] * 4, category=-1, crowd=0)
            return
        self.no_crowd += "iscrowd" not in annotation
        self.no_area += "area" not in annotation
        self.picture.append(self.pictures.setdefault(image, len(self.pictures)))
        at = self.categories.setdefault(category, len(self.categories))
        crowd = 1 if annotation.get("iscrowd") else 0
        self._row(place, own, box or [], category=at, crowd=crowd)

    def _row(self, place: int, own: Any, box: list[float], *, category: int, crowd: int) -> None:
        if type(own) is not int or not -(2**63) <= own < 2**63:
            self.odd[len(self.ids)] = own
            own = 0
        self.ids.append(own)
        self.numbers.extend(float(v) for v in box)
        self.category.append(category)
        self.crowd.append(crowd)
        self.rows.append(place)

    def where(self, row: int, name: str) -> str:
        """Return the words for an annotation in messages."""
        own = self.odd.get(row, self.ids[row])
        return f"{name}, annotation {f'[{self.rows[row]}]' if own is None else own}"

    def twice(self) -> list[Any]:
        """Return the ids that stand more than once."""
        plain = np.ones(len(self.ids), bool)
        plain[list(self.odd)] = False
        ids, times = np.unique(np.asarray(self.ids)[plain], return_counts=True)
        odd = Counter(own for own in self.odd.values() if is_id(own))
        return [*ids[times > 1].tolist(), *(own for own, count in odd.items() if count > 1)]


def is_id(value: Any) -> bool:
    """Return whether a value can be an id: a whole number of any size, or text."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def orphan(value: Any, thing: str, where: str) -> Finding:
    """Return the finding of an annotation whose picture or class is not in the file."""
    names = {"picture": ("images", "image_id"), "class": ("categories", "category_id")}
    section, key = names[thing]
    return Finding(
        check="id.orphan",
        where=where,
        what=f"its {thing} is not in {section}",
        got=f"{key} {value!r:.40}",
        do=f"Remove it, or add the {thing}.",
    )


def _not_numbers(box: Any, where: str) -> Finding | None:
    numbers = isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
    if numbers and all(-FARTHEST <= v <= FARTHEST for v in box):  # false for NaN
        return None
    return Finding(
        check="box.nan" if numbers else "box.not_four",
        where=where,
        what="bbox is not four finite numbers",
        got=f"{box!r:.60}",
        do="Mend or remove it.",
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
