"""Weights + a user's pictures -> boxes: COCO results in JSON, and copies with boxes drawn."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipelines.settings.problems import Problem, SettingsError

if TYPE_CHECKING:
    import numpy as np

    from components.eval.detections import Detections
    from components.models.two_stage import Detector

BATCH = 1  # pictures at once: on a CPU larger batches are slower, their maps leave the caches
FLOOR = 1e-4  # least score of a box that is written
LONGEST_STEM = 200  # bytes of a picture's name that its drawn copy keeps
PATIENCE = 2.0  # seconds before progress is told
Say = Callable[[int, int], None]  # pictures done, of how many


@dataclass(kw_only=True, slots=True)
class Predicted:
    """How many pictures were read, how many boxes were written, and what was left out."""

    pictures: int = 0
    boxes: int = 0
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
    say: Say | None = None,
) -> Predicted:
    """Find boxes in pictures; either both `out` and the drawings are there afterwards, or neither.

    Neither is there where no picture could be read.

    Args:
        model: a model directory with all parts of a detector.
        pictures: files; one that is no readable picture is left out, with the reason.
        out: JSON file to write, replaced if there: COCO results with two names more, where
            category_id is the place of the class in the model's vocabulary.json, from 1.
        draw: folder for copies with boxes; files of other names in it stay.
        score: least score of a box that is drawn.
        top: most boxes of a picture.
        say: told how far it is; None writes lines to stderr, once it takes seconds.

    Raises:
        SettingsError: there is no picture, an output would replace a picture, or the model
            cannot find boxes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch comes in: do not spin
    from components.train.checkpoint import load_model
    from components.vocab.classes import union

    problems = _problems(pictures, out=out, draw=draw)
    if problems:
        raise SettingsError(problems)
    detector, record = load_model(model)
    if "proposals" not in record.parts:
        do = "Name the model of stage 2."
        what = "this model was trained to classify, not to find boxes"
        raise SettingsError([Problem(where="MODEL", what=what, got=str(model), do=do)])
    known = union(record.boxed, record.labelled)
    tell = say or _Lines()
    done = Predicted()
    with suppress(_NothingReadError), _whole_file(out) as file, _whole_folder(draw) as folder:
        file.write("[")
        for batch in _batches(pictures, done, tell):
            found = _found(detector, batch, ids=known.ids, size=record.size, top=top)
            for row in _results(found, batch, ids=known.ids):
                file.write(f"{',' if done.boxes else ''}\n{json.dumps(row)}")
                done.boxes += 1
            if folder is not None:
                _draw(folder, found, batch, ids=known.ids, score=score)
            done.pictures += len(batch)
        if not done.pictures:
            raise _NothingReadError  # leaves no file behind
        file.write("\n]\n")
    tell(len(pictures), len(pictures))
    return done


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
    detector: "Detector", batch: list[_Read], *, ids: Sequence[str], size: int, top: int
) -> "Detections":
    """Return the detections of a batch, in pixels of the pictures; `image` is the place in it."""
    import numpy as np

    from components.boxes.suppress import suppress
    from components.data.augment import back
    from components.eval.detections import Detections
    from components.models.scores import fuse

    shown, views = _shown(detector, batch, size=size)
    parts: list[Detections] = []
    for i, regions in enumerate(detector.regions(shown)):
        scores = fuse(regions, boxed=detector.boxed, labelled=detector.labelled, ids=ids)
        kept = suppress(regions.boxes, scores, top=top, floor=FLOOR)
        height, width, _ = batch[i].pixels.shape
        boxes = back(kept.boxes.cpu().numpy(), views[i])
        parts.append(
            Detections(
                image=np.full(len(boxes), i, np.int64),
                category=kept.classes.cpu().numpy(),
                score=kept.scores.cpu().numpy().astype(np.float32),
                boxes=boxes.clip(0, np.array([width, height] * 2, np.float32)),
            )
        )
    return Detections.join(parts)


def _shown(
    detector: "Detector", batch: list[_Read], *, size: int
) -> tuple[Any, "list[np.ndarray]"]:
    """Return the batch that a network sees, and how each picture was carried into it."""
    from dataclasses import replace

    from components.data.augment import canvas_of, lay, look_of, show
    from components.data.sample import Batch
    from components.data.views import PlainView

    view = PlainView(size=size, pad_to=detector.row.pad_to)
    shown = [
        show(
            read.pixels,
            look_of(
                view,
                width=read.pixels.shape[1],
                height=read.pixels.shape[0],
                seed=0,
                step=0,
                epoch=0,
                row=0,
            ),
        )
        for read in batch
    ]
    image, sizes = lay(shown, side=canvas_of(view, seed=0, step=0))
    return replace(Batch.of_pictures(image), image_size=sizes), [one.view for one in shown]


def _results(
    found: "Detections", batch: list[_Read], *, ids: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """Yield one object a detection; its class with the level: two may share a name."""
    from components.eval.detections import coco_results

    images = [read.image_id for read in batch]
    rows = coco_results(found, images=images, categories=list(range(1, len(ids) + 1)))
    for i, row in zip(found.image.tolist(), rows, strict=True):
        more = {"file_name": str(batch[i].path), "category_name": ids[row["category_id"] - 1]}
        yield row | more


def _draw(
    folder: Path, found: "Detections", batch: list[_Read], *, ids: Sequence[str], score: float
) -> None:
    """Write a copy of each picture with the boxes a person would look at."""
    from components.data.draw_boxes import Box, draw_boxes, jpeg

    for i, read in enumerate(batch):
        here = found.where((found.image == i) & (found.score >= score))
        boxes = [
            Box(corners=tuple(corners), class_id=ids[int(c)], score=float(s))
            for corners, c, s in zip(here.boxes.tolist(), here.category, here.score, strict=True)
        ]
        name = _drawn_name(read.image_id, read.path)
        (folder / name).write_bytes(jpeg(draw_boxes(read.pixels, boxes)))


def _drawn_name(image_id: int, path: Path) -> str:
    """Return the name of a drawn copy; no two pictures share an id, so no two share a name.

    Letters that move a terminal's cursor, or turn a name round, become `_`.
    """
    stem = os.fsdecode(os.fsencode(path.stem)[:LONGEST_STEM])
    plain = "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "_" for c in stem)
    return f"{plain}_{image_id}.jpg"


@contextmanager
def _whole_file(path: Path) -> Generator[TextIO]:
    """Give a file to write that takes its name when all is written, and is gone otherwise."""
    path = path.resolve()  # behind a link
    half = path.with_name(f".{os.getpid()}.half")
    try:
        with half.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


@contextmanager
def _whole_folder(path: Path | None) -> Generator[Path | None]:
    """Give a folder to fill, whose files move to `path` when all are written; None for None."""
    if path is None:
        yield None
        return
    was_there = path.is_dir()
    half = (path if was_there else path.absolute().parent) / f".{os.getpid()}.pictures.half"
    half.mkdir()
    try:
        yield half
        if was_there:
            for file in half.iterdir():
                file.replace(path / file.name)
        else:
            half.rename(path)
    finally:
        shutil.rmtree(half, ignore_errors=True)


class _Lines:
    """Tells of progress on stderr: in place on a terminal, else a line every ten seconds."""

    def __init__(self) -> None:
        self.start = self.told = time.monotonic()
        self.open = False

    def __call__(self, done: int, total: int) -> None:
        now, terminal = time.monotonic(), sys.stderr.isatty()
        ended = done == total
        due = now - self.told >= (0.5 if terminal else 10.0)
        if ended and self.open:
            sys.stderr.write(f"\r{done}/{total} pictures\n")
        elif not ended and due and now - self.start >= PATIENCE:
            rate = done / (now - self.start)
            left = f", {(total - done) / rate:.0f} s left" if rate else ""
            text = f"{done}/{total} pictures, {rate:.1f}/s{left}"
            sys.stderr.write(f"\r{text:<60}" if terminal else f"{text}\n")
            self.told, self.open = now, terminal
        sys.stderr.flush()
