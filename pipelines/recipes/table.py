"""The recipes a config may name, one row each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.graph.node import Graph
from pipelines.recipes import joint, joint_checks, weight_transfer, weight_transfer_checks
from pipelines.recipes.joint_settings import JointConfig
from pipelines.recipes.weight_transfer_settings import WeightTransferConfig
from pipelines.settings.problems import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A kind of pipeline: the settings it takes, what can be wrong with them, its graph."""

    schema: type[Any]
    problems: Callable[[Any, Path], list[Problem]]
    build: Callable[[Any, Path], Graph]
    names_files: tuple[str, ...]  # settings that can be looked at while other sections are wrong
    needs: tuple[str, ...]  # sections that may not be left out, and may be empty
    trains: str  # section of the training that makes the detector


RECIPES: dict[str, Recipe] = {
    "joint": Recipe(
        schema=JointConfig,
        problems=joint_checks.problems,
        build=joint.build,
        names_files=("sources", "draw"),
        needs=("stage2",),
        trains="stage2",
    ),
    "weight_transfer": Recipe(
        schema=WeightTransferConfig,
        problems=weight_transfer_checks.problems,
        build=weight_transfer.build,
        names_files=("sources", "draw", "rows.file", "rows.classes", "classes", "hierarchy"),
        needs=("detector",),
        trains="detector",
    ),
}
