"""What can be wrong with a page of paper 5, and with the files it names."""

from pathlib import Path

from pipelines.recipes.joint_settings import JointConfig
from pipelines.recipes.page_checks import page_problems
from pipelines.settings.problems import Problem

NODES = ("draw", "pretrained", "stage1", "stage2")  # a config may leave out all but the last


def problems(cfg: JointConfig, root: Path) -> list[Problem]:
    """Say what is wrong across sections, and with the files, before anything starts."""
    stages = {"stage2": cfg.stage2, "stage1": cfg.stage1}
    return [*_labels(cfg), *page_problems(cfg, root, nodes=NODES, stages=stages)]


def _labels(cfg: JointConfig) -> list[Problem]:
    if cfg.sources.labels:
        return []
    do = "Name the pictures with image labels: they teach the classes without boxes."
    return [
        Problem(where="sources.labels", what="at least one source is needed", got="none", do=do)
    ]
