"""A config file and overrides -> settings, graph, and the text that a run records."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.graph.key import canonical, sha256
from pipelines.graph.node import Graph
from pipelines.recipes.table import RECIPES
from pipelines.settings.problems import SettingsError
from pipelines.settings.reading import choose, flatten, plain, read_page
from pipelines.settings.yaml_door import load_yaml


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A config that can be run: nothing was found wrong with it."""

    recipe: str
    cfg: Any
    graph: Graph
    resolved: dict[str, Any]  # every setting, defaults included, by dotted path
    text: str  # the page as the user wrote it
    digest: str  # of the resolved settings
    file: Path


def load(config: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read, check and build; raise one SettingsError with every problem of settings and files."""
    page = load_yaml(config)
    recipe = choose(page, overrides, key="recipe", table=RECIPES)
    cfg = read_page(page, overrides, schema=recipe.schema)[0]
    root = config.resolve().parent
    if found := recipe.problems(cfg, root):
        raise SettingsError(found, file=str(config))
    return Loaded(
        recipe=cfg.recipe,
        cfg=cfg,
        graph=recipe.build(cfg, root),
        resolved=flatten(cfg),
        text=page.text,
        digest=sha256(canonical(plain(cfg))),
        file=config,
    )
