"""A gang of Ray actors in one placement group. Imported when a pool starts, never before.

The caller is a task that holds no CPU. The group's place is named, so that a second attempt in the
same session frees what a killed first one left.
"""

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any, final

import ray
from ray.exceptions import RayError
from ray.util.placement_group import (
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.actors import Heard, Job, Pool, Shard
from cluster.failures import Failure, failure_of
from cluster.ray_faults import GroupError, fault_of
from cluster.rendezvous import pinned
from cluster.workers import Report

LOOK_S = 5.0  # between two looks at the place while nothing is heard
ANSWERS_S = 5.0  # for what a dead actor had answered to come in


class _Actor:
    """One process of the pool. It never raises: what went wrong is an answer."""

    def begin(self, job: Job) -> tuple[str, Any]:
        """Load what the function needs, once."""
        self._job = job
        self._pinned = contextlib.ExitStack()
        self._pinned.enter_context(pinned(job.threads))
        try:
            self._held = job.begin()
        except Exception as error:
            return "raised", failure_of(error, where=job.where)
        return "ready", os.getpid()

    def work(self, value: Any) -> tuple[str, Any]:
        """Do one shard."""
        try:
            return "value", self._job.fn(self._held, value)
        except Exception as error:
            return "raised", failure_of(error, where=self._job.where)


@final
class RayCrew:
    """Actors of Ray, all placed before the first begins; none is restarted by Ray."""

    def __init__(self, job: Job, pool: Pool, *, say: Report) -> None:
        self._job, self._pool, self._name = job, pool, job.where
        self._actors: dict[int, Any] = {}
        self._refs: dict[Any, tuple[int, str]] = {}  # answer awaited -> actor and shard
        self._class: Any = ray.remote(max_restarts=0, max_task_retries=0)(_Actor)
        self._missed: float | None = None  # since when the place is gone
        self._looked = time.monotonic()
        with contextlib.suppress(ValueError):
            remove_placement_group(get_placement_group(_title(self._name)))
        bundle = {"CPU": pool.cpus, "GPU": pool.gpus, "memory": float(pool.memory)}
        self._bundle = {what: count for what, count in bundle.items() if count}
        self._place = placement_group([self._bundle] * pool.actors, name=_title(self._name))
        try:
            self._wait(say)
        except BaseException:
            self.close()
            raise

    def _wait(self, say: Report) -> None:
        until = time.monotonic() + self._pool.room_s
        while not self._place.wait(min(1.0, max(0.05, self._pool.room_s))):
            if time.monotonic() >= until:
                raise GroupError(self._no_room())
            say(0, 1, "waits for room")

    def _no_room(self) -> Failure:
        wanted = f"{self._pool.actors} actors of {_words(self._bundle)} each"
        free, total = ray.available_resources(), ray.cluster_resources()
        text = (
            f"{self._name}: no place for {wanted} within {self._pool.room_s:g} s; got "
            f"{_words(free, like=self._bundle)} free of {_words(total, like=self._bundle)}. "
            "Lower workers or what each takes, or use a larger cluster."
        )
        return Failure("no_room", self._name, text)

    def start(self, actor: int) -> None:
        """Make an actor in its own part of the place."""
        strategy = PlacementGroupSchedulingStrategy(
            self._place,
            placement_group_bundle_index=actor,
            placement_group_capture_child_tasks=False,
        )
        made = self._class.options(
            num_cpus=self._pool.cpus,
            num_gpus=self._pool.gpus,
            memory=self._pool.memory or None,
            scheduling_strategy=strategy,
        ).remote()
        self._actors[actor] = made
        self._refs[made.begin.remote(self._job)] = actor, ""

    def give(self, actor: int, shard: Shard) -> None:
        """Send a shard; the actor works in the order it was sent."""
        self._refs[self._actors[actor].work.remote(shard.value)] = actor, shard.name

    def hear(self, timeout: float) -> list[Heard]:
        """Read what is ready; a dead actor is heard of once, after all it still answered."""
        refs = list(self._refs)
        ready, _ = ray.wait(refs, num_returns=1, timeout=timeout)
        if ready:
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
            self._looked, self._missed = time.monotonic(), None
        elif time.monotonic() - self._looked > LOOK_S:
            self._look()
        found: list[Heard] = []
        for ref in ready:
            if ref in self._refs:
                found += self._read(ref)
        return sorted(found, key=lambda heard: heard.kind == "gone")

    def _read(self, ref: Any) -> list[Heard]:
        actor, shard = self._refs.pop(ref)
        try:
            kind, value = ray.get(ref)
        except Exception as error:
            failure = fault_of(error, where=f"{self._name} actor {actor}")
            return [*self._last_words(actor), Heard(kind="gone", actor=actor, failure=failure)]
        if kind == "raised":
            return [Heard(kind="raised", actor=actor, shard=shard, failure=value)]
        return [Heard(kind=kind, actor=actor, shard=shard, value=value)]

    def _last_words(self, actor: int) -> list[Heard]:
        """Take what a dead actor answered before it died, and forget the rest of its shards."""
        ray.kill(self._actors.pop(actor))  # where only an answer was lost with its machine
        found: list[Heard] = []
        for ref in [ref for ref, (number, _) in self._refs.items() if number == actor]:
            _, shard = self._refs.pop(ref)
            with contextlib.suppress(Exception):  # it is given to another actor
                kind, value = ray.get(ref, timeout=ANSWERS_S)
                if kind == "raised":
                    found.append(Heard(kind="raised", actor=actor, shard=shard, failure=value))
                else:
                    found.append(Heard(kind=kind, actor=actor, shard=shard, value=value))
        return found

    def _look(self) -> None:
        """Give up when a machine is gone and there is no room for its actors elsewhere."""
        self._looked = time.monotonic()
        if placement_group_table(self._place)["state"] == "CREATED":
            self._missed = None
            return
        self._missed = self._missed or self._looked
        if self._looked - self._missed > self._pool.room_s:
            raise GroupError(self._no_room())

    def close(self) -> None:
        """Kill all actors and give the place back."""
        for actor in self._actors.values():
            with contextlib.suppress(RayError):
                ray.kill(actor)
        self._actors.clear()
        self._refs.clear()
        with contextlib.suppress(RayError):
            remove_placement_group(self._place)


def _title(name: str) -> str:
    return f"pool {name}"


def _words(resources: Mapping[str, float], *, like: Mapping[str, float] | None = None) -> str:
    said = [
        f"{resources.get(what, 0.0) / 2**30:.1f} GiB"
        if what == "memory"
        else f"{resources.get(what, 0.0):g} {what}s"
        for what in like or resources
    ]
    return ", ".join(said)
