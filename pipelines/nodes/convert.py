"""A packaged checkpoint -> Files: its tensors as safetensors, through the one door for them."""

from dataclasses import dataclass
from typing import Any

from pipelines.graph.node import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Convert:
    """Which packaged weights; a name of PACKAGED."""

    name: str


def convert(task: Task) -> dict[str, Any]:
    """Read the package's checkpoint and write `backbone.safetensors`."""
    from components.train.foreign import convert_packaged

    convert_packaged(task.cfg.name, out=task.out)
    return {}
