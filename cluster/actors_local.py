"""Actors without Ray: in this process, or as child processes of it. For debugging and for tests.

A child that dies is heard of as one that is gone, as with Ray.
"""

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, cast, final

from cluster.actors import Heard, Job, Shard
from cluster.failures import Failure, failure_of
from cluster.processes import gone, safe_to_fork
from cluster.rendezvous import pinned

Message = tuple[str, str, Any]  # kind of Heard, name of the shard, value or Failure


@final
class HereCrew:
    """One actor: this process."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._begun: list[int] = []
        self._queue = deque[Shard]()
        self._held: Any = None

    def start(self, actor: int) -> None:
        """Remember that the actor is to begin."""
        self._begun.append(actor)

    def give(self, actor: int, shard: Shard) -> None:
        """Queue a shard."""
        del actor
        self._queue.append(shard)

    def hear(self, timeout: float) -> list[Heard]:
        """Begin, or work on the oldest shard, to its end."""
        del timeout
        shard = self._queue.popleft() if self._queue and not self._begun else None
        try:
            with pinned(self._job.threads):
                if self._begun:
                    actor = self._begun.pop()
                    self._held = self._job.begin()
                    return [Heard(kind="ready", actor=actor)]
                if shard is None:
                    return []
                value = self._job.fn(self._held, shard.value)
        except Exception as error:
            failure = failure_of(error, where=self._job.where)
            return [Heard(kind="raised", actor=0, failure=failure)]
        return [Heard(kind="value", actor=0, shard=shard.name, value=value)]

    def close(self) -> None:
        """Forget what was held."""
        self._queue.clear()
        self._held = None


@final
class ChildCrew:
    """Each actor is a child process, forked where that is safe."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._ends: dict[int, Connection] = {}
        self._children: dict[int, BaseProcess] = {}
        self._queues: dict[int, deque[Shard]] = {}
        self._at_work: set[int] = set()

    def start(self, actor: int) -> None:
        """Make a child process; it begins at once."""
        fork = safe_to_fork()
        context: Any = multiprocessing.get_context("fork" if fork else "spawn")
        mine, theirs = context.Pipe()
        others = [*self._ends.values(), mine] if fork else []
        child = context.Process(target=_child, args=(self._job, theirs, others), daemon=True)
        child.start()
        theirs.close()
        self._ends[actor], self._children[actor] = mine, child
        self._queues[actor] = deque()
        self._at_work.add(actor)

    def give(self, actor: int, shard: Shard) -> None:
        """Queue a shard; a child is sent the next one when it has answered, so no pipe fills."""
        self._queues[actor].append(shard)
        self._send(actor)

    def _send(self, actor: int) -> None:
        if actor not in self._at_work and self._queues[actor]:
            self._at_work.add(actor)
            shard = self._queues[actor].popleft()
            with contextlib.suppress(BrokenPipeError, ConnectionError):  # it is heard of as gone
                self._ends[actor].send((shard.name, shard.value))

    def hear(self, timeout: float) -> list[Heard]:
        """Read what children answered; the end of a pipe is the end of a child."""
        found: list[Heard] = []
        ready = cast("list[Connection]", wait(list(self._ends.values()), timeout=timeout))
        for actor in [a for a, end in self._ends.items() if end in ready]:
            try:
                kind, shard, value = cast("Message", self._ends[actor].recv())
            except (EOFError, ConnectionError):
                found.append(Heard(kind="gone", actor=actor, failure=self._bury(actor)))
                continue
            self._at_work.discard(actor)
            self._send(actor)
            if kind == "raised":
                found.append(Heard(kind="raised", actor=actor, failure=value))
            elif kind == "ready":
                found.append(Heard(kind="ready", actor=actor))
            else:
                found.append(Heard(kind="value", actor=actor, shard=shard, value=value))
        return found

    def _bury(self, actor: int) -> Failure:
        child = self._children.pop(actor)
        child.join(5)
        self._ends.pop(actor).close()
        self._queues.pop(actor)
        self._at_work.discard(actor)
        return gone(child, f"{self._job.where} actor {actor}")

    def close(self) -> None:
        """End all children at once."""
        for child in self._children.values():
            child.kill()
        for child in self._children.values():
            child.join(5)
        for end in self._ends.values():
            end.close()
        self._children.clear()
        self._ends.clear()


def _child(job: Job, end: Connection, others: list[Connection]) -> None:
    """Be one actor: begin, then answer shard after shard until the parent is gone."""
    for other in others:  # else a sibling would keep this one alive after the parent's death
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    held: Any = None
    with pinned(job.threads):
        try:
            held = job.begin()
            answer: Message = ("ready", "", None)
        except Exception as error:
            answer = ("raised", "", failure_of(error, where=job.where))
        while _sent(end, answer, job.where) and (asked := _next(end)) is not None:
            name, value = asked
            try:
                answer = ("value", name, job.fn(held, value))
            except Exception as error:
                answer = ("raised", name, failure_of(error, where=job.where))
    os._exit(0)  # nothing of the parent's is closed here


def _sent(end: Connection, answer: Message, where: str) -> bool:
    """Answer the parent; a value that cannot be sent is an error of the function."""
    try:
        end.send(answer)
    except ConnectionError:
        return False
    except Exception as error:
        end.send(("raised", answer[1], failure_of(error, where=where)))
    return True


def _next(end: Connection) -> tuple[str, Any] | None:
    try:
        return end.recv()
    except (EOFError, ConnectionError):
        return None
