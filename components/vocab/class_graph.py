"""The class graph: which class is a kind of which, and the closure of that as sparse rows.

A class may have several parents (Open Images, WordNet: paper 1, section 3.2), so this is a DAG and
not a tree: who looks at one parent only takes the other for something that is not there.
Shapes: C classes, E pairs of classes, Q pairs asked for.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.vocab.classes import Vocabulary, name_of
from components.vocab.sparse_rows import Rows, as_lists, nearest, of_lists, ranges

VERSION = b"1"
MARK = b"vocabox.hierarchy"  # key of the version in the file's metadata
POSITIONS = pa.list_(pa.int32())
SCHEMA = pa.schema([("id", pa.string()), ("parents", POSITIONS), ("ancestors", POSITIONS)])
DEEPEST = 100  # levels; WordNet's nouns have 19
MOST_PAIRS = 20_000_000  # of the closure; WordNet's nouns have 0.7 million
SHOWN = 6  # names in an error


class HierarchyError(ValueError):
    """Edges that make no hierarchy, or a hierarchy that does not fit the classes asked for."""


class Edge(NamedTuple):
    """One class is a kind of another."""

    child: str
    parent: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassGraph:
    """Classes and the edges between them; an index is a position in `ids`."""

    ids: tuple[str, ...]
    children: Rows  # parent -> child, as given
    ancestors: Rows  # of each class all above it, through any of its parents; never itself
    descendants: Rows  # the transpose

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(
        cls, edges: Iterable[Edge], *, ids: Sequence[str] | None = None, where: str = "hierarchy"
    ) -> "ClassGraph":
        """Return the graph of edges; one that is there twice counts once.

        Args:
            edges: child and parent.
            ids: the classes in their order, also those without an edge; None takes those that the
                edges name, sorted.
            where: what the edges come from, for messages.

        Raises:
            HierarchyError: a class twice, an edge to no class of `ids`, a cycle, too deep or large.
        """
        pairs = list(edges)
        known = tuple(sorted({i for pair in pairs for i in pair})) if ids is None else tuple(ids)
        if twice := [i for i, times in Counter(known).items() if times > 1]:
            raise HierarchyError(
                f"{where}: each class once; got {twice[0]!r} twice and {len(twice)} such ids. "
                "Take the doubles out."
            )
        place = {class_id: i for i, class_id in enumerate(known)}
        if lost := sorted({i for pair in pairs for i in pair if i not in place}):
            raise _lost(lost, known, where)
        ends = np.array([(place[p.parent], place[p.child]) for p in pairs], np.int64).reshape(-1, 2)
        children = Rows.of(ends[:, 0], ends[:, 1], count=len(known))
        parents = children.turned()
        ancestors = _closure(parents, _levels(known, parents, children, where), where)
        return cls(
            ids=known, children=children, ancestors=ancestors, descendants=ancestors.turned()
        )

    def places(self, vocabulary: Vocabulary) -> np.ndarray:
        """Return int64 [len(vocabulary)]: where each class stands in this graph, or -1.

        A class is found by its id, else by its name: `fine:n02084071` is `n02084071` here.

        Raises:
            HierarchyError: two classes of the vocabulary are one class here.
        """
        place = {class_id: i for i, class_id in enumerate(self.ids)}
        found = [place.get(i, place.get(name_of(i), -1)) for i in vocabulary.ids]
        taken: dict[int, str] = {}
        for class_id, at in zip(vocabulary.ids, found, strict=True):
            if at >= 0 and taken.setdefault(at, class_id) != class_id:
                raise HierarchyError(
                    f"hierarchy: two classes of the vocabulary are one class here; got "
                    f"{taken[at]!r} and {class_id!r} for {self.ids[at]!r}. Write both with their "
                    "level in the hierarchy, or give them one id."
                )
        return np.array(found, np.int64)

    def within(self, vocabulary: Vocabulary) -> "ClassGraph":
        """Return the graph of a vocabulary's classes, in its order.

        Who was above whom still is, also where the classes between them are not in the
        vocabulary; edges lead to the nearest that are. A class that is not in this graph has no
        relatives.

        Raises:
            HierarchyError: no class of the vocabulary is in this graph, or two are one class.
        """
        at = self.places(vocabulary)
        there = np.flatnonzero(at >= 0)
        if not len(there):
            raise HierarchyError(
                f"hierarchy: none of the {len(vocabulary)} classes is in it; got "
                f"{_some(vocabulary.ids)} for {_some(self.ids)}. Name classes as it does."
            )
        new = np.full(len(self), -1, np.int64)
        new[at[there]] = there
        owners, above = self.ancestors.gather(at[there])
        kept = new[above] >= 0
        ancestors = Rows.of(there[owners[kept]], new[above[kept]], count=len(vocabulary))
        return ClassGraph(
            ids=vocabulary.ids,
            children=nearest(ancestors).turned(),
            ancestors=ancestors,
            descendants=ancestors.turned(),
        )

    def write(self, path: Path) -> None:
        """Write hierarchy.parquet, a row a class; equal graphs give equal bytes."""
        parents = self.children.turned()
        columns = [pa.array(self.ids, pa.string()), as_lists(parents), as_lists(self.ancestors)]
        table = pa.Table.from_arrays(columns, schema=SCHEMA)
        with pq.ParquetWriter(
            path, SCHEMA, compression="zstd", use_dictionary=False, store_schema=False
        ) as file:
            file.write_table(table)
            file.add_key_value_metadata({MARK: VERSION})

    @classmethod
    def read(cls, path: Path) -> "ClassGraph":
        """Read hierarchy.parquet: the closure as it was made, nothing is computed anew.

        Raises:
            HierarchyError: it is none, or of a newer vocabox.
        """
        do = "Make it with the node taxonomy."
        try:
            version = (pq.read_metadata(path).metadata or {}).get(MARK, b"none")
            if version != VERSION:
                raise HierarchyError(
                    f"{path}: a hierarchy of version {VERSION.decode()} is read here; got version "
                    f"{version.decode(errors='replace')[:20]}. {do}"
                )
            table = pq.read_table(path, schema=SCHEMA)
        except (OSError, pa.ArrowException) as error:
            raise HierarchyError(f"{path}: no hierarchy; got {error}. {do}") from error
        ids = tuple(table["id"].to_pylist())
        parents, ancestors = (of_lists(table[name]) for name in ("parents", "ancestors"))
        for rows in (parents, ancestors):
            inside = (rows.columns >= 0) & (rows.columns < len(ids)) & (rows.columns != rows.owners)
            if len(set(ids)) < len(ids) or not inside.all():
                raise HierarchyError(f"{path}: damaged; got rows that cannot be. {do}")
        return cls(
            ids=ids,
            children=parents.turned(),
            ancestors=ancestors,
            descendants=ancestors.turned(),
        )


def _levels(ids: Sequence[str], parents: Rows, children: Rows, where: str) -> list[np.ndarray]:
    """Return the classes by the longest way from above; a class comes after all its parents."""
    waits = parents.counts
    level = np.flatnonzero(waits == 0)
    levels: list[np.ndarray] = []
    while len(level):
        levels.append(level)
        if len(levels) > DEEPEST:
            raise HierarchyError(
                f"{where}: at most {DEEPEST} levels; got {ids[int(level[0])]!r} below them. "
                "Flatten it."
            )
        below, times = np.unique(children.gather(level)[1], return_counts=True)
        waits[below] -= times
        level = below[waits[below] == 0]
    if (waits > 0).any():
        raise _cycle(ids, parents, waits > 0, where)
    return levels


def _cycle(ids: Sequence[str], parents: Rows, left: np.ndarray, where: str) -> HierarchyError:
    """Return the error that names a cycle; each class that is left has a parent that is left."""
    at = int(np.flatnonzero(left)[0])
    path: dict[int, int] = {}  # class -> how far from where it began
    while at not in path:
        path[at] = len(path)
        above = parents.row(at)
        at = int(above[left[above]][0])
    ring = [*path][path[at] :]
    names = [repr(ids[i]) for i in ring[:SHOWN]]
    more = [f"... {len(ring) - SHOWN} more"] if len(ring) > SHOWN else []
    told = " is a ".join([*names, *more, repr(ids[ring[0]])])
    return HierarchyError(f"{where}: a cycle; got {told}. Take one of these edges out.")


def _closure(parents: Rows, levels: list[np.ndarray], where: str) -> Rows:
    """Return all that is above each class: its parents and what is above them, level by level."""
    count = len(parents)
    starts, sizes = np.zeros(count, np.int64), np.zeros(count, np.int64)
    flat = np.zeros(0, np.int64)  # rows in the order in which they are made
    for level in levels[1:]:
        owners, above = parents.gather(level)
        if len(flat) + len(above) + int(sizes[above].sum()) > MOST_PAIRS:
            raise HierarchyError(
                f"{where}: too large; got more than {MOST_PAIRS:,} pairs of a class and one above "
                "it. Take out classes that are not asked for."
            )
        far = flat[ranges(starts[above], sizes[above])]
        keys = np.concatenate([owners * count + above,
                               np.repeat(owners, sizes[above]) * count + far])  # fmt: skip
        keys = np.unique(keys)
        made = np.bincount(keys // count, minlength=len(level))
        starts[level] = len(flat) + np.cumsum(made) - made
        sizes[level] = made
        flat = np.concatenate([flat, keys % count])
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return Rows(starts=ends, columns=flat[ranges(starts, sizes)])


def _lost(lost: list[str], known: Sequence[str], where: str) -> HierarchyError:
    near = difflib.get_close_matches(lost[0], known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are {len(known)} classes."
    return HierarchyError(f"{where}: an edge to no class; got {_some(lost)}. {hint}")


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(map(repr, ids[:3])) + more
