"""One page run for a claim, and what a claim shows: rows of figures, and which lines hold."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev

from cluster.storage import open_store
from pipelines.graph.cuts import Cuts
from pipelines.graph.record import read_record
from pipelines.runs.drive import Finished, drive
from pipelines.runs.loading import load

Metrics = dict[str, float]
QUIET = ("tracking.kind=none", "evaluate.pictures=0")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found."""

    rows: dict[str, list[Metrics]]  # arm -> a seed each
    claims: list[tuple[str, bool]]  # with its figures, and whether it holds
    shown: tuple[str, ...]  # metrics that are printed


def run_page(page: Path, overrides: Sequence[str], *, store: Path) -> Metrics:
    """Run a page in a store of the claim's own; return its metrics.

    Raises:
        RuntimeError: it did not end well.
    """
    metrics = _run(page, overrides, store=store).metrics
    return {name: value for name, value in metrics.items() if value is not None}


def artifact_of(page: Path, overrides: Sequence[str], *, node: str, store: Path) -> Path:
    """Run a page up to a node; return the folder of what that made."""
    ended = _run(page, overrides, store=store, until=(node,))
    opened = open_store(str(store), mode="read")
    record = read_record(opened, ended.nodes[node]["key"])
    assert record is not None, f"{node} is not there"
    return record.place(opened)


def more(rows: dict[str, list[Metrics]], metric: str, name: str, other: str) -> list[float]:
    """Return how much more of a metric one arm has than another, a seed each."""
    return [a[metric] - b[metric] for a, b in zip(rows[name], rows[other], strict=True)]


def each(values: Iterable[float]) -> str:
    """Return figures of the seeds as text."""
    return ", ".join(f"{value:+.3f}" if abs(value) < 1 else f"{value:.1f}" for value in values)


def not_separated(
    rows: dict[str, list[Metrics]], metric: str, names: Sequence[str]
) -> Iterator[tuple[str, bool]]:
    """Say which arms next to one another, best first, differ by less than that varies.

    Told, not claimed: the second of each pair is always true.
    """
    order = sorted(names, key=lambda name: -mean(got[metric] for got in rows[name]))
    for name, other in pairwise(order):
        apart = more(rows, metric, name, other)
        spread = stdev(apart) if len(apart) > 1 else 0.0
        if mean(apart) <= spread:
            yield f"not separated: {name} and {other} ({mean(apart):.3f} +- {spread:.3f})", True


def _run(
    page: Path, overrides: Sequence[str], *, store: Path, until: tuple[str, ...] = ()
) -> Finished:
    ended = drive(
        load(page, [*overrides, *QUIET]), store=str(store), emit=lambda event: None,
        cuts=Cuts(until=until), executor="inline",
    )  # fmt: skip
    if ended.status != "done":
        raise RuntimeError(f"{page} {overrides}: {ended.reason}")
    return ended
