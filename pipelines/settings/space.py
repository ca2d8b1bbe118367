"""What a search looks through: a page of settings and the values each may take."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import MinLen

from pipelines.settings.problems import Problem, SettingsError, nearest, shown
from pipelines.settings.reading import read

Scalar = bool | int | float | str


@dataclass(frozen=True, kw_only=True, slots=True)
class Between:
    """Any number between two."""

    kind: Literal["between"] = "between"
    low: float
    high: float
    log: bool = False  # as likely in each decade


@dataclass(frozen=True, kw_only=True, slots=True)
class OneOf:
    """One of some values."""

    kind: Literal["one_of"] = "one_of"
    of: Annotated[tuple[Scalar, ...], MinLen(2)]


Axis = Between | OneOf


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """A search: the settings that change, by dotted path, and the metric that decides."""

    metric: str = (
        "val/AP"  # of sources.tune: what is chosen by a test set is no longer tested by it
    )
    mode: Literal["max", "min"] = "max"
    axes: dict[str, Axis]


def read_space(path: Path, *, resolved: Mapping[str, Any], metrics: tuple[str, ...]) -> Space:
    """Return a space, held against the settings of a page.

    Args:
        path: of the space's own page.
        resolved: every setting of the page that is searched, by dotted path.
        metrics: names that a run may have.

    Raises:
        SettingsError: with every problem of the space.
    """
    space, _ = read(path, (), schema=Space)
    if found := [*_problems(space, resolved, metrics)]:
        raise SettingsError(found, file=str(path))
    return space


def _problems(
    space: Space, resolved: Mapping[str, Any], metrics: tuple[str, ...]
) -> Iterator[Problem]:
    if space.metric.partition("@")[0] not in metrics:
        do = nearest(space.metric, metrics, noun="Metrics")
        yield Problem(where="metric", what="no metric of a run", got=shown(space.metric), do=do)
    if not space.axes:
        do = "Add a setting and its values, for example stage2.lr: {kind: between, ...}."
        yield Problem(where="axes", what="nothing to search", got="no setting", do=do)
    for name, axis in space.axes.items():
        where = f"axes.{name}"
        if name not in resolved:
            do = nearest(name, [*resolved], noun="Settings")
            yield Problem(
                where=where, what="no setting of the page that is searched", got=name, do=do
            )
        elif isinstance(axis, Between) and not axis.low < axis.high:
            got = f"{axis.low} to {axis.high}"
            yield Problem(where=where, what="low is below high", got=got, do="Swap them.")
        elif isinstance(axis, Between) and axis.log and axis.low <= 0:
            do = "Raise low, or set log to false."
            yield Problem(where=where, what="log needs numbers above 0", got=str(axis.low), do=do)
        elif not _holds(axis, resolved[name]):
            yield Problem(
                where=where,
                what="holds the page's own value, which is tried first",
                got=shown(resolved[name]),
                do="Widen it, or change the page.",
            )


def _holds(axis: Axis, value: Any) -> bool:
    if isinstance(axis, OneOf):
        return value in axis.of
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and axis.low <= value <= axis.high
