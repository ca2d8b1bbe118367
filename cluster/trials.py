"""A search over settings under Ray Tune: which point is tried next, how many at once, which stops.

A trial is a function of a point, and knows nothing of Tune; what a point means, Tune does not know.
Whatever ends is handed out at once, so that a search which is killed loses what was being tried
and no more: the next one is told what is known.
"""

import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Point = dict[str, Any]  # setting -> value
Report = Callable[[Mapping[str, float]], None]  # numbers of a trial that goes on
Trial = Callable[[Point, Report], Mapping[str, float]]  # its last numbers; raises where it fails
Status = Literal["done", "failed", "stopped"]
QUIET = {  # read by Tune while it runs
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: it raises, and the session closes
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial may be stopped before its last number
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
DIGITS = 6  # of a number that is drawn: its text is short, and is what is remembered
NOTHING = {"CPU": 0.0, "memory": 1.0}  # Tune refuses a trial that asks for nothing at all
LAST, WHY = "trial_has_ended", "trial_failed"  # keys of a trial's last report


class SearchError(ValueError):
    """A search that cannot be made as asked."""


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
    why: str = ""  # it failed


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


def run_trials(
    trial: Trial,
    search: Search,
    *,
    known: Sequence[Tried] = (),
    say: Callable[[Tried], None],
) -> list[Tried]:
    """Try points until there are as many as asked; return all, the known ones first.

    A session must be open. Each trial occupies no CPU of the cluster: what it starts does.

    Args:
        trial: crosses processes, as a function of a module, or a partial of one.
        search: what is searched.
        known: points of an earlier search that need not be tried again.
        say: told of each point when its trial has ended.

    Raises:
        SearchError: a package is missing.
    """
    from ray import tune

    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    ended = {spelled(one.point): one for one in known}
    told = _Told(say=say, known=frozenset(ended))
    searcher, samples = SEARCHERS[search.searcher](search, known)
    space = {n: _domain(axis) for n, axis in search.axes.items()}
    try:
        with tempfile.TemporaryDirectory(prefix="vocabox-tune-") as scratch:
            if samples:
                tune.Tuner(
                    tune.with_resources(
                        tune.with_parameters(_tried, trial=trial, known=[*ended]), NOTHING
                    ),
                    param_space=space if search.searcher == "random" else None,
                    tune_config=tune.TuneConfig(
                        num_samples=samples,
                        search_alg=searcher,
                        scheduler=_scheduler(search),
                        max_concurrent_trials=search.at_once
                        if search.searcher == "random"
                        else None,
                    ),
                    run_config=tune.RunConfig(
                        name="search", storage_path=scratch, verbose=0, callbacks=[told.callback()]
                    ),
                ).fit()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    return [*known, *told.ended]


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


def best_of(tried: Sequence[Tried], *, metric: str, mode: Literal["min", "max"]) -> Tried | None:
    """Return the best point that was tried to its end, the first of equal ones."""
    ended = [
        t for t in tried if t.status == "done" and math.isfinite(t.metrics.get(metric, math.nan))
    ]
    sign = 1 if mode == "max" else -1
    return max(ended, key=lambda t: sign * t.metrics[metric], default=None)


def _tried(point: Point, *, trial: Trial, known: list[str]) -> None:
    """Run one trial in its own process, and tell Tune of it."""
    from ray import tune

    if spelled(point) in known:
        return  # its numbers are there
    try:
        last = trial(rounded(point), lambda numbers: tune.report(dict(numbers)))
    except Exception as error:  # its own: the search goes on, and says so
        last = {WHY: str(error) or type(error).__name__}
    tune.report({**last, LAST: 1})


@dataclass(kw_only=True, slots=True)
class _Told:
    """Hands out what has ended, as Tune tells of it."""

    say: Callable[[Tried], None]
    known: frozenset[str]
    ended: list[Tried] = field(default_factory=list[Tried])

    def __reduce__(self) -> Any:
        """Cross to the copy of itself that Tune keeps on disk, which nobody reads, as nothing."""
        return _deaf, ()

    def callback(self) -> Any:
        """Return what Tune calls when a trial ends."""
        from ray.tune.progress_reporter import TrialProgressCallback

        told = self

        class Ends(TrialProgressCallback):  # in the place of the one that prints
            def on_trial_result(self, *_: Any, **__: Any) -> None: ...

            def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
                result = trial.last_result or {}
                why = result.get(WHY, "")
                status = "failed" if why else "done" if LAST in result else "stopped"
                told.add(trial.config, status, result, why=why)

            def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
                told.add(trial.config, "failed", {}, why=str(trial.get_error()))

        return Ends()

    def add(self, point: Point, status: Status, result: Mapping[str, Any], why: str = "") -> None:
        """Keep one trial's end and say it, unless it was known."""
        if spelled(point) in self.known:
            return
        numbers = {
            n: float(v) for n, v in result.items() if "/" in n and isinstance(v, int | float)
        }
        lines = [line for line in why.strip().splitlines() if line.strip()]
        one = Tried(
            point=rounded(point), status=status, metrics=numbers, why=lines[-1] if lines else ""
        )
        self.ended.append(one)
        self.say(one)


def _deaf() -> _Told:
    return _Told(say=lambda _: None, known=frozenset())


def _domain(axis: Range | Choice) -> Any:
    from ray import tune

    if isinstance(axis, Choice):
        return tune.choice(list(axis.of))
    return (tune.loguniform if axis.log else tune.uniform)(axis.low, axis.high)


def _scheduler(search: Search) -> Any:
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
            {name: _domain(axis) for name, axis in search.axes.items()}
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
