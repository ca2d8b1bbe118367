"""A small Ray in a few lines: it starts what fits, refuses to overbook, and hangs where Ray hangs.

Rows of SHAPES are how a node's body may hold its gang, as measured on 2 CPUs: what the body itself
holds, whether it gives that back while it waits (a task blocked in `get` lends its CPU; an actor
and a polling task do not), and whether the gang is taken whole or one worker after the other.
"""

import random
from dataclasses import dataclass, field

from pipelines.graph.schedule import BYPASS, start, step
from pipelines.graph.schedule_state import Action, Back, Event, Finished, Job, Ready, State


@dataclass(frozen=True)
class Shape:
    """How a node runs: CPUs of its body, of its gang, and how the gang is taken."""

    body: float
    workers: int = 0
    lends: bool = False
    whole: bool = True


SHAPES = {
    "task": Shape(body=1),
    "gang of a task without CPU": Shape(body=0, workers=2),
    "gang of a task that blocks": Shape(body=1, workers=2, lends=True),
    "gang of a task that polls": Shape(body=1, workers=2),
    "gang of an actor": Shape(body=1, workers=2),
    "gang taken one by one": Shape(body=0, workers=2, whole=False),
}


@dataclass
class Running:
    name: str
    shape: Shape
    held: float = 0.0
    started: bool = False
    taken: int = 0  # workers of its gang


@dataclass
class Machine:
    """Runs bodies on so many CPUs, in random order."""

    cpus: float
    seed: int
    calls: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def free(self) -> float:
        return self.cpus - sum(call.held for call in self.calls)

    def submit(self, name: str, shape: Shape) -> None:
        self.calls.append(Running(name, shape))

    def move(self) -> str | None:
        """Let one thing happen; return who ended, "" when something else moved, None if stuck."""
        for call in self.random.sample(self.calls, len(self.calls)):
            if not call.started and call.shape.body <= self.free:
                call.started = True
                call.held = 0.0 if call.shape.lends else call.shape.body
                return ""
            if call.started and call.taken < call.shape.workers:
                step_of = call.shape.workers if call.shape.whole else 1
                if step_of <= self.free:
                    call.held += step_of
                    call.taken += step_of
                    return ""
        done = [c for c in self.calls if c.started and c.taken == c.shape.workers]
        if not done:
            return None
        ended = self.random.choice(done)
        self.calls.remove(ended)
        return ended.name

    @property
    def half_held(self) -> list[str]:
        """Return the gangs that hold some of their workers and wait for the others."""
        return [c.name for c in self.calls if 0 < c.taken < c.shape.workers]


class Run:
    """The schedule and the machine together; readiness comes in any order."""

    def __init__(self, jobs: list[Job], shapes: dict[str, Shape], *, seed: int) -> None:
        self.random = random.Random(seed)
        self.machine = Machine(2, seed)
        self.jobs, self.shapes = {job.name: job for job in jobs}, shapes
        self.open: list[str] = []  # found wanting, and not told yet
        self.calls: dict[str, tuple[str, ...]] = {}
        self.done: list[str] = []
        self.passed = 0
        self.ended = False
        self.state: State
        self.state, actions = start(tuple(jobs), cpus=2)
        self.take(actions)

    def tell(self, event: Event) -> None:
        gang = self.state.gangs[:1]
        self.state, actions = step(self.state, event)
        self.take(actions, gang)

    def take(self, actions: tuple[Action, ...], gang: tuple[str, ...] = ()) -> None:
        for action in actions:
            if action.kind == "resolve":
                self.open.append(action.name)
            elif action.kind == "submit":
                need = self.jobs[action.name].need
                if gang and action.name not in gang and not need.gang:
                    self.passed += 1
                    assert self.passed <= BYPASS, "the oldest gang was passed too often"
                elif need.gang:
                    self.passed = 0
                    shape = self.shapes[action.name]
                    taken = sum(c.shape.workers or c.shape.body for c in self.machine.calls)
                    assert taken + shape.workers <= self.machine.cpus, "a gang admitted by half"
                self.calls[action.name] = (action.name, *action.along)
                self.machine.submit(action.name, self.shapes[action.name])
            elif action.kind == "end":
                self.ended = True

    def go(self) -> bool:
        """Run to the end; return False when nothing can move any more."""
        while not self.ended:
            if self.open and (not self.machine.calls or self.random.random() < 0.5):
                self.random.shuffle(self.open)
                count = self.random.randint(1, len(self.open))
                names, self.open = tuple(self.open[:count]), self.open[count:]
                self.tell(Ready(names))
                continue
            name = self.machine.move()
            if name is None:
                return False
            assert not self.machine.half_held, "a gang holds half"
            if name:
                self.tell(Back(name))
                for each in self.calls.pop(name):
                    self.done.append(each)
                    self.tell(Finished(each))
        return True
