"""How sure a teacher was, class by class, over the pictures it has seen.

Dissertation (paper 2), section 3.3.3: the sums that Eq. 3.6 is made of. A ledger is additive:
those of parts of a set merge to the one of the whole, in any order and any tree, to the same bits,
and a picture that is entered again changes nothing (a shard is redone when its actor dies). No
torch.
Differs: the text accumulates online, while a teacher labels; here all pictures of a round are seen
before the first label is chosen, so that no label depends on the order.
Shapes: Q candidates, J pairs of picture and class, I pictures, C classes.
"""

from dataclasses import dataclass

import numpy as np

from components.shapes import expect, expect_finite


class LedgerError(ValueError):
    """Ledgers that do not belong together, or of which nothing can be made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """Sums over all pictures of a ledger."""

    certainty: np.ndarray  # float64 [C], sum of p * v
    count: np.ndarray  # int64 [C], candidates


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ledger:
    """What was found in each picture of a set, summed within a class."""

    of: str  # which set, teacher and classes: only ledgers of the same merge
    classes: int
    pictures: np.ndarray  # int64 [I], rows of the set that were seen, ascending
    picture: np.ndarray  # int64 [J], ascending, and category within it
    category: np.ndarray  # int64 [J]
    certainty: np.ndarray  # float64 [J], sum of p * v
    count: np.ndarray  # int64 [J], candidates, 1 or more

    @classmethod
    def observed(
        cls,
        *,
        of: str,
        classes: int,
        pictures: np.ndarray,
        picture: np.ndarray,
        category: np.ndarray,
        score: np.ndarray,
        quality: np.ndarray,
    ) -> "Ledger":
        """Return the ledger of some pictures.

        Args:
            of: names the set, the teacher and the classes.
            classes: C.
            pictures: int [I], all rows that were looked at, also those without a candidate.
            picture: int [Q], the row of each candidate.
            category: int [Q], its class.
            score: [Q], p in [0, 1].
            quality: [Q], v in [0, 1].

        Raises:
            LedgerError: a candidate of a picture that was not looked at, or of no class.
            ShapeError: columns of different lengths.
            NotFiniteError: a score or quality is NaN or infinite.
        """
        for name, column in (("category", category), ("score", score), ("quality", quality)):
            expect(name, column, "Q", Q=len(picture))
        certainty = score.astype(np.float64) * quality.astype(np.float64)
        expect_finite("score * quality", certainty, do="Look at the teacher's weights.")
        seen = np.unique(pictures.astype(np.int64))
        if len(picture) and not np.isin(picture, seen).all():
            strange = np.setdiff1d(picture, seen)
            raise LedgerError(
                f"ledger: candidates of pictures that were looked at; got picture {strange[0]}, "
                f"which is none of the {len(seen)}. List it."
            )
        if len(category) and not 0 <= category.min() <= category.max() < classes:
            raise LedgerError(
                f"ledger: categories 0 to {classes - 1}; got {category.min()} to {category.max()}. "
                "Use the teacher's vocabulary."
            )
        pairs, at = np.unique(
            picture.astype(np.int64) * classes + category.astype(np.int64), return_inverse=True
        )
        return cls(
            of=of,
            classes=classes,
            pictures=seen,
            picture=pairs // max(classes, 1),
            category=pairs % max(classes, 1),
            certainty=np.bincount(at, weights=certainty, minlength=len(pairs)),
            count=np.bincount(at, minlength=len(pairs)).astype(np.int64),
        )

    def merge(self, other: "Ledger") -> "Ledger":
        """Return the ledger of both; a picture that both saw counts once.

        Raises:
            LedgerError: they are not of the same set, teacher and classes, or saw different
                things in one picture.
        """
        if (self.of, self.classes) != (other.of, other.classes):
            raise LedgerError(
                f"ledger: parts of one labelling merge; got {self.of!r} with {self.classes} "
                f"classes and {other.of!r} with {other.classes}. "
                "Merge those of one teacher and set."
            )
        twice = np.intersect1d(self.pictures, other.pictures)
        mine, its = np.isin(self.picture, twice), np.isin(other.picture, twice)
        if not all(np.array_equal(a[mine], b[its]) for a, b in zip(self._columns, other._columns,
                                                                   strict=True)):  # fmt: skip
            raise LedgerError(
                f"ledger: what is found in a picture is found again; got {len(twice)} pictures in "
                "both parts, with other candidates. Label the set again."
            )
        columns = [np.concatenate([a, b[~its]]) for a, b in zip(self._columns, other._columns,
                                                                strict=True)]  # fmt: skip
        order = np.lexsort((columns[1], columns[0]))
        picture, category, certainty, count = (column[order] for column in columns)
        return Ledger(
            of=self.of,
            classes=self.classes,
            pictures=np.union1d(self.pictures, other.pictures),
            picture=picture,
            category=category,
            certainty=certainty,
            count=count,
        )

    def totals(self) -> Totals:
        """Return the sums over pictures, added in the order of their rows."""
        return Totals(
            certainty=np.bincount(self.category, self.certainty, minlength=self.classes),
            count=np.bincount(self.category, self.count, minlength=self.classes).astype(np.int64),
        )

    @property
    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.picture, self.category, self.certainty, self.count
