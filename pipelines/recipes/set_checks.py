"""What the sets of a page teach and ask for: known before anything starts."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from components.data.check_sets import check_scored
from components.data.check_source import Counted, Part
from components.data.check_table import Findings
from components.data.drawn.kinds import class_table
from components.data.drawn.world import World, boxed_classes
from components.data.overlap import Named, shared
from components.data.readers import Listed, look_over, places
from pipelines.recipes.page_settings import Drawn, Source
from pipelines.recipes.sets_and_scores import Page
from pipelines.settings.problems import Problem, nearest

SHOWN = 5  # pictures that are named one by one
Meets = Callable[[Collection[str], Collection[str]], Iterator[Problem]]
"""(class ids with boxes, class ids of image labels) -> what is wrong with them."""
ROLES = ("annotations", "images", "table")  # settings of sources that name files


@dataclass(kw_only=True, slots=True)
class Set:
    """One set of sources, as its label files say."""

    where: str  # dotted path in the config
    boxes: Counter[str] = field(default_factory=Counter[str])  # class id -> boxes
    labels: Counter[str] = field(default_factory=Counter[str])  # class id -> pictures
    pictures: list[Named] = field(default_factory=list[Named])  # there, and drawn if it teaches
    classes: list[Counted] = field(default_factory=list[Counted])  # of each source
    problems: list[Problem] = field(default_factory=list[Problem])


def set_problems(cfg: Page, root: Path, *, meets: Meets) -> Iterator[Problem]:
    """Say what is wrong with the files of each set, and what the sets cannot do for each other.

    Args:
        cfg: the page.
        root: the folder that relative paths start from.
        meets: what a recipe says besides of the classes, where the sets are as they should be.
    """
    boxes = _set(cfg, root, "sources.boxes", cfg.sources.boxes, part="train")
    labels = _set(cfg, root, "sources.labels", cfg.sources.labels, part="train")
    tests = [
        _set(cfg, root, f"sources.{part}.{i}.source", (test.source,), part="scored")
        for part, listed in (("tune", cfg.sources.tune), ("test", cfg.sources.test))
        for i, test in enumerate(listed)
    ]
    sets = [boxes, labels, *tests]
    yield from _once(problem for one in sets for problem in one.problems)
    yield from _trained_on(cfg)
    drawn = any(isinstance(source, Drawn) for source in cfg.sources.boxes + cfg.sources.labels)
    drawn = drawn or any(isinstance(t.source, Drawn) for t in cfg.sources.tune + cfg.sources.test)
    wrong = any(problem.grave for one in sets for problem in one.problems)
    if wrong or (drawn and cfg.draw is None):
        return  # what they hold is not known
    photos = cfg.labels_teach
    if not cfg.sources.allow_overlap:
        yield from _overlap((boxes, labels) if photos else (boxes,), tests)
    if not boxes.boxes:
        yield _empty(boxes.where, "no box to learn from", "Give a set with boxes.")
    if photos and not labels.labels:
        yield _empty(labels.where, "no image label to learn from", "Give a set with image labels.")
    for test in tests:
        if not test.boxes:
            yield _empty(test.where, "no box to score by", "Give pictures with true boxes.")
    if boxes.boxes and (labels.labels or not photos) and not cfg.learns_elsewhere:
        sides: dict[Part, list[Set]] = {"train": [boxes], "file": [], "scored": tests}
        sides["train" if photos else "file"].append(labels)
        yield from _scored(sides)
    yield from meets(boxes.boxes, labels.labels)
    yield from _groups(cfg, {class_id for test in tests for class_id in test.boxes})


def _scored(sides: Mapping[Part, Sequence[Set]]) -> Iterator[Problem]:
    """Say which classes are scored and not learnt, as `data check` says it."""
    found = Findings()
    check_scored([(p, one) for p, sets in sides.items() for s in sets for one in s.classes], found)
    yield from map(Problem.told, found.errors())
    warnings = found.lines("W")[:SHOWN]
    if (more := found.total("W") - SHOWN) > 0:
        warnings.append(f"sources: {more} more of this kind. `vocabox data check` counts them.")
    yield from (replace(Problem.told(line), grave=False) for line in warnings)


def _set(cfg: Page, root: Path, where: str, sources: tuple[Source, ...], *, part: Part) -> Set:
    found = Set(where=where)
    for i, source in enumerate(sources):
        place = where if where.endswith(".source") else f"{where}.{i}"
        if isinstance(source, Drawn):
            if cfg.draw is not None:
                boxes, labels = _drawn(cfg.draw, source)
                found.boxes += boxes
                found.labels += labels
                found.classes.append(drawn_classes(cfg.draw, source, name=place))
            continue
        listed = look_over(source, root)
        found.boxes += listed.boxes
        found.labels += listed.labels
        folder = places(source, root)["images"]
        found.pictures += [
            Named(source=place, name=str(path.relative_to(folder)), path=path)
            for path in (listed.taught if part == "train" else listed.there)
        ]
        found.classes.append(
            Counted(name=place, kind=source.kind, classes=listed.classes, used=listed.used,
                    first=listed.first)
        )  # fmt: skip
        found.problems += [_at(place, text) for text in listed.problems]
        found.problems += [replace(_at(place, text), grave=False) for text in listed.warnings]
        if not listed.problems:
            found.problems += _missing(place, listed, most=cfg.sources.max_bad_fraction)
    return found


def _missing(place: str, listed: Listed, *, most: float) -> Iterator[Problem]:
    """Say that more pictures are not there than may be left out."""
    if len(listed.missing) > most * listed.pictures:
        named = ", ".join(listed.missing[:SHOWN])
        yield Problem(
            where=place,
            what=f"{len(listed.missing)} of {listed.pictures} listed pictures are not there",
            got=named + (", ..." if len(listed.missing) > SHOWN else ""),
            do=f"Add or unlist them, or raise sources.max_bad_fraction from {most}.",
        )


def _overlap(taught: Iterable[Set], scored: Iterable[Set]) -> Iterator[Problem]:
    """Say which pictures are trained on and scored on; sets that are scored may share theirs."""
    sides = [[picture for one in sets for picture in one.pictures] for sets in (taught, scored)]
    pairs: dict[tuple[str, str], list[str]] = {}
    for one, other in shared(*sides):
        pairs.setdefault((one.source, other.source), []).append(
            f"{other.name} as {one.name}" if other.name != one.name else one.name
        )
    for (source, test), names in pairs.items():
        of = sum(picture.source == test for picture in sides[1])
        more = ", ..." if len(names) > SHOWN else ""
        yield Problem(
            where=test,
            what=f"{len(names)} of {of} pictures are trained on too, byte for byte",
            got=f"{', '.join(names[:SHOWN])}{more} in {source}",
            do="Keep them in one of the two (rows of a table: by its `where`), or set "
            "sources.allow_overlap: true.",
        )


def drawn_classes(world: World, source: Drawn, *, name: str) -> Counted:
    """Return the classes of a part of the drawn world, counted as those of files are."""
    boxes, labels = _drawn(world, source)
    used = boxes + labels
    first = dict.fromkeys(used, source.part)
    return Counted(name=name, kind=source.kind, classes=tuple(used), used=used, first=first)


def _drawn(world: World, source: Drawn) -> tuple[Counter[str], Counter[str]]:
    """Return what a part of the drawn world teaches: class ids with boxes, and with labels."""
    names = [fine.name for fine in class_table(world.kinds)]
    boxed = [fine.name for fine in boxed_classes(world)]
    pictures, classes, kind = {
        "train_scenes": (world.train_scenes, boxed, "boxes"),
        "train_photos": (world.photos_per_class, names, "labels"),
        "train_labels": (world.photos_per_class, names, "labels"),
        "tune_scenes": (world.tune_scenes, names, "boxes"),
        "test_scenes": (world.test_scenes, names, "boxes"),
        "test_photos": (world.test_photos_per_class, names, "boxes"),
        "unlabelled": (0, names, "boxes"),
    }[source.part]
    counted = Counter({f"{source.level}:{name}": pictures for name in classes if pictures})
    return (counted, Counter[str]()) if kind == "boxes" else (Counter[str](), counted)


def _trained_on(cfg: Page) -> Iterator[Problem]:
    """Refuse to score on a part of the drawn world that is trained on."""
    used = {s.part for s in (*cfg.sources.boxes, *cfg.sources.labels) if isinstance(s, Drawn)}
    for part, listed in (("tune", cfg.sources.tune), ("test", cfg.sources.test)):
        for i, test in enumerate(listed):
            if isinstance(test.source, Drawn) and test.source.part in used:
                yield Problem(
                    where=f"sources.{part}.{i}.source.part",
                    what="these pictures are trained on too",
                    got=test.source.part,
                    do="Score on test_scenes or test_photos.",
                )


def _groups(cfg: Page, scored: set[str]) -> Iterator[Problem]:
    for name, ids in cfg.evaluate.groups.items():
        for unknown in [i for i in ids if ":" in i and i not in scored]:
            yield Problem(
                where=f"evaluate.groups.{name}",
                what="no test set has boxes of this class",
                got=repr(unknown),
                do=nearest(unknown, sorted(scored), noun="Scored are"),
            )
        if not ids:
            yield _empty(f"evaluate.groups.{name}", "no class in it", "Name class ids, or drop it.")


def _empty(where: str, what: str, do: str) -> Problem:
    return Problem(where=where, what=what, do=do)


def _once(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield each problem once, with all the settings that lead to it."""
    found: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        found.setdefault((problem.what, problem.got, problem.do), []).append(problem)
    for same in found.values():
        yield replace(same[0], where=", ".join(dict.fromkeys(problem.where for problem in same)))


def _at(where: str, text: str) -> Problem:
    """Return a source's problem with the dotted path of its file, or the place in the file."""
    told = Problem.told(text)
    if not told.where:
        return replace(told, where=where)
    below = f"{where}.{told.where}" if told.where in ROLES else f"{where}, {told.where}"
    return replace(told, where=below)
