"""A search under a real Tune: the points, what is known of an earlier search, and what stops."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from cluster.searchers import (
    Asha,
    Choice,
    Point,
    Range,
    Search,
    Tried,
    spelled,
)
from cluster.session import open_session
from cluster.trials import Report, best_of, run_trials

AXES = {
    "a": Range(low=0.0, high=1.0),
    "b": Range(low=1e-3, high=1e3, log=True),
    "c": Choice(of=(1, 2)),
}
DEFAULT: Point = {"a": 0.5, "b": 1.0, "c": 2}


def still(point: Point, said: Mapping[str, object]) -> None:
    """Hear what a trial says while it goes on."""


def trial(point: Point, report: Report, *, note: Path) -> Mapping[str, float]:
    """Score a point; fail for some; leave a file for each time it is tried."""
    del report
    (note / f"{spelled(point)} {len(list(note.iterdir()))}".replace("/", "_")).touch()
    if point["c"] == 1 and point["a"] > 0.8:
        raise ValueError("c of 1 does not go with such an a. Take another.")
    return {"val/AP": 1 - (point["a"] - 0.3) ** 2, "val/AP50": 0.5}


def steps(point: Point, report: Report) -> Mapping[str, float]:
    for step in range(1, 10):
        report({"step": step, "train/loss": point["a"]})
    return {"val/AP": 1 - point["a"]}


def search(trials: int, searcher: Literal["random", "optuna"]) -> Search:
    return Search(
        axes=AXES, trials=trials, metric="val/AP", mode="max", first=(DEFAULT,), at_once=2,
        searcher=searcher,
    )  # fmt: skip


@pytest.mark.ray
def test_searches(tmp_path: Path) -> None:
    with open_session("local", cpus=2):
        for searcher in ("random", "optuna"):
            note = tmp_path / searcher
            note.mkdir()
            told: list[Tried] = []
            tried = run_trials(
                partial(trial, note=note), search(4, searcher), say=told.append, going=still
            )
            assert len(tried) == len(told) == len(list(note.iterdir())) == 4
            points = {spelled(one.point) for one in tried}
            assert spelled(DEFAULT) in points
            assert len(points) == 4
            for one in tried:
                fails = one.point["c"] == 1 and one.point["a"] > 0.8
                assert one.status == ("failed" if fails else "done")
                assert ("does not go with such an a" in one.why) == fails
                assert 1e-3 <= one.point["b"] <= 1e3
            known = tried[:3]  # a search that was killed, and is asked for one more point
            again = run_trials(partial(trial, note=note), search(5, searcher), known=known,
                               say=told.append, going=still)  # fmt: skip
            assert again[:3] == known
            assert len({spelled(one.point) for one in again}) == 5
            assert len(list(note.iterdir())) == 4 + 2  # nothing known was tried again
            if searcher == "random":
                assert points < {spelled(one.point) for one in again}
            best = best_of(again, metric="val/AP", mode="max")
            assert best is not None
            assert best.metrics["val/AP"] == max(o.metrics.get("val/AP", -1) for o in again)
        early = Asha(metric="train/loss", mode="min", time="step", longest=9)
        asked = Search(
            axes={"a": Range(low=0.0, high=1.0)}, trials=2, first=({"a": 0.1}, {"a": 0.6}),
            metric="val/AP", mode="max", stop_early=early,
        )  # fmt: skip
        heard: list[object] = []
        tried = run_trials(
            steps,
            asked,
            say=lambda _: None,
            going=lambda p, said: heard.append((p["a"], said["step"])),
        )
        assert heard[:9] == [(0.1, step) for step in range(1, 10)]
        assert [(one.point["a"], one.status) for one in tried] == [(0.1, "done"), (0.6, "stopped")]


def test_the_best_is_one_that_ended_well() -> None:
    def of(status: Literal["done", "failed", "stopped"], value: float) -> Tried:
        return Tried(point={"a": value}, status=status, metrics={"val/AP": value})

    tried = [of("failed", 0.9), of("done", 0.5), of("stopped", 0.8), of("done", math.nan)]
    for mode in ("max", "min"):
        best = best_of(tried, metric="val/AP", mode=mode)
        assert best is tried[1]
    assert best_of(tried[:1], metric="val/AP", mode="max") is None


def test_points_are_spelled_alike() -> None:
    assert spelled({"b": 0.1 + 0.2, "a": None, "c": True}) == "a=null b=0.3 c=true"
    assert spelled({"a": 2.0, "b": 1e-7, "c": 3}) == "a=2.0 b=1e-07 c=3"
