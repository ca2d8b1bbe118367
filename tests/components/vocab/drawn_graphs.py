"""Random DAGs for tests, and the closure of one as the definition says it, by Python sets."""

from collections.abc import Iterable

from hypothesis import strategies as st

from components.vocab.class_graph import Edge

NAMES = tuple("abcdefghij")


@st.composite
def dags(draw: st.DrawFn, most: int = 9) -> tuple[tuple[str, ...], list[Edge]]:
    """Draw ids in any order, and edges that only lead from a later to an earlier name."""
    names = draw(st.permutations(NAMES[: draw(st.integers(1, most))]))
    pairs = [(c, p) for i, c in enumerate(names) for p in names[:i]]
    kept = draw(st.lists(st.sampled_from(pairs), max_size=2 * most)) if pairs else []
    return tuple(sorted(names)), [Edge(*pair) for pair in kept]


def above(name: str, edges: Iterable[tuple[str, str]]) -> set[str]:
    """Return all that is above a class: each parent, and all above it."""
    found: set[str] = set()
    for child, parent in edges:
        if child == name:
            found |= {parent} | above(parent, edges)
    return found
