"""Results that are not whole: they are set aside, and made again or not."""

from collections.abc import Callable, Iterable

from cluster.storage import DamagedError, Store
from pipelines.graph.listing import DamagedListError
from pipelines.graph.lookup import Identified
from pipelines.graph.record import set_aside


def put_aside(
    store: Store, found: Iterable[Identified], *, repair: bool, note: Callable[[str], None]
) -> DamagedError | None:
    """Set damaged results aside; return the error of the first that may not be made again now.

    Args:
        store: where they are.
        found: results of a node, or of the units of a map.
        repair: make all of them again; else only those that a power cut may have torn.
        note: is told of each that is made again.
    """
    first: DamagedError | None = None
    for known in found:
        if known.record is None or not known.damage:
            continue
        error = set_aside(store, known.record, known.damage)
        if repair or known.record.may_be_torn:
            note(str(error))
        else:
            first = first or error
    return first


def aside(store: Store, error: Exception) -> Exception:
    """Return an error as it is told; a damaged list is set aside first."""
    if isinstance(error, DamagedListError):
        return set_aside(store, error.record, [error.found])
    return error
