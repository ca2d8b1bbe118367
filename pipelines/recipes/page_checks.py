"""What can be wrong across the sections that all pages share, and with the files they name."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from cluster import mlflow_door
from components.models.choices import (
    PACKAGED,
    Lite0,
    Resnet,
    Small,
    Stage,
    Stage1,
    pictures_a_step,
)
from components.train.weights_file import DamagedError, WeightsError, find_weights
from pipelines.recipes.page_settings import Drawn, Place, Source, Tracking
from pipelines.recipes.set_checks import Meets, set_problems
from pipelines.recipes.sets_and_scores import Page
from pipelines.settings.problems import Problem, nearest


class TrackedPage(Page, Protocol):
    """A page whose runs are tracked."""

    @property
    def tracking(self) -> Tracking:
        """Return where metrics are sent."""
        ...


def _no_more(boxes: Collection[str], labels: Collection[str]) -> Iterator[Problem]:
    del boxes, labels
    return iter(())


def page_problems(
    cfg: TrackedPage,
    root: Path,
    *,
    nodes: tuple[str, ...],
    stages: Mapping[str, Stage | None],
    meets: Meets = _no_more,
) -> list[Problem]:
    """Say what is wrong across sections, and with the files, before anything starts.

    Args:
        cfg: settings whose fields are right one by one.
        root: the folder that relative paths start from.
        nodes: that a place may be given for, beside those of the sets; a page may leave some out.
        stages: the trainings of the page, by the name of their section.
        meets: what the recipe says of the classes of the sets, once these are known.
    """
    return [
        *_drawn_without_world(cfg),
        *_names(cfg),
        *_groups(cfg),
        *_places(cfg, (*nodes, *set_nodes(cfg)), stages),
        *_weights(cfg, root),
        *_shares(stages),
        *_views(stages),
        *_tracking(cfg),
        *set_problems(cfg, root, meets=meets),
    ]


def set_nodes(cfg: Page) -> tuple[str, ...]:
    """List the nodes that sets of pictures make."""
    tests = [test.name for test in (*cfg.sources.tune, *cfg.sources.test)]
    return (
        "boxes",
        "labels",
        *(f"pack_{name}" for name in tests),
        *(f"detect_{name}" for name in tests),
        *(f"detect_{name}_{control}" for name in tests for control in cfg.evaluate.controls),
        "evaluate",
    )


def _sources(cfg: Page) -> Iterator[tuple[str, Source]]:
    for name, sources in (("boxes", cfg.sources.boxes), ("labels", cfg.sources.labels)):
        for i, source in enumerate(sources):
            yield f"sources.{name}.{i}", source
    for name, tests in (("tune", cfg.sources.tune), ("test", cfg.sources.test)):
        for i, test in enumerate(tests):
            yield f"sources.{name}.{i}.source", test.source


def _drawn_without_world(cfg: Page) -> Iterator[Problem]:
    for where, source in _sources(cfg):
        if isinstance(source, Drawn) and cfg.draw is None:
            yield Problem(
                where=where,
                what="this source is drawn, and there is no section draw",
                got=f"part {source.part}",
                do="Add a section draw, or name files of yours.",
            )


def _names(cfg: Page) -> Iterator[Problem]:
    tests = [("tune", t) for t in cfg.sources.tune] + [("test", t) for t in cfg.sources.test]
    counted = Counter(test.name for _, test in tests)
    for part, test in tests:
        where = f"sources.{part} {test.name!r}"
        if not re.fullmatch(r"[a-z0-9_]{1,40}", test.name):
            yield Problem(
                where=where,
                what="a name is 1 to 40 small letters, digits and underscores",
                got=repr(test.name),
                do="Name it so; metrics and nodes carry the name.",
            )
        if counted[test.name] > 1:
            yield Problem(
                where=where,
                what="two test sets have this name",
                got=f"{counted[test.name]} times",
                do="Give each its own.",
            )
            counted[test.name] = 1
    if not any(test.task == "scenes" for test in cfg.sources.test):
        yield Problem(
            where="sources.test",
            what="no test set has task scenes, so there would be no AP",
            do="Add one with boxes of every object.",
        )


def _groups(cfg: Page) -> Iterator[Problem]:
    for name, ids in cfg.evaluate.groups.items():
        where = f"evaluate.groups.{name}"
        if not re.fullmatch(r"[A-Za-z0-9_]{1,40}", name):
            yield Problem(
                where=where,
                what="a name is 1 to 40 letters, digits and underscores",
                got=repr(name),
                do="Name it so; metrics carry the name.",
            )
        bare = [i for i in ids if ":" not in i]
        if bare:
            yield Problem(
                where=where,
                what="a class id is <level>:<name>",
                got=repr(bare[0]),
                do=f"Write {'fine:' + bare[0]!r}, or another level.",
            )


def _places(
    cfg: Page, known: tuple[str, ...], stages: Mapping[str, Stage | None]
) -> Iterator[Problem]:
    for name in cfg.run_on:
        if name not in known:
            yield Problem(
                where=f"run_on.{name}",
                what="no such node",
                do=nearest(name, known, noun="The nodes are"),
            )
    for name, stage in stages.items():
        place = cfg.run_on.get(name)
        if stage is not None and place is not None and place.workers not in (0, stage.world):
            yield Problem(
                where=f"run_on.{name}.workers",
                what=f"must equal {name}.world, which is part of the result's identity",
                got=f"{place.workers} workers, world {stage.world}",
                do=f"Set both, or leave run_on.{name}.workers out.",
            )
        if stage is not None and place is not None and place.min_workers:
            yield from _elastic(name, stage, place)


def _elastic(name: str, stage: Stage, place: Place) -> Iterator[Problem]:
    """Workers that come and go change the order of sums: only where no bits are promised."""
    where = f"run_on.{name}.min_workers"
    if place.min_workers > stage.world or place.local:
        yield Problem(
            where=where,
            what=f"the fewest workers of a Ray Train job of {name}.world workers",
            got=f"{place.min_workers} of {stage.world}{', local' if place.local else ''}",
            do="Lower it, or leave it out.",
        )
    if stage.deterministic:
        yield Problem(
            where=where,
            what="workers that come and go change the last bits of the result",
            got=f"{name}.deterministic true",
            do=f"Set {name}.deterministic to false, or leave min_workers out.",
        )


def _weights(cfg: Page, root: Path) -> Iterator[Problem]:
    name = cfg.backbone.weights
    if name == "none":
        return
    if name in PACKAGED and PACKAGED[name].backbone != cfg.backbone.kind:
        yield Problem(
            where="backbone.weights",
            what=f"these are weights of {PACKAGED[name].backbone}",
            got=f"kind {cfg.backbone.kind}",
            do="Choose that backbone, or other weights.",
        )
    elif name not in PACKAGED:
        yield from _file_of_weights(cfg.backbone, root / name)


def _file_of_weights(backbone: Small | Resnet | Lite0, place: Path) -> Iterator[Problem]:
    """Look into a user's weights: a pickle, damage, another network, NaN; torch is needed here.

    Raises:
        DamagedError: the weights are ours, and no longer what was written.
    """
    from components.models.pretrained_trunks import MissingExtraError
    from components.train.foreign import check_trunk

    file = find_weights(place)
    if file is None:
        yield Problem(
            where="backbone.weights",
            what="neither a packaged name, nor a file, nor a model directory",
            got=str(place.resolve()),
            do=f"Give none, {', '.join(PACKAGED)}, a .safetensors file, or a run's folder.",
        )
        return
    try:
        check_trunk(file, backbone)
    except DamagedError:
        raise  # a damaged result, not a wrong setting
    except WeightsError as error:
        told = Problem.told(str(error))
        yield replace(told, where=f"backbone.weights, {told.where}")
    except MissingExtraError as error:
        yield Problem.told(str(error))


def _shares(stages: Mapping[str, Stage | None]) -> Iterator[Problem]:
    """Say where a worker would have no picture in a step."""
    for name, stage in stages.items():
        for field, count in ({} if stage is None else pictures_a_step(stage)).items():
            if stage is not None and 0 < count < stage.world:
                yield Problem(
                    where=f"{name}.{field}",
                    what=f"each of {stage.world} workers needs a picture a step",
                    got=str(count),
                    do=f"Raise it, or lower {name}.world.",
                )


def _views(stages: Mapping[str, Stage | None]) -> Iterator[Problem]:
    for name, stage in stages.items():
        if stage is None or isinstance(stage, Stage1):
            continue
        low, high = stage.scene_view.scale
        if low > high:
            yield Problem(
                where=f"{name}.scene_view.scale",
                what="the first must not be above the second",
                got=f"[{low:g}, {high:g}]",
                do="Put the smaller one first.",
            )


def _tracking(cfg: TrackedPage) -> Iterator[Problem]:
    if cfg.tracking.kind != "none":
        words = mlflow_door.problems(cfg.tracking.uri, cfg.tracking.experiment)
        yield from map(Problem.told, words)
