"""Weights + a user's pictures -> boxes: COCO results in JSON, and copies with boxes drawn."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipelines.nodes.progress_lines import ProgressLines
from pipelines.nodes.whole_outputs import whole_file, whole_folder
from pipelines.settings.problems import Problem, SettingsError

if TYPE_CHECKING:
    import numpy as np

    from components.eval.detections import Detections
    from components.models.two_stage import Detector
    from components.train.checkpoint import Record
    from components.vocab.classes import Vocabulary

BATCH = 1  # pictures at once: on a CPU larger batches are slower, their maps leave the caches
FLOOR = 1e-4  # least score of a box that is written
LONGEST_STEM = 200  # bytes of a picture's name that its drawn copy keeps
LOOKED_AT = 1000  # boxes of a picture that are compared where parts are left out
Say = Callable[[int, int], None]  # pictures done, of how many


@dataclass(kw_only=True, slots=True)
class Predicted:
    """How many pictures were read, how many boxes were written, and what was left out."""

    pictures: int = 0
    boxes: int = 0
    bare: int = 0  # pictures drawn without a box
    bad: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])


class _NothingReadError(Exception):
    """No picture could be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """One picture of the user's; its id is its place among those given, from 1."""

    image_id: int
    path: Path
    pixels: "np.ndarray"  # uint8 [H, W, 3]


def predict(
    model: Path,
    *,
    pictures: Sequence[Path],
    out: Path,
    draw: Path | None,
    score: float,
    top: int,
    parts: float = 1.0,
    level: str | None = None,
    say: Say | None = None,
) -> Predicted:
    """Find boxes in pictures; either both `out` and the drawings are there afterwards, or neither.

    Neither is there where no picture could be read.

    Args:
        model: a model directory with all parts of a detector.
        pictures: files; one that is no readable picture is left out, with the reason.
        out: JSON file to write, replaced if there: COCO results with two names more, where
            category_id is the place of the class in the model's vocabulary.json, from 1, and
            category_name its level and name.
        draw: folder for copies with boxes; files of other names in it stay.
        score: least score of a box that is drawn.
        top: most boxes of a picture.
        parts: a box of which more than this share lies in a better box of its class, or that has
            so much of a better one inside it, is left out; 1 keeps all.
        level: only classes of this level are named; None: all.
        say: told how far it is; None writes lines to stderr, once it takes seconds.

    Raises:
        SettingsError: there is no picture, an output would replace a picture, or the model
            cannot find boxes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch comes in: do not spin
    from components.vocab.classes import readable, union

    if problems := _problems(pictures, out=out, draw=draw):
        raise SettingsError(problems)
    detector, record = _finder(model)
    known = union(record.boxed, record.labelled)
    names, asked = readable(known), _asked(known, level)
    tell = say or ProgressLines()
    done = Predicted()
    with suppress(_NothingReadError), whole_file(out) as file, whole_folder(draw) as folder:
        file.write("[")
        for batch in _batches(pictures, done, tell):
            found = _found(
                detector, batch, known=known.ids, asked=asked, size=record.size, top=top,
                parts=parts,
            )  # fmt: skip
            done.boxes += _write(file, _results(found, batch, names=names), after=done.boxes)
            if folder is not None:
                done.bare += _draw(folder, found, batch, names=names, score=score)
            done.pictures += len(batch)
        if not done.pictures:
            raise _NothingReadError  # leaves no file behind
        file.write("\n]\n")
    tell(len(pictures), len(pictures))
    return done


def _finder(model: Path) -> "tuple[Detector, Record]":
    from components.train.checkpoint import load_model

    detector, record = load_model(model)
    if "proposals" not in record.parts:
        do = "Name the model of stage 2."
        what = "this model was trained to classify, not to find boxes"
        raise SettingsError([Problem(where="MODEL", what=what, got=str(model), do=do)])
    return detector, record


def _asked(known: "Vocabulary", level: str | None) -> list[int]:
    """Return the places of the classes of a level."""
    of = [class_id.partition(":")[0] for class_id in known.ids]
    if level is not None and level not in of:
        from components.vocab.shared_classes import listed

        bare = set(known.ids)  # an id without a colon is a level of its own, named last
        do = f"Name one of {listed(sorted(set(of), key=lambda name: (name in bare, name)))}."
        raise SettingsError([Problem(where="--level", what="no class has it", got=level, do=do)])
    return [k for k, own in enumerate(of) if level in (None, own)]


def _problems(pictures: Sequence[Path], *, out: Path, draw: Path | None) -> list[Problem]:
    """Say what keeps the work from starting."""
    if not pictures:
        return [Problem(where="IMAGES", what="no picture", do="Name files, folders or patterns.")]
    given = {os.path.realpath(path) for path in pictures}
    made = {"--out": [out]}
    if draw is not None:
        made["--draw"] = [draw / _drawn_name(i, path) for i, path in enumerate(pictures, 1)]
    return [
        Problem(where=option, what="would replace a picture", got=str(path), do="Name another.")
        for option, paths in made.items()
        for path in paths
        if os.path.realpath(path) in given
    ]


def _batches(pictures: Sequence[Path], done: Predicted, say: Say) -> Iterator[list[_Read]]:
    """Yield pictures a few at a time; those that cannot be read go to `done.bad`."""
    from components.data.decode import PictureError, decode, picture_bytes

    for first in range(0, len(pictures), BATCH):
        say(first, len(pictures))
        batch: list[_Read] = []
        for i, path in enumerate(pictures[first : first + BATCH], first + 1):
            try:
                batch.append(_Read(image_id=i, path=path, pixels=decode(picture_bytes(path))))
            except PictureError as error:
                done.bad.append((path, error.text))
        if batch:
            yield batch


def _found(
    detector: "Detector",
    batch: list[_Read],
    *,
    known: Sequence[str],
    asked: Sequence[int],
    size: int,
    top: int,
    parts: float,
) -> "Detections":
    """Return the detections of a batch, in pixels of the pictures; `image` is the place in it."""
    import numpy as np

    from components.boxes.suppress import suppress_for_people
    from components.data.augment import back
    from components.eval.detections import Detections
    from components.models.scores import fuse

    ids = [known[k] for k in asked]
    shown, views = _shown(detector, batch, size=size)
    found: list[Detections] = []
    for i, regions in enumerate(detector.regions(shown)):
        scores = fuse(regions, boxed=detector.boxed, labelled=detector.labelled, ids=ids)
        looked_at = top if parts == 1 else max(top, LOOKED_AT)
        kept = suppress_for_people(
            regions.boxes, scores, over=parts, top=top, looked_at=looked_at, floor=FLOOR
        )
        height, width, _ = batch[i].pixels.shape
        boxes = back(kept.boxes.cpu().numpy(), views[i])
        found.append(
            Detections(
                image=np.full(len(boxes), i, np.int64),
                category=np.asarray(asked, np.int64)[kept.classes.cpu().numpy()],
                score=kept.scores.cpu().numpy().astype(np.float32),
                boxes=boxes.clip(0, np.array([width, height] * 2, np.float32)),
            )
        )
    return Detections.join(found)


def _shown(
    detector: "Detector", batch: list[_Read], *, size: int
) -> tuple[Any, "list[np.ndarray]"]:
    """Return the batch that a network sees, and how each picture was carried into it."""
    from dataclasses import replace

    from components.data.augment import canvas_of, lay, look_of, show
    from components.data.sample import Batch
    from components.data.views import PlainView

    view = PlainView(size=size, pad_to=detector.row.pad_to)
    shown: list[Any] = []
    for read in batch:
        height, width, _ = read.pixels.shape
        look = look_of(view, width=width, height=height, seed=0, step=0, epoch=0, row=0)
        shown.append(show(read.pixels, look))
    image, sizes = lay(shown, side=canvas_of(view, seed=0, step=0))
    return replace(Batch.of_pictures(image), image_size=sizes), [one.view for one in shown]


def _results(
    found: "Detections", batch: list[_Read], *, names: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """Yield one object a detection; its class with the level: two may share a name."""
    from components.eval.detections import coco_results

    images = [read.image_id for read in batch]
    rows = coco_results(found, images=images, categories=list(range(1, len(names) + 1)))
    for i, row in zip(found.image.tolist(), rows, strict=True):
        more = {"file_name": str(batch[i].path), "category_name": names[row["category_id"] - 1]}
        yield row | more


def _write(file: TextIO, rows: Iterable[Mapping[str, Any]], *, after: int) -> int:
    """Write elements of a JSON list; return how many. `after`: elements that are there."""
    count = 0
    for row in rows:
        file.write(f"{',' if after + count else ''}\n{json.dumps(row)}")
        count += 1
    return count


def _draw(
    folder: Path, found: "Detections", batch: list[_Read], *, names: Sequence[str], score: float
) -> int:
    """Write a copy of each picture with the boxes a person would look at; count those without."""
    from components.data.draw_boxes import Box, draw_boxes, jpeg

    bare = 0
    for i, read in enumerate(batch):
        here = found.where((found.image == i) & (found.score >= score))
        boxes = [
            Box(corners=tuple(corners), class_id=names[int(c)], score=float(s))
            for corners, c, s in zip(here.boxes.tolist(), here.category, here.score, strict=True)
        ]
        bare += not boxes
        name = _drawn_name(read.image_id, read.path)
        (folder / name).write_bytes(jpeg(draw_boxes(read.pixels, boxes)))
    return bare


def _drawn_name(image_id: int, path: Path) -> str:
    """Return the name of a drawn copy; no two pictures share an id, so no two share a name.

    Letters that move a terminal's cursor, or turn a name round, become `_`.
    """
    stem = os.fsdecode(os.fsencode(path.stem)[:LONGEST_STEM])
    plain = "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "_" for c in stem)
    return f"{plain}_{image_id}.jpg"
