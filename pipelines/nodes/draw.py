"""World settings -> Files: drawn pictures and their labels, in the formats a user would bring."""

from dataclasses import dataclass
from typing import Any

from components.data.drawn.world import World
from pipelines.graph.node import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """What is drawn; how many processes draw it changes nothing."""

    world: World


def draw(task: Task) -> dict[str, Any]:
    """Draw every part of the world into the artifact; one process a CPU of the node."""
    from components.data.drawn.files import draw as draw_files

    cfg: Draw = task.cfg
    pictures = 0

    def say(done: int, total: int) -> None:
        nonlocal pictures
        pictures = total
        task.say(done, total, "pictures")

    draw_files(cfg.world, out=task.out, processes=max(1, int(task.run_on.cpus)), say=say)
    return {"units": {"images": pictures}}
