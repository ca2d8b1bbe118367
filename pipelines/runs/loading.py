"""A config file and overrides -> settings, graph, and the text that a run records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.graph.key import canonical, sha256
from pipelines.graph.node import Graph
from pipelines.recipes.table import RECIPES, Recipe
from pipelines.settings.problems import Problem, SettingsError
from pipelines.settings.reading import choose, flatten, plain, read_page
from pipelines.settings.yaml_door import Page, load_yaml


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
    root: Path  # the folder that its paths start from
    overrides: tuple[str, ...]  # KEY=VALUE, as they were given
    warnings: tuple[Problem, ...] = ()
    trial: Mapping[str, Any] | None = None  # of which search, for tracking; a trial is a run also
    # where all of it is found


def load(config: Path, overrides: Sequence[str] = (), *, root: Path | None = None) -> Loaded:
    """Read, check and build; raise one SettingsError with every problem of settings and files.

    Args:
        config: the page.
        overrides: KEY=VALUE, after the page.
        root: the folder that paths of the page start from; None: the page's own.
    """
    page = load_yaml(config)
    recipe = choose(page, overrides, key="recipe", table=RECIPES)
    root = config.resolve().parent if root is None else root
    try:
        cfg = read_page(page, overrides, schema=recipe.schema)[0]
    except SettingsError as error:
        more = _of_files(page, overrides, recipe=recipe, root=root)
        raise SettingsError([*error.problems, *more], file=str(config)) from error
    found = recipe.problems(cfg, root)
    if grave := [problem for problem in found if problem.grave]:
        raise SettingsError(grave, file=str(config))
    return Loaded(
        recipe=cfg.recipe,
        cfg=cfg,
        graph=recipe.build(cfg, root),
        resolved=flatten(cfg),
        text=page.text,
        digest=sha256(canonical(plain(cfg))),
        file=config,
        root=root,
        overrides=tuple(overrides),
        warnings=tuple(found),
    )


def _of_files(page: Page, overrides: Sequence[str], *, recipe: Recipe, root: Path) -> list[Problem]:
    """Return what is wrong with the files that a page names, although other settings are wrong."""
    ours = {*(name.partition(".")[0] for name in recipe.names_files), "recipe"}
    values = {name: dict[str, Any]() for name in recipe.needs}
    values |= {name: value for name, value in page.values.items() if name in ours}
    kept = [text for text in overrides if text.partition("=")[0].split(".")[0] in ours]
    try:
        cfg = read_page(replace(page, values=values), kept, schema=recipe.schema)[0]
    except SettingsError:
        return []  # these sections are wrong themselves
    found = recipe.problems(cfg, root)
    return [p for p in found if p.grave and p.where.startswith(recipe.names_files)]
