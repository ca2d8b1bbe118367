"""Sparse yes-or-no matrices of classes x classes as rows of positions: all of WordNet in megabytes.

Shapes: C classes, E pairs that are yes, Q pairs asked for.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

CHUNK = 1_000_000  # pairs looked at together


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rows:
    """For each of C classes an ascending list of classes, all in one array."""

    starts: np.ndarray  # int64 [C + 1] row i is columns[starts[i] : starts[i + 1]]
    columns: np.ndarray  # int64 [E]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> np.ndarray:
        """Return int64 [C]: how long each row is."""
        return np.diff(self.starts)

    @property
    def owners(self) -> np.ndarray:
        """Return int64 [E]: the row that each column stands in."""
        return np.repeat(np.arange(len(self)), self.counts)

    def row(self, i: int) -> np.ndarray:
        """Return int64: the classes of row i, ascending."""
        return self.columns[self.starts[i] : self.starts[i + 1]]

    @classmethod
    def of(cls, owners: np.ndarray, columns: np.ndarray, *, count: int) -> "Rows":
        """Return `count` rows of pairs in any order; one that is there twice counts once."""
        keys = np.unique(owners.astype(np.int64) * count + columns)
        starts = np.searchsorted(keys, np.arange(count + 1) * count)
        return cls(starts=starts.astype(np.int64), columns=keys % max(count, 1))

    def turned(self) -> "Rows":
        """Return the transpose: what owns, owned."""
        return Rows.of(self.columns, self.owners, count=len(self))

    def gather(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return int64 [Q] places in `at`, and int64 [Q] the columns of the rows asked for."""
        sizes = self.counts[at]
        return np.repeat(np.arange(len(at)), sizes), self.columns[ranges(self.starts[at], sizes)]


def ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return starts[0], starts[0] + 1 ... of so many numbers each, one after another."""
    before = np.cumsum(sizes) - sizes
    return np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))


def nearest(ancestors: Rows) -> Rows:
    """Return the pairs of a closure with no class between them."""
    count, owners = len(ancestors), ancestors.owners
    keys = owners * count + ancestors.columns  # ascending
    near = np.ones(len(keys), bool)
    for first in range(0, len(keys), CHUNK):
        places, far = ancestors.gather(ancestors.columns[first : first + CHUNK])
        near[np.searchsorted(keys, owners[first + places] * count + far)] = False
    return Rows.of(owners[near], ancestors.columns[near], count=count)


def as_lists(rows: Rows) -> pa.ListArray:
    """Return rows as a column of Parquet."""
    return pa.ListArray.from_arrays(
        pa.array(rows.starts, pa.int32()), pa.array(rows.columns, pa.int32())
    )


def of_lists(column: pa.ChunkedArray) -> Rows:
    """Return a column of Parquet as rows."""
    lists = column.combine_chunks()
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lists.value_lengths().to_numpy())])
    return Rows(starts=starts.astype(np.int64), columns=lists.flatten().to_numpy().astype(np.int64))
