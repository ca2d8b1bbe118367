"""A search over settings: trials begun, told of, kept, and the best one written as a page.

STORE/searches/<id>/ holds what was asked, a record of each trial that ended, their logs, and the
events that tracking is sent. The same search goes on where it stood.
"""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml

from cluster.failures import EXIT
from cluster.journal import Events
from cluster.lease import take as own
from cluster.mlflow_names import token_of
from cluster.numbered import Numbered
from cluster.searchers import (
    Asha,
    Choice,
    Point,
    Range,
    Search,
    Tried,
    spelled,
    spelled_value,
)
from cluster.session import open_session, reach
from cluster.storage import Store, open_store
from cluster.track import Sender, start_sender
from cluster.trials import best_of, run_trials
from pipelines.graph.key import canonical, sha256
from pipelines.recipes.table import RECIPES
from pipelines.runs.directory import write_whole
from pipelines.runs.loading import Loaded
from pipelines.runs.spelled import changed
from pipelines.runs.tracked import tracked
from pipelines.runs.trial import SEARCHES, TrialJob, run_trial
from pipelines.settings.overrides import apply
from pipelines.settings.space import Axis, Between, Space
from pipelines.settings.yaml_door import load_yaml

Say = Callable[[Mapping[str, Any]], None]
TTL_S = 30.0  # of silence before a search may be taken over


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """How a space is searched."""

    trials: int = 8
    concurrent: int = 1
    searcher: Literal["random", "optuna"] = "random"
    scheduler: Literal["none", "asha"] = "none"
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """How a search ended."""

    search: str
    tried: tuple[Tried, ...]
    best: Tried | None
    default: Tried | None  # the page as it is
    page: Path | None  # the best settings, as a config


def search_runs(
    loaded: Loaded,
    space: Space,
    asked: Asked,
    *,
    store: str,
    out: Path,
    address: str = "local",
    insecure: bool = False,
    say: Say,
) -> Searched:
    """Try points of a space, each as a run of the page; write the best as a page at `out`.

    The page's own settings are the first point. What earlier calls of the same search found is
    not tried again, whatever number of trials they were asked for.

    Raises:
        OwnedError: another process works on this search.
        StoreError, StorageError: the store cannot be used.
        AddressError, ClusterError, SessionError: Ray cannot be had.
        SearchError: a package is missing.
    """
    if address != "local":
        reach(address, insecure=insecure)
    place = open_store(store)
    search = _id(loaded, space, asked)
    folder = place.home / SEARCHES / search
    with own(place, f"{SEARCHES}/{search}", ttl_s=TTL_S, say=lambda text: say(_note(text))):
        kept = Numbered(place, f"{SEARCHES}/{search}/ended")
        known = [_tried(record) for record in kept.since(1)]
        events = Events(folder / "events.jsonl")
        token, sender = _begin(loaded, space, asked, search=search, events=events, store=place)
        say(_note(f"{search}: {asked.trials} trials of {len(space.axes)} settings by "
                  f"{space.metric}; {len(known)} are known."))  # fmt: skip
        job = TrialJob(
            search=search, token=token, trains=_trains(loaded), settings=loaded.overrides,
            config=str(loaded.file.resolve()), root=str(loaded.root), store=place.uri,
            address=address, insecure=insecure, folder=os.getcwd(),
        )  # fmt: skip
        tried = list(known)

        def ended(one: Tried) -> None:
            if one.status != "lost":
                kept.create(len(tried) + 1, asdict(one))
                tried.append(one)
            for event in _events_of(one, len(tried), space, search=search):
                events.append(event)
                say(event)

        if len(known) < asked.trials:
            with _preempted(), open_session(address, insecure=insecure) as session:
                job = replace(job, address=_inside(session.address))
                run_trials(
                    partial(run_trial, job=job), _search(loaded, space, asked), known=known,
                    say=ended, going=lambda point, said: say(_going(point, said)),
                )  # fmt: skip
        return _close(
            loaded, space, tried, search=search, out=out, events=events, sender=sender, say=say
        )


@contextlib.contextmanager
def _preempted() -> Generator[None]:
    """Let SIGTERM and SIGHUP end the search as Ctrl-C does, with the code of a preempted run."""

    def end(*_: Any) -> None:
        raise SystemExit(EXIT["preempted"])

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _close(
    loaded: Loaded,
    space: Space,
    tried: list[Tried],
    *,
    search: str,
    out: Path,
    events: Events,
    sender: Sender | None,
    say: Say,
) -> Searched:
    best = best_of(tried, metric=space.metric, mode=space.mode)
    default = spelled(_default(loaded, space))
    first = next((one for one in tried if spelled(one.point) == default), None)
    if best is not None:
        write_whole(out, best_page(loaded, best, space, of=len(tried)))
    status = "failed" if best is None else "done"
    metrics = {} if best is None else dict(best.metrics)
    events.append({"event": "finished", "status": status, "run": search, "metrics": metrics})
    if sender is not None and (left := sender.close()):
        say(_note(sender.fault or f"tracking: {left} events are not sent."))
    return Searched(
        search=search, tried=tuple(tried), best=best, default=first,
        page=None if best is None else out,
    )  # fmt: skip


def best_page(loaded: Loaded, best: Tried, space: Space, *, of: int) -> str:
    """Return the text of a page with the best settings in the place of its own."""
    settings = loaded.overrides
    for name, value in best.point.items():
        settings = changed(settings, f"{name}={spelled_value(value)}")
    page, _ = apply(load_yaml(loaded.file), settings)
    head = [
        f"# {loaded.file.name} with the best of {of} trials: {space.metric} "
        f"{best.metrics[space.metric]:.4f}.",
        *(f"# {name}: {spelled_value(value)}" for name, value in sorted(best.point.items())),
    ]
    body = yaml.safe_dump(page.values, sort_keys=False, allow_unicode=True)
    return "\n".join([*head, body])


def _id(loaded: Loaded, space: Space, asked: Asked) -> str:
    """Name a search: the same page, space, searcher, scheduler and seed are the same search."""
    facts = {
        "page": loaded.digest, "metric": space.metric, "mode": space.mode,
        "axes": {name: asdict(axis) for name, axis in space.axes.items()},
        "by": [asked.searcher, asked.scheduler, asked.seed],
    }  # fmt: skip
    return f"{loaded.recipe}-{sha256(canonical(facts))[:8]}"


def _search(loaded: Loaded, space: Space, asked: Asked) -> Search:
    early = None
    if asked.scheduler == "asha":
        longest = int(loaded.resolved[f"{_trains(loaded)}.steps"])
        early = Asha(metric="train/loss", mode="min", time="step", longest=longest)
    return Search(
        axes={name: _range(axis) for name, axis in space.axes.items()},
        trials=asked.trials,
        metric=space.metric,
        mode=space.mode,
        first=(_default(loaded, space),),
        at_once=asked.concurrent,
        seed=asked.seed,
        searcher=asked.searcher,
        stop_early=early,
    )


def _range(axis: Axis) -> Range | Choice:
    if isinstance(axis, Between):
        return Range(low=axis.low, high=axis.high, log=axis.log)
    return Choice(of=axis.of)


def _default(loaded: Loaded, space: Space) -> Point:
    """Return the page's own point."""
    return {
        name: float(loaded.resolved[name]) if isinstance(axis, Between) else loaded.resolved[name]
        for name, axis in space.axes.items()
    }


def _inside(address: str) -> str:
    """Return the address by which a process of this machine joins the session that is open."""
    if address not in ("local", "auto"):
        return address
    import ray

    return str(ray.get_runtime_context().gcs_address)


def _tried(record: Mapping[str, Any]) -> Tried:
    return Tried(**{name: record[name] for name in ("point", "status", "metrics", "why")})


def _begin(
    loaded: Loaded, space: Space, asked: Asked, *, search: str, events: Events, store: Store
) -> tuple[str, Sender | None]:
    """Say to tracking that the search begins or goes on; return its token."""
    if not events.path.is_file():
        axes = {f"axes.{name}": json.dumps(asdict(axis)) for name, axis in space.axes.items()}
        events.append({
            "event": "run", "kind": "search", "run": search, "pipeline": loaded.recipe,
            "backbone": loaded.cfg.backbone.kind, "config_text": loaded.text,
            "digest": loaded.digest,
            "config": {**axes, **{f"search.{n}": v for n, v in asdict(asked).items()}},
        })  # fmt: skip
    first = json.loads(events.path.read_text("utf-8").partition("\n")[0])
    where = tracked(loaded, store=store.home)
    sender = (
        None if where is None else start_sender(events.path.parent, where.uri, where.experiment)
    )
    return token_of(first), sender


def _events_of(one: Tried, number: int, space: Space, *, search: str) -> Iterator[dict[str, Any]]:
    point = {name: spelled_value(value) for name, value in one.point.items()}
    yield {
        "event": "trial", "search": search, "number": number, "status": one.status,
        "point": point, "why": one.why, space.metric: one.metrics.get(space.metric),
    }  # fmt: skip
    if one.status == "done" and space.metric in one.metrics:
        values = {space.metric: one.metrics[space.metric]}
        yield {"event": "metrics", "step": number, "values": values}


def _trains(loaded: Loaded) -> str:
    return RECIPES[loaded.recipe].trains


def _going(point: Point, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trial that goes on says: the node it runs, or its step."""
    return {"event": "progress", "point": spelled(point), "node": said.get("node"),
            "step": said.get("step"), "loss": said.get("train/loss")}  # fmt: skip


def _note(text: str) -> dict[str, Any]:
    return {"event": "note", "text": text}
