"""Where a search goes next: axes and points, and a row of SEARCHERS for each way to choose them.

Ray Tune and Optuna draw; nothing here runs a trial.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Point = dict[str, Any]  # setting -> value
Status = Literal["done", "failed", "stopped", "lost"]
DIGITS = 6  # of a number that is drawn: its text is short, and is what is remembered


class SearchError(ValueError):
    """A search that cannot be made as asked."""


class LostError(RuntimeError):
    """A trial that was not carried out, which says nothing of its point."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Any number between two."""

    low: float
    high: float
    log: bool = False  # as likely in each decade


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of some values."""

    of: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A point that was tried, and how that ended."""

    point: Point
    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    why: str = ""  # it failed, or was lost: then it may be tried again


@dataclass(frozen=True, kw_only=True, slots=True)
class Asha:
    """When a trial that goes on is stopped: the worse two thirds at each rung."""

    metric: str  # of its reports
    mode: Literal["min", "max"]
    time: str  # a number of its reports that grows
    longest: int  # of that number


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What is searched, and how."""

    axes: Mapping[str, Range | Choice]
    trials: int  # points in all, those known included
    metric: str
    mode: Literal["min", "max"]
    first: tuple[Point, ...] = ()  # tried before others
    at_once: int = 1
    seed: int = 0
    searcher: Literal["random", "optuna"] = "random"
    stop_early: Asha | None = None


def spelled(point: Mapping[str, Any]) -> str:
    """Return a point as text: equal ones have equal text, numbers rounded to DIGITS."""
    return " ".join(f"{name}={spelled_value(value)}" for name, value in sorted(point.items()))


def spelled_value(value: Any) -> str:
    """Return a value as one writes it on a page."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        text = f"{value:.{DIGITS}g}"
        return text if any(mark in text for mark in ".en") else f"{text}.0"
    return str(value)


def rounded(point: Mapping[str, Any]) -> Point:
    """Return a point with its numbers as they are spelled."""
    return {n: float(spelled_value(v)) if isinstance(v, float) else v for n, v in point.items()}


def domain(axis: Range | Choice) -> Any:
    """Return an axis as Tune draws from it."""
    from ray import tune

    if isinstance(axis, Choice):
        return tune.choice(list(axis.of))
    return (tune.loguniform if axis.log else tune.uniform)(axis.low, axis.high)


def scheduler(search: Search) -> Any:
    """Return what decides whether a trial goes on."""
    from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

    if search.stop_early is None:
        return FIFOScheduler()
    early = search.stop_early
    return AsyncHyperBandScheduler(
        time_attr=early.time, metric=early.metric, mode=early.mode, max_t=early.longest + 1,
        grace_period=max(1, early.longest // 9), reduction_factor=3,
    )  # fmt: skip


def _random(search: Search, known: Sequence[Tried]) -> tuple[Any, int]:
    """Draw all points anew: those of equal seeds are equal, and what is known costs nothing."""
    from ray.tune.search import BasicVariantGenerator

    del known
    return BasicVariantGenerator(
        points_to_evaluate=[dict(p) for p in search.first], random_state=search.seed,
        max_concurrent=search.at_once,
    ), search.trials  # fmt: skip


def _optuna(search: Search, known: Sequence[Tried]) -> tuple[Any, int]:
    """Tell Optuna what is known, and draw the rest; from another seed, else it drew the same."""
    try:
        import optuna
        from ray.tune.search import ConcurrencyLimiter
        from ray.tune.search.optuna import OptunaSearch
    except ImportError as error:
        raise SearchError(
            "--searcher: optuna is not installed; got random only. "
            "Run `pip install 'vocabox[search]'`."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seen = {spelled(one.point) for one in known}

    class Ends(OptunaSearch):  # pyright: ignore[reportUntypedBaseClass]
        """Told of ends only: a trial's other numbers are not those that are searched for."""

        def on_trial_result(self, trial_id: str, result: Any) -> None:
            """Hear nothing."""

    drawn = Ends(
        space=OptunaSearch.convert_search_space(
            {name: domain(axis) for name, axis in search.axes.items()}
        ),
        metric=search.metric, mode=search.mode, seed=search.seed + len(known),
        points_to_evaluate=[dict(p) for p in search.first if spelled(p) not in seen],
    )  # fmt: skip
    for one in known:
        if one.status == "done" and math.isfinite(one.metrics.get(search.metric, math.nan)):
            drawn.add_evaluated_point(dict(one.point), one.metrics[search.metric])
    limited = ConcurrencyLimiter(drawn, max_concurrent=search.at_once)
    return limited, max(0, search.trials - len(known))


SEARCHERS: dict[str, Callable[[Search, Sequence[Tried]], tuple[Any, int]]] = {
    "random": _random,
    "optuna": _optuna,
}
