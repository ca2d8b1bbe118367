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

from cluster.searchers import (
    SEARCHERS,
    LostError,
    Point,
    Search,
    Status,
    Tried,
    domain,
    rounded,
    scheduler,
    spelled,
)

Report = Callable[[Mapping[str, Any]], None]  # what a trial that goes on says: numbers, words
Trial = Callable[[Point, Report], Mapping[str, float]]  # its last numbers; raises where it fails
QUIET = {  # read by Tune while it runs
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: it raises, and the session closes
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial may be stopped before its last number
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
NOTHING = {"CPU": 0.0, "memory": 1.0}  # Tune refuses a trial that asks for nothing at all
LAST, WHY, LOST = "trial_has_ended", "trial_failed", "trial_lost"  # keys of its last report


def run_trials(
    trial: Trial,
    search: Search,
    *,
    known: Sequence[Tried] = (),
    say: Callable[[Tried], None],
    going: Callable[[Point, Mapping[str, Any]], None],
) -> list[Tried]:
    """Try points until there are as many as asked; return all, the known ones first.

    A session must be open. Each trial occupies no CPU of the cluster: what it starts does.

    Args:
        trial: crosses processes, as a function of a module, or a partial of one.
        search: what is searched.
        known: points of an earlier search that need not be tried again.
        say: told of each point when its trial has ended.
        going: told what a trial says while it goes on.

    Raises:
        SearchError: a package is missing.
    """
    from ray import tune

    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    ended = {spelled(one.point): one for one in known}
    told = _Told(say=say, going=going, known=frozenset(ended))
    searcher, samples = SEARCHERS[search.searcher](search, known)
    space = {n: domain(axis) for n, axis in search.axes.items()}
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
                        scheduler=scheduler(search),
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
    except LostError as error:
        last = {WHY: str(error), LOST: 1}
    except Exception as error:  # its own: the search goes on, and says so
        last = {WHY: str(error) or type(error).__name__}
    tune.report({**last, LAST: 1})


@dataclass(kw_only=True, slots=True)
class _Told:
    """Hands out what has ended, as Tune tells of it."""

    say: Callable[[Tried], None]
    going: Callable[[Point, Mapping[str, Any]], None]
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
            def on_trial_result(
                self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
            ) -> None:
                if LAST not in result:
                    told.going(rounded(trial.config), result)

            def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
                result = trial.last_result or {}
                told.add(trial.config, _status(result), result, why=result.get(WHY, ""))

            def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
                told.add(trial.config, "lost", {}, why=str(trial.get_error()))

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


def _status(result: Mapping[str, Any]) -> Status:
    """Return how a trial ended, by its last report."""
    if LOST in result:
        return "lost"
    if WHY in result:
        return "failed"
    return "done" if LAST in result else "stopped"


def _deaf() -> _Told:
    return _Told(say=lambda _: None, going=lambda *_: None, known=frozenset())
