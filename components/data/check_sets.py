"""Sources looked at together: files that none of them names, and classes that some do not know."""

import difflib
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from components.data.check_source import Counted, Given, Part, check_classes
from components.data.check_table import Finding, Findings
from components.data.sources.folders import is_litter, is_picture


def check_together(
    sources: Sequence[tuple[Given, Counted]],
    *,
    known: Collection[str],
    found: Findings,
    drawn: Sequence[tuple[Part, Counted]] = (),
) -> None:
    """Tell what only shows when all sources are known.

    Args:
        sources: every source, and what was counted of it.
        known: names of the classes there may be; none: classes of scored sources must be
            among those of the sources for training.
        found: takes the findings.
        drawn: the classes of sources that vocabox draws, which are not looked at themselves.
    """
    if known:
        for given, counted in sources:
            ids = [f"{given.reader.level}:{name}" for name in known]
            check_classes(counted, known=ids, of="the list of classes", found=found)
    check_scored([*((given.part, counted) for given, counted in sources), *drawn], found)
    training = [counted for given, counted in sources if given.part == "train"]
    for given, counted in sources:
        if given.part == "scored":
            _taught_too(given, counted, training, found)
    _too_many_left(sources, found)
    _unlisted(sources, found)


def check_scored(sources: Sequence[tuple[Part, Counted]], found: Findings) -> None:
    """Tell which classes are scored and not learnt: the one verdict, of `check` and `data check`.

    A class that no other source names is an error: it is misspelt, or of another level. One that
    is named without a sample to train on is listed. Of a counted source its name, `classes`,
    `used` and `first` are read.
    """
    training = [counted for part, counted in sources if part == "train"]
    taught = {class_id for counted in training for class_id in counted.used}
    others = [counted for part, counted in sources if part != "scored"]
    named = {class_id for one in others for class_id in (*one.classes, *one.used)}
    for part, counted in sources:
        if part != "scored" or not training or not counted.used:
            continue
        if taught and taught.isdisjoint(counted.used):
            found.add(_strange(counted, taught))
            continue
        check_classes(counted, known=named, of="any source for training", found=found)
        _untaught(counted, set(counted.used) & named - taught, found)


def _strange(counted: Counted, taught: Collection[str]) -> Finding:
    first, names = min(counted.used), sorted(taught)
    near = difflib.get_close_matches(first, names, n=1)
    do = f"Did you mean {near[0]!r}?" if near else f"Learnt are {', '.join(names[:8])}."
    return Finding(
        check="label.unknown_class",
        where=counted.name,
        what="none of its classes is learnt by anything",
        got=f"{first!r} and {len(counted.used) - 1} more",
        do=f"{do} Boxes, labels and tests meet where level and name are the same.",
    )


def _too_many_left(sources: Sequence[tuple[Given, Counted]], found: Findings) -> None:
    """Tell which sets packing would refuse for the pictures that it has to leave out."""
    for name in dict.fromkeys(given.packed_in for given, _ in sources if given.packed_in):
        members = [(given, counted) for given, counted in sources if given.packed_in == name]
        left = sum(counted.left for _, counted in members)
        pictures = sum(counted.pictures for _, counted in members)
        most = members[0][0].most_bad
        if left > most * pictures:
            found.add(
                Finding(
                    check="set.left_out",
                    where=name,
                    what="too many pictures cannot be used",
                    got=f"{left} of {pictures}",
                    do=f"Mend or remove them, or raise sources.max_bad_fraction from {most}.",
                )
            )


def _untaught(counted: Counted, class_ids: set[str], found: Findings) -> None:
    for class_id in sorted(class_ids):
        found.add(
            Finding(
                check="label.empty_class",
                where=f"{counted.name}, {counted.first[class_id]}",
                what="a class without a sample for training",
                got=repr(class_id),
                do="Its AP will be 0; add boxes or labels of it.",
            )
        )


def _taught_too(
    given: Given, counted: Counted, training: Sequence[Counted], found: Findings
) -> None:
    """Tell which pictures of a scored source have the bytes of one that is trained on."""
    for digest, name in counted.digests.items():
        for other in training:
            if digest in other.taught:
                found.add(
                    Finding(
                        check="split.overlap",
                        severity=given.overlap,
                        where=f"{given.name}, {name}",
                        what="this picture is trained on too",
                        got=f"the same bytes as {other.taught[digest]} of {other.name}",
                        do="Keep it in one of them, or set sources.allow_overlap: true.",
                    )
                )
                break


def _unlisted(sources: Sequence[tuple[Given, Counted]], found: Findings) -> None:
    """Tell which files of the folders of images no label file names."""
    named: dict[Path, set[str]] = {}
    unread: set[Path] = set()  # folders of label files that could not be read
    for given, counted in sources:
        if given.reader.kind != "folders":
            folder = given.files["images"].resolve()
            named.setdefault(folder, set()).update(map(os.path.normpath, counted.listed))
            unread |= set() if counted.listed else {folder}
    for folder, names in named.items():
        if folder in unread:
            continue
        for place, inside, files in os.walk(folder):
            inside[:] = sorted(name for name in inside if not is_litter(name))
            for name in sorted(files):
                path = Path(place, name)
                short = os.path.relpath(path, folder)
                if is_picture(path) and not is_litter(name) and short not in names:
                    found.add(
                        Finding(
                            check="image.unlisted",
                            where=str(folder),
                            what="a picture that no label file names",
                            got=repr(short),
                            do="It is not used; add a record, or leave it so.",
                        )
                    )
